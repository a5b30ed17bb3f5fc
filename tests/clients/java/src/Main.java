import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Runs the checks of tests/clients/README.md on the Java client. */
public final class Main {
    private static final Map<String, String> KEEP = Map.of("retention.ms", "-1");

    private final Client client;
    private final String prefix;
    private int passed;
    private int failed;

    private Main(Client client, String prefix) {
        this.client = client;
        this.prefix = prefix;
    }

    /** A check: it throws when it fails. */
    interface Body {
        void run() throws Exception;
    }

    /** Runs a check and counts it. */
    interface Checks {
        boolean check(String name, Body body);
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int at = 0; at + 1 < args.length; at += 2) {
            options.put(args[at], args[at + 1]);
        }
        String bootstrap = options.get("--bootstrap");
        if (bootstrap == null) {
            System.err.println("--bootstrap HOST:PORT is missing");
            System.exit(2);
        }
        String first = options.get("--first-record");
        if (first != null) {
            new FirstRecord(bootstrap, first).run();
            return;
        }
        String prefix = options.getOrDefault("--prefix", "java-" + System.currentTimeMillis());
        boolean good;
        try (Client client = new Client(bootstrap)) {
            good = new Main(client, prefix).run();
        }
        System.exit(good ? 0 : 1);
    }

    private boolean run() {
        check("create topics", this::create);
        for (String codec : Contents.CODECS) {
            if (!check("produce " + codec, () -> produce(codec))) {
                for (String name : List.of("consume ", "offsets ")) {
                    failed++;
                    System.out.println("FAIL " + name + codec + ": nothing was produced");
                }
                continue;
            }
            check("consume " + codec, () -> consume(codec));
            check("offsets " + codec, () -> offsets(codec));
        }
        check("seek into a batch", this::seek);
        check("offset of the newest timestamp", this::newest);
        check("bulk", this::bulk);
        check("acks 1", () -> acks("1"));
        check("acks 0", () -> acks("0"));
        check("fetch waits for a record", this::tail);
        check("topic made by the first produce", this::autoCreate);
        check("record above the limit refused", this::tooLarge);
        check("record just under the limit", this::justUnder);
        check("delete topic", this::delete);
        new Groups(client, prefix, this::check).run();
        new ConsumerGroups(client, prefix, this::check).run();
        new Administration(client, prefix, this::check).run();
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0 && passed > 0;
    }

    private boolean check(String name, Body body) {
        try {
            body.run();
        } catch (Exception | AssertionError error) {
            failed++;
            System.out.println("FAIL " + name + ": " + error);
            error.printStackTrace();
            return false;
        }
        passed++;
        System.out.println("ok   " + name);
        return true;
    }

    private String topic(String part) {
        return prefix + "-" + part;
    }

    static void expect(String what, Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
        }
    }

    static void until(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(Client.DEADLINE_S);
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError(what + ": not within " + Client.DEADLINE_S + " s");
            }
            Thread.sleep(50);
        }
    }

    private void create() throws Exception {
        Map<String, String> limits = new HashMap<>(KEEP);
        limits.put("max.message.bytes", Integer.toString(Contents.TOPIC_LIMIT));
        Map<String, Integer> wanted = new HashMap<>();
        for (String codec : Contents.CODECS) {
            client.createTopic(topic(codec), Contents.PARTITIONS, limits);
            wanted.put(topic(codec), Contents.PARTITIONS);
        }
        for (String part : List.of("bulk", "acks-0", "acks-1", "tail", "limit")) {
            client.createTopic(topic(part), 1, KEEP);
            wanted.put(topic(part), 1);
        }
        until("all topics listed with their leaders",
                () -> client.topics().entrySet().containsAll(wanted.entrySet()));
    }

    private void produce(String codec) throws Exception {
        List<Contents.Item> items = Contents.allRecords(codec);
        List<Long> offsets = client.produce(topic(codec), items, codec, "all");
        for (int at = 0; at < items.size(); at++) {
            expect("offset of record " + at, offsets.get(at), (long) at / Contents.PARTITIONS);
        }
    }

    private void consume(String codec) {
        for (int partition = 0; partition < Contents.PARTITIONS; partition++) {
            List<Contents.Item> wanted = Contents.recordsOf(codec, partition);
            compare(client.read(topic(codec), partition, 0, wanted.size(), null), wanted, 0);
        }
    }

    private static void compare(List<Client.Read> got, List<Contents.Item> wanted, long start) {
        expect("number of records", got.size(), wanted.size());
        for (int at = 0; at < wanted.size(); at++) {
            expect("offset", got.get(at).offset(), start + at);
            String difference = Contents.difference(got.get(at).item(), wanted.get(at));
            if (difference != null) {
                throw new AssertionError("offset " + (start + at) + ": " + difference);
            }
        }
    }

    private void offsets(String codec) {
        for (int partition = 0; partition < Contents.PARTITIONS; partition++) {
            List<Contents.Item> items = Contents.recordsOf(codec, partition);
            expect("beginning", client.beginning(topic(codec), partition), 0L);
            expect("end", client.end(topic(codec), partition), (long) items.size());
            TreeSet<Long> stamps = new TreeSet<>();
            items.forEach(item -> stamps.add(item.timestamp()));
            List<Long> asked = new ArrayList<>(stamps);
            asked.add(0L);
            asked.add(stamps.first() + 7001);
            asked.add(stamps.last() + 1);
            for (long timestamp : asked) {
                expect("offset at " + timestamp, client.atTime(topic(codec), partition, timestamp),
                        Contents.firstAtOrAfter(items, timestamp));
            }
        }
    }

    private void seek() {
        List<Contents.Item> items = Contents.recordsOf("zstd", 1);
        for (int start : new int[] {7, 19, 20, 21, 22, items.size() - 1}) {
            compare(client.read(topic("zstd"), 1, start, 1, null),
                    items.subList(start, start + 1), start);
        }
    }

    private void newest() throws Exception {
        for (String codec : Contents.CODECS) {
            List<Contents.Item> items = Contents.recordsOf(codec, 2);
            long newest = items.stream().mapToLong(Contents.Item::timestamp).max().orElseThrow();
            expect("offset in " + codec, client.atMaxTimestamp(topic(codec), 2),
                    Contents.firstAtOrAfter(items, newest));
        }
    }

    private void bulk() throws Exception {
        List<Contents.Item> items = Contents.bulkRecords(Contents.BULK);
        List<Long> offsets = client.produce(topic("bulk"), items, "none", "all");
        for (int at = 0; at < items.size(); at++) {
            expect("offset of record " + at, offsets.get(at), (long) at);
        }
        compare(client.read(topic("bulk"), 0, 0, items.size(), null), items, 0);
        expect("end", client.end(topic("bulk"), 0), (long) items.size());
    }

    private void acks(String acks) throws Exception {
        String topic = topic("acks-" + acks);
        List<Contents.Item> items = Contents.bulkRecords(100);
        client.produce(topic, items, "none", acks);
        until("all records in the log", () -> client.end(topic, 0) == items.size());
        compare(client.read(topic, 0, 0, items.size(), null), items, 0);
    }

    /** A reader that has caught up is given the next record when it comes. */
    private void tail() throws Exception {
        List<Contents.Item> items = Contents.bulkRecords(2);
        client.produce(topic("tail"), items.subList(0, 1), "none", "all");
        CountDownLatch first = new CountDownLatch(1);
        List<Client.Read> got = new ArrayList<>();
        Thread reader = new Thread(() -> got.addAll(client.read(topic("tail"), 0, 0, 2, first)));
        reader.start();
        boolean seen = first.await(Client.DEADLINE_S, TimeUnit.SECONDS);
        if (seen) {
            client.produce(topic("tail"), items.subList(1, 2), "none", "all");
        }
        reader.join(TimeUnit.SECONDS.toMillis(2 * Client.DEADLINE_S));
        expect("first record seen", seen, true);
        compare(got, items, 0);
    }

    private void autoCreate() throws Exception {
        expect("topic before", client.topics().containsKey(topic("auto")), false);
        List<Contents.Item> items = Contents.bulkRecords(5);
        client.produce(topic("auto"), items, "none", "all");
        compare(client.read(topic("auto"), 0, 0, 5, null), items, 0);
        expect("partitions after", client.topics().get(topic("auto")), 1);
    }

    private static List<Contents.Item> single(int seed, int length) {
        byte[] value = Contents.randomBytes(seed, length);
        return List.of(new Contents.Item(0, null, value, List.of(), Contents.BASE_MS));
    }

    private void tooLarge() throws Exception {
        try {
            client.produce(topic("limit"), single(99, Contents.DEFAULT_LIMIT + 1), "none", "all");
        } catch (Client.TooLarge expected) {
            return;
        }
        throw new AssertionError("the record was acknowledged");
    }

    private void justUnder() throws Exception {
        List<Contents.Item> items = single(98, Contents.DEFAULT_LIMIT - 200);
        client.produce(topic("limit"), items, "none", "all");
        compare(client.read(topic("limit"), 0, 0, 1, null), items, 0);
        expect("end", client.end(topic("limit"), 0), 1L);
    }

    private void delete() throws Exception {
        String topic = topic("bulk");
        client.deleteTopic(topic);
        until("topic no longer listed", () -> !client.topics().containsKey(topic));
        client.createTopic(topic, 1, KEEP);
        until("topic listed again", () -> Integer.valueOf(1).equals(client.topics().get(topic)));
        expect("end of the new topic", client.end(topic, 0), 0L);
    }
}
