import java.util.stream.Stream;
import org.redisson.Redisson;
import org.redisson.api.RedissonClient;
import org.redisson.client.codec.StringCodec;
import org.redisson.config.Config;

public final class App {
    public static void main(String[] arguments) throws Exception {
        Config config = System.getenv("APP_DEFAULTS") == null
                ? Config.fromYAML(ClassLoader.getSystemResource("redisson.yaml"))
                : plain();
        RedissonClient client = Redisson.create(config);
        Load.run(new Load.Store() {
            @Override
            public void set(String key, String value) {
                client.getBucket(key, StringCodec.INSTANCE).set(value);
            }

            @Override
            public String get(String key) {
                return client.<String>getBucket(key, StringCodec.INSTANCE).get();
            }
        });
    }

    /** Seeds and password, and nothing else. */
    private static Config plain() {
        Config config = new Config();
        config.useClusterServers()
                .addNodeAddress(Stream.of(System.getenv("APP_SEEDS").split(","))
                        .map(seed -> "redis://" + seed)
                        .toArray(String[]::new))
                .setPassword(System.getenv("REDIS_PASSWORD"));
        return config;
    }
}
