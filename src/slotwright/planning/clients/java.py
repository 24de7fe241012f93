"""Java: Lettuce and Jedis as a class each, Redisson as its YAML."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

LETTUCE = Kind(
    name="lettuce",
    title="Lettuce",
    tried="7.7.0.RELEASE",
    dependency="io.lettuce:lettuce-core:{tried}",
    file="src/main/java/ClusterClient.java",
    language="java",
    comment="//",
    template="""
import io.lettuce.core.RedisURI;
import io.lettuce.core.SocketOptions;
import io.lettuce.core.TimeoutOptions;
import io.lettuce.core.cluster.ClusterClientOptions;
import io.lettuce.core.cluster.ClusterTopologyRefreshOptions;
import io.lettuce.core.cluster.RedisClusterClient;
import java.time.Duration;
import java.util.List;

public final class ClusterClient {
    private ClusterClient() {}

    /** One for the whole application; its connect() gives a connection that all threads share. */
    public static RedisClusterClient create() {
        RedisClusterClient client = RedisClusterClient.create(List.of(
                // A primary and a replica of every shard: any one that answers is enough.
*,|                node("<<host>>", <<port>>)
        ));
        client.setOptions(ClusterClientOptions.builder()
                .topologyRefreshOptions(ClusterTopologyRefreshOptions.builder()
                        // Off unless set. The triggers are off, too, before Lettuce 7; with neither, the client stays
                        // with the nodes that it saw first.
                        .enablePeriodicRefresh(Duration.ofMillis(<<refresh_ms>>))
                        .enableAllAdaptiveRefreshTriggers()
                        // 30 s in Lettuce 6, 5 s in 7, unless set: a refresh that came before the takeover would be
                        // the last for so long.
                        .adaptiveRefreshTriggersTimeout(Duration.ofMillis(<<connect_ms>>))
                        .build())
                .socketOptions(SocketOptions.builder()
                        .connectTimeout(Duration.ofMillis(<<connect_ms>>))
                        .keepAlive(true)
                        .build())
                // A command to a primary that died, or that waits for its successor, fails after this time.
                .timeoutOptions(TimeoutOptions.enabled(Duration.ofMillis(<<command_ms>>)))
                .maxRedirects(<<redirects>>)
                .build());
        // Reads may go to replicas, and be a moment old: connection.setReadFrom(ReadFrom.REPLICA_PREFERRED).
        // Only where the nodes are reached under other addresses than they announce (NAT): ClientResources with a
        // MappingSocketAddressResolver. Commands are not sent twice: for up to <<takeover_s>> s after a primary's
        // death, those for its shard fail. Retry those that may run twice.
        return client;
    }

    private static RedisURI node(String host, int port) {
        return RedisURI.Builder.redis(host, port)
?user|                .withAuthentication("<<user>>", System.getenv("<<env>>").toCharArray())
!user|?password|                .withPassword(System.getenv("<<env>>").toCharArray())
?tls|                .withSsl(true)
                .withTimeout(Duration.ofMillis(<<command_ms>>))
                .build();
    }
}
""",
)

JEDIS = Kind(
    name="jedis",
    title="Jedis",
    tried="7.5.3",
    dependency="redis.clients:jedis:{tried}",
    file="src/main/java/ClusterClient.java",
    language="java",
    comment="//",
    template="""
import java.time.Duration;
import java.util.Set;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.RedisClusterClient;

public final class ClusterClient {
    private ClusterClient() {}

    /** One for the whole application: it has a pool of connections to each node. */
    public static RedisClusterClient create() {
        return RedisClusterClient.builder()
                .nodes(Set.of(
                        // A primary and a replica of every shard: any one that answers is enough.
*,|                        new HostAndPort("<<host>>", <<port>>)
                ))
                .clientConfig(DefaultJedisClientConfig.builder()
?user|                        .user("<<user>>")
?password|                        .password(System.getenv("<<env>>"))
?tls|                        .ssl(true)
                        .connectionTimeoutMillis(<<connect_ms>>)
                        .socketTimeoutMillis(<<command_ms>>)
                        // Only where the nodes are reached under other addresses than they announce (NAT):
                        // .hostAndPortMapper(...)
                        .build())
                // Off unless set: without it a map that went stale is found by failing calls alone.
                .topologyRefreshPeriod(Duration.ofMillis(<<refresh_ms>>))
                // A call tries again, with pauses that grow, until it succeeds or this time is over: it sits out most
                // of a takeover (up to <<takeover_s>> s here). A write may so run twice.
                .maxAttempts(<<attempts>>)
                .maxTotalRetriesDuration(Duration.ofMillis(<<patience_ms>>))
                // Reads from replicas: client.executeCommandToReplica(...), a call at a time.
                .build();
    }
}
""",
)

REDISSON = Kind(
    name="redisson",
    title="Redisson",
    tried="3.52.0",
    dependency="org.redisson:redisson:{tried}",
    file="src/main/resources/redisson.yaml",
    language="yaml",
    comment="#",
    template="""
# Redisson.create(Config.fromYAML(ClassLoader.getSystemResource("redisson.yaml"))); one for the whole application.
clusterServersConfig:
?user|  username: <<user>>
?password|  password: ${<<env>>}
  nodeAddresses:
    # A primary and a replica of every shard: any one that answers is enough. rediss:// means TLS.
?tls|*|    - "rediss://<<seed>>"
!tls|*|    - "redis://<<seed>>"
  # How often the map of the cluster is fetched: what finds a new primary, and one after a planned failover, too, as
  # with readMode MASTER no connection to a replica is kept that MOVED could be followed to. 5000 unless set.
  scanInterval: 1000
  connectTimeout: <<connect_ms>>
  timeout: <<command_ms>>
  # A command is sent again so often, in growing pauses: a write may run twice. Of 1 to 2 s unless set.
  retryAttempts: <<tries>>
  retryDelay: !<org.redisson.config.EqualJitterDelay> {baseDelay: PT0.1S, maxDelay: PT0.5S}
  # SLAVE, the default, reads from replicas, whose data may be a moment old.
  readMode: MASTER
  # Only where the nodes are reached under other addresses than they announce (NAT): natMapper.
""",
)
