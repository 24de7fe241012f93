import java.util.Locale;

/** Writes and reads at a steady rate on every shard, a thread each, and prints a line of JSON for each operation. */
public final class Load {
    /** What a client can do. */
    public interface Store {
        void set(String key, String value) throws Exception;

        String get(String key) throws Exception;
    }

    private static final long PERIOD_NS = Long.parseLong(System.getenv("APP_PERIOD_MS")) * 1_000_000;

    private Load() {}

    /** Until standard input ends. */
    public static void run(Store store) throws Exception {
        String[] tags = System.getenv("APP_TAGS").split(",");
        for (int shard = 0; shard < tags.length; shard++) {
            int own = shard;
            Thread thread = new Thread(() -> write(store, own, tags[own]));
            thread.setDaemon(true);
            thread.start();
        }
        while (System.in.read() != -1) {
            // Nobody says anything: the end is the message.
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void write(Store store, int shard, String tag) {
        String prefix = System.getenv("APP_PREFIX") + ":{" + tag + "}:";
        for (long number = 0; ; number++) {
            long started = System.nanoTime();
            long acknowledged = 0;
            String error = "";
            try {
                store.set(prefix + number, Long.toString(number));
                acknowledged = System.currentTimeMillis();
                String found = store.get(prefix + number);
                error = Long.toString(number).equals(found) ? "" : "read back " + found;
            } catch (Exception failure) {
                error = failure.getClass().getSimpleName() + ": " + root(failure);
            }
            say(shard, number, acknowledged, error);
            pause(started + PERIOD_NS - System.nanoTime());
        }
    }

    private static String root(Throwable failure) {
        Throwable deepest = failure;
        while (deepest.getCause() != null) {
            deepest = deepest.getCause();
        }
        return String.valueOf(deepest.getMessage()).replaceAll("[^ -!#-\\[\\]-~]", " ");
    }

    private static synchronized void say(int shard, long number, long acknowledged, String error) {
        System.out.printf(Locale.ROOT, "{\"t\":%.3f,\"shard\":%d,\"n\":%d,\"ack\":%.3f,\"error\":\"%s\"}%n",
                System.currentTimeMillis() / 1000.0, shard, number, acknowledged / 1000.0, error);
    }

    private static void pause(long ns) {
        try {
            if (ns > 0) {
                Thread.sleep(ns / 1_000_000, (int) (ns % 1_000_000));
            }
        } catch (InterruptedException ignored) {
            Thread.currentThread().interrupt();
        }
    }
}
