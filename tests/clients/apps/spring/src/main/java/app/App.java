package app;

import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.data.redis.core.StringRedisTemplate;

/** All that it knows of Redis is in application.yml. */
@SpringBootApplication
public class App {
    public static void main(String[] arguments) {
        SpringApplication.run(App.class, arguments);
    }

    @Bean
    CommandLineRunner load(StringRedisTemplate redis) {
        return arguments -> Load.run(new Load.Store() {
            @Override
            public void set(String key, String value) {
                redis.opsForValue().set(key, value);
            }

            @Override
            public String get(String key) {
                return redis.opsForValue().get(key);
            }
        });
    }
}
