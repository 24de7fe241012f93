import load
from redis.cluster import ClusterNode, RedisCluster
from redis_cluster import connect


def plain():
    """Seeds and password, and nothing else."""
    nodes = [ClusterNode(host, port) for host, port in load.SEEDS]
    return RedisCluster(startup_nodes=nodes, password=load.os.environ["REDIS_PASSWORD"])


load.run(plain() if load.IS_PLAIN else connect())
