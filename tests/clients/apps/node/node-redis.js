const { createCluster } = require("redis");
const load = require("./load");

/** Seeds, password and a listener, and nothing else. */
async function plain() {
  const cluster = createCluster({
    rootNodes: load.seeds.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
    defaults: { password: process.env.REDIS_PASSWORD },
  });
  cluster.on("error", (error) => console.error(error.message));
  await cluster.connect();
  return cluster;
}

(load.isPlain ? plain() : require("./redis-cluster").connect()).then(load.run);
