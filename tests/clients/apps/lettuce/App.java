import io.lettuce.core.RedisURI;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.cluster.api.sync.RedisAdvancedClusterCommands;
import java.util.stream.Stream;

public final class App {
    public static void main(String[] arguments) throws Exception {
        RedisClusterClient client = System.getenv("APP_DEFAULTS") == null ? ClusterClient.create() : plain();
        RedisAdvancedClusterCommands<String, String> commands = client.connect().sync();
        Load.run(new Load.Store() {
            @Override
            public void set(String key, String value) {
                commands.set(key, value);
            }

            @Override
            public String get(String key) {
                return commands.get(key);
            }
        });
    }

    /** Seeds and password, and nothing else. */
    private static RedisClusterClient plain() {
        return RedisClusterClient.create(Stream.of(System.getenv("APP_SEEDS").split(","))
                .map(seed -> RedisURI.Builder
                        .redis(seed.substring(0, seed.lastIndexOf(':')),
                                Integer.parseInt(seed.substring(seed.lastIndexOf(':') + 1)))
                        .withPassword(System.getenv("REDIS_PASSWORD").toCharArray())
                        .build())
                .toList());
    }
}
