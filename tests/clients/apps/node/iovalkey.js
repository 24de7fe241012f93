const { Cluster } = require("iovalkey");
const load = require("./load");

/** Seeds, password and a listener, and nothing else. */
function plain() {
  const cluster = new Cluster(load.seeds, { redisOptions: { password: process.env.REDIS_PASSWORD } });
  return cluster.on("error", (error) => console.error(error.message));
}

load.run(load.isPlain ? plain() : require("./valkey-cluster").connect());
