import load
from valkey.cluster import ClusterNode, ValkeyCluster
from valkey_cluster import connect


def plain():
    """Seeds and password, and nothing else."""
    nodes = [ClusterNode(host, port) for host, port in load.SEEDS]
    return ValkeyCluster(startup_nodes=nodes, password=load.os.environ["REDIS_PASSWORD"])


load.run(plain() if load.IS_PLAIN else connect())
