// Writes and reads at a steady rate on every shard, and prints a line of JSON for each operation.
const TAGS = process.env.APP_TAGS.split(",");
const PERIOD_MS = Number(process.env.APP_PERIOD_MS);

const seeds = process.env.APP_SEEDS.split(",").map((seed) => {
  const colon = seed.lastIndexOf(":");
  return { host: seed.slice(0, colon), port: Number(seed.slice(colon + 1)) };
});

/** Until standard input ends; `store` has set and get. */
function run(store) {
  TAGS.forEach((_, shard) => write(store, shard));
  process.stdin.on("end", () => process.exit(0)).resume();
}

async function write(store, shard) {
  for (let number = 0; ; number++) {
    const started = Date.now();
    const key = `${process.env.APP_PREFIX}:{${TAGS[shard]}}:${number}`;
    let acknowledged = 0;
    let error = "";
    try {
      await store.set(key, String(number));
      acknowledged = Date.now() / 1000;
      const found = await store.get(key);
      error = found === String(number) ? "" : `read back ${found}`;
    } catch (failure) {
      error = `${failure.name}: ${failure.message}`;
    }
    console.log(JSON.stringify({ t: Date.now() / 1000, shard, n: number, ack: acknowledged, error }));
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, started + PERIOD_MS - Date.now())));
  }
}

module.exports = { run, seeds, isPlain: "APP_DEFAULTS" in process.env };
