"""Python: redis-py, its fork valkey-py, and Valkey GLIDE."""

from __future__ import annotations

from slotwright.planning.clients.kind import Kind

_REDIS_PY = """
import os

from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry


def connect() -> RedisCluster:
    \"\"\"One for the whole process; threads may share it.\"\"\"
    return RedisCluster(
        # A primary and a replica of every shard: any one that answers is enough.
        startup_nodes=[
*|            ClusterNode("<<host>>", <<port>>),
        ],
?user|        username="<<user>>",
?password|        password=os.environ["<<env>>"],
?tls|        ssl=True,  # a CA of your own: ssl_ca_certs="/path/ca.pem"
        socket_connect_timeout=<<connect_s>>,
        socket_timeout=<<command_s>>,
        # The first MOVED fetches the whole map anew; of 5 unless set, the first four mend one slot each.
        reinitialize_steps=1,
        # With each try the map is fetched anew. Where a connection is refused, tries follow each other without a
        # pause: for up to <<takeover_s>> s after a primary's death, calls for its shard fail. Retry those that may run
        # twice.
        retry=Retry(ExponentialWithJitterBackoff(base=0.1, cap=1), 10),
        # Seconds without use after which a connection is tried first: finds those that a firewall cut.
        health_check_interval=30,
        # Reads may go to replicas, and be a moment old: load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN.
        # Only where the nodes are reached under other addresses than they announce (NAT): address_remap=...
    )
"""

REDIS_PY = Kind(
    name="redis-py",
    title="redis-py",
    tried="8.1.0",
    dependency="redis=={tried}",
    file="redis_cluster.py",
    language="python",
    comment="#",
    template=_REDIS_PY,
)

VALKEY_PY = Kind(
    name="valkey-py",
    title="valkey-py",
    tried="6.2.0",
    dependency="valkey=={tried}",
    file="valkey_cluster.py",
    language="python",
    comment="#",
    template="""
import os

from valkey.cluster import ClusterNode, ValkeyCluster


def connect() -> ValkeyCluster:
    \"\"\"One for the whole process; threads may share it.\"\"\"
    return ValkeyCluster(
        # A primary and a replica of every shard: any one that answers is enough.
        startup_nodes=[
*|            ClusterNode("<<host>>", <<port>>),
        ],
?user|        username="<<user>>",
?password|        password=os.environ["<<env>>"],
?tls|        ssl=True,  # a CA of your own: ssl_ca_certs="/path/ca.pem"
        socket_connect_timeout=<<connect_s>>,
        socket_timeout=<<command_s>>,
        # The first MOVED fetches the whole map anew; of 5 unless set, the first four mend one slot each.
        reinitialize_steps=1,
        # With each try the map is fetched anew. Where a connection is refused, tries follow each other without a
        # pause: for up to <<takeover_s>> s after a primary's death, calls for its shard fail. Retry those that may run
        # twice.
        cluster_error_retry_attempts=10,
        # Seconds without use after which a connection is tried first: finds those that a firewall cut.
        health_check_interval=30,
        # Reads may go to replicas, and be a moment old: read_from_replicas=True.
        # Only where the nodes are reached under other addresses than they announce (NAT): address_remap=...
    )
""",
)

VALKEY_GLIDE = Kind(
    name="valkey-glide",
    title="Valkey GLIDE (Python)",
    tried="2.6.0",
    dependency="valkey-glide=={tried}",
    file="glide_cluster.py",
    language="python",
    comment="#",
    template="""
import os

from glide import (
    AdvancedGlideClusterClientConfiguration,
    BackoffStrategy,
    GlideClusterClient,
    GlideClusterClientConfiguration,
    NodeAddress,
    PeriodicChecksManualInterval,
    ServerCredentials,
)


async def connect() -> GlideClusterClient:
    \"\"\"One for the whole process.\"\"\"
    return await GlideClusterClient.create(
        GlideClusterClientConfiguration(
            # A primary and a replica of every shard: any one that answers is enough.
            addresses=[
*|                NodeAddress("<<host>>", <<port>>),
            ],
?user|            credentials=ServerCredentials(password=os.environ["<<env>>"], username="<<user>>"),
!user|?password|            credentials=ServerCredentials(password=os.environ["<<env>>"]),
?tls|            use_tls=True,
            # Milliseconds, for a call with all of its retries.
            request_timeout=<<command_ms>>,
            # How often the map is compared (60 s unless set), for what no error tells of.
            periodic_checks=PeriodicChecksManualInterval(<<refresh_s>>),
            reconnect_strategy=BackoffStrategy(num_of_retries=5, factor=100, exponent_base=2),
            advanced_config=AdvancedGlideClusterClientConfiguration(connection_timeout=<<connect_ms>>),
            # For up to <<takeover_s>> s after a primary's death, calls for its shard fail. Retry those that may run
            # twice.
            # Reads may go to replicas, and be a moment old: read_from=ReadFrom.PREFER_REPLICA.
        )
    )
""",
)
