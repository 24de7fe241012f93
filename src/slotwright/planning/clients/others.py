"""PHP, .NET and Rust."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

PHPREDIS = Kind(
    name="phpredis",
    title="phpredis",
    tried="6.x",
    dependency="pecl install redis ({tried})",
    file="redis_cluster.php",
    language="php",
    comment="//",
    first="<?php",
    is_run=False,
    template="""
// The map is fetched once a worker and anew on MOVED and lost connections; redis.clusters.cache_slots = 1 in php.ini
// lets requests share it.
return new RedisCluster(
    null,
    [
        // A primary and a replica of every shard: any one that answers is enough.
*|        '<<seed>>',
    ],
    <<connect_s>>, // seconds to connect
    <<command_s>>, // seconds to wait for an answer
    false, // no persistent connections
?user|    ['<<user>>', getenv('<<env>>')],
!user|?password|    getenv('<<env>>'),
!password|    null,
?tls|    ['verify_peer' => true], // TLS; a CA of your own: 'cafile' => '/path/ca.pem'
);
// For up to <<takeover_s>> s after a primary's death, calls for its shard throw: retry those that may run twice.
// Reads may go to replicas, and be a moment old: setOption(RedisCluster::OPT_SLAVE_FAILOVER,
// RedisCluster::FAILOVER_DISTRIBUTE).
""",
)

PREDIS = Kind(
    name="predis",
    title="Predis",
    tried="2.x",
    dependency="composer require predis/predis:^{tried}",
    file="redis_cluster.php",
    language="php",
    comment="//",
    first="<?php",
    is_run=False,
    template="""
use Predis\\Client;

return new Client(
    [
        // A primary and a replica of every shard: any one that answers is enough.
?tls|*|        'tls://<<seed>>',
!tls|*|        'tcp://<<seed>>',
    ],
    [
        'cluster' => 'redis', // the servers' own sharding; without it Predis shards by itself, and wrongly
        'parameters' => [
?user|            'username' => '<<user>>',
?password|            'password' => getenv('<<env>>'),
            'timeout' => <<connect_s>>, // seconds to connect
            'read_write_timeout' => <<command_s>>, // seconds to wait for an answer
        ],
    ],
);
// The map is fetched anew on MOVED and lost connections. For up to <<takeover_s>> s after a primary's death, calls for
// its shard throw: retry those that may run twice.
""",
)

STACKEXCHANGE_REDIS = Kind(
    name="stackexchange-redis",
    title="StackExchange.Redis",
    tried="2.x",
    dependency="dotnet add package StackExchange.Redis ({tried})",
    file="ClusterConnection.cs",
    language="csharp",
    comment="//",
    is_run=False,
    template="""
using System;
using StackExchange.Redis;

public static class ClusterConnection
{
    // One for the whole process.
    public static ConnectionMultiplexer Connect()
    {
        var options = new ConfigurationOptions
        {
            EndPoints =
            {
                // A primary and a replica of every shard: any one that answers is enough.
*|                { "<<host>>", <<port>> },
            },
?user|            User = "<<user>>",
?password|            Password = Environment.GetEnvironmentVariable("<<env>>"),
?tls|            Ssl = true,
            // Without it, a node that is down at the start of the application keeps it from starting.
            AbortOnConnectFail = false,
            ConnectTimeout = <<connect_ms>>,
            SyncTimeout = <<command_ms>>,
            AsyncTimeout = <<command_ms>>,
            // Seconds between looks at the map (60 unless set); lost connections and MOVED look at once.
            ConfigCheckSeconds = <<refresh_s>>,
            ReconnectRetryPolicy = new ExponentialRetry(100, <<connect_ms>>),
        };
        // For up to <<takeover_s>> s after a primary's death, calls for its shard fail: retry those that may run twice.
        // Reads may go to replicas, and be a moment old: CommandFlags.PreferReplica.
        return ConnectionMultiplexer.Connect(options);
    }
}
""",
)

REDIS_RS = Kind(
    name="redis-rs",
    title="redis-rs",
    tried="1.8.1",
    dependency='redis = { version = "{tried}", features = [<<features>>] }',
    file="src/cluster.rs",
    language="rust",
    comment="//",
    template="""
use std::time::Duration;

use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;

/// One for the whole process; a clone of it is cheap. The asynchronous connection is meant: the other one does not ask
/// anew who serves a shard whose primary refuses connections.
pub async fn connect() -> redis::RedisResult<ClusterConnection> {
    ClusterClientBuilder::new(vec![
        // A primary and a replica of every shard: any one that answers is enough.
?tls|*|        "rediss://<<seed>>",
!tls|*|        "redis://<<seed>>",
    ])
?user|    .username("<<user>>".to_string())
?password|    .password(std::env::var("<<env>>").expect("<<env>> is not set"))
    .connection_timeout(Duration::from_millis(<<connect_ms>>))
    .response_timeout(Duration::from_millis(<<command_ms>>))
    // How often a command is sent again, in growing pauses, with the map fetched anew: a write may run twice.
    .retries(<<tries>>)
    .min_retry_wait(50)
    .max_retry_wait(500)
    // Reads may go to replicas, and be a moment old: .read_from_replicas()
    .build()?
    .get_async_connection()
    .await
}
""",
)
