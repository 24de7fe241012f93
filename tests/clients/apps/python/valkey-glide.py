import asyncio

import load
from glide import GlideClusterClient, GlideClusterClientConfiguration, NodeAddress, ServerCredentials
from glide_cluster import connect


async def plain():
    """Seeds and password, and nothing else."""
    nodes = [NodeAddress(host, port) for host, port in load.SEEDS]
    credentials = ServerCredentials(password=load.os.environ["REDIS_PASSWORD"])
    return await GlideClusterClient.create(GlideClusterClientConfiguration(addresses=nodes, credentials=credentials))


async def main():
    await load.run_async(await (plain() if load.IS_PLAIN else connect()))


asyncio.run(main())
