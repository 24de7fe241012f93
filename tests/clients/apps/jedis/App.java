import java.util.stream.Collectors;
import java.util.stream.Stream;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.RedisClusterClient;

public final class App {
    public static void main(String[] arguments) throws Exception {
        RedisClusterClient client = System.getenv("APP_DEFAULTS") == null ? ClusterClient.create() : plain();
        Load.run(new Load.Store() {
            @Override
            public void set(String key, String value) {
                client.set(key, value);
            }

            @Override
            public String get(String key) {
                return client.get(key);
            }
        });
    }

    /** Seeds and password, and nothing else. */
    private static RedisClusterClient plain() {
        return RedisClusterClient.create(
                Stream.of(System.getenv("APP_SEEDS").split(",")).map(HostAndPort::from).collect(Collectors.toSet()),
                null,
                System.getenv("REDIS_PASSWORD"));
    }
}
