"""Node.js: ioredis, its fork iovalkey, and node-redis."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

_IOREDIS = """
const { Cluster } = require("@package");

/** One for the whole process. */
function connect() {
  const cluster = new Cluster(
    [
      // A primary and a replica of every shard: any one that answers is enough.
*|      { host: "<<host>>", port: <<port>> },
    ],
    {
      redisOptions: {
?user|        username: "<<user>>",
?password|        password: process.env.<<env>>,
?tls|        tls: {}, // a CA of your own: { ca: fs.readFileSync("/path/ca.pem") }
        connectTimeout: <<connect_ms>>,
        // Off unless set: a command to a host that vanished would wait for as long as TCP does.
        commandTimeout: <<command_ms>>,
      },
      // Off unless set: fetches the map, and so finds what no error tells of.
      slotsRefreshInterval: <<refresh_ms>>,
      slotsRefreshTimeout: <<connect_ms>>,
      maxRedirections: 16,
      // A command whose node is gone is sent again after this pause, up to 16 times: a write may so run twice.
      // commandTimeout counts for each of the sendings.
      retryDelayOnFailover: <<pause_ms>>,
      retryDelayOnClusterDown: <<pause_ms>>,
      // Reads may go to replicas, and be a moment old: scaleReads: "slave".
      // Only where the nodes are reached under other addresses than they announce (NAT): natMap.
    },
  );
  // Without a listener, an error that belongs to no command ends up in the process's log as unhandled.
  cluster.on("error", (error) => console.error("@package:", error.message));
  return cluster;
}

module.exports = { connect };
"""

IOREDIS = Kind(
    name="ioredis",
    title="ioredis",
    tried="6.0.0",
    dependency="npm install ioredis@{tried}",
    file="redis-cluster.js",
    language="javascript",
    comment="//",
    template=_IOREDIS.replace("@package", "ioredis"),
)

IOVALKEY = Kind(
    name="iovalkey",
    title="iovalkey",
    tried="0.4.0",
    dependency="npm install iovalkey@{tried}",
    file="valkey-cluster.js",
    language="javascript",
    comment="//",
    template=_IOREDIS.replace("@package", "iovalkey"),
)

NODE_REDIS = Kind(
    name="node-redis",
    title="node-redis",
    tried="6.3.1",
    dependency="npm install redis@{tried}",
    file="redis-cluster.js",
    language="javascript",
    comment="//",
    template="""
const { createCluster } = require("redis");

/** One for the whole process. */
async function connect() {
  const cluster = createCluster({
    // A primary and a replica of every shard: any one that answers is enough.
    rootNodes: [
?tls|*|      { url: "rediss://<<seed>>" },
!tls|*|      { url: "redis://<<seed>>" },
    ],
    // For the connections to all nodes, those found later as well; what stands in rootNodes counts for these alone.
    defaults: {
?user|      username: "<<user>>",
?password|      password: process.env.<<env>>,
      socket: {
?tls|        tls: true, // a CA of your own: ca: fs.readFileSync("/path/ca.pem")
        connectTimeout: <<connect_ms>>,
        // Pauses between attempts to connect to a node that is gone: short, and with no end.
        reconnectStrategy: (attempt) => Math.min(50 * 2 ** attempt, <<connect_ms>>),
      },
    },
    commandOptions: { timeout: <<command_ms>> }, // ms that a command may wait to be sent
    // ms of failing to reconnect after which the map is fetched anew: what finds the new primary. 5000 unless set.
    topologyRefreshOnReconnectionAttemptStrategy: <<connect_ms>>,
    maxCommandRedirections: <<redirects>>,
    // For up to <<takeover_s>> s after a primary's death, calls for its shard fail: retry those that may run twice.
    // Reads may go to replicas, and be a moment old: useReplicas: true.
    // Only where the nodes are reached under other addresses than they announce (NAT): nodeAddressMap.
  });
  // Without a listener the first lost connection ends the process.
  cluster.on("error", (error) => console.error("redis:", error.message));
  await cluster.connect();
  return cluster;
}

module.exports = { connect };
""",
)
