import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The records written and read back, made from a seed by the rules of tests/clients/README.md. */
final class Contents {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    static final int PARTITIONS = 3;
    static final int RECORDS = 40;
    static final int MIB = 1 << 20;
    static final int TOPIC_LIMIT = 4 * MIB;
    static final int DEFAULT_LIMIT = 1_048_588;
    static final long BASE_MS = 1_700_000_000_000L;
    static final int BULK = 10_000;

    private Contents() {}

    record Header(String name, byte[] value) {}

    /** One record; the timestamp in milliseconds. */
    record Item(int partition, byte[] key, byte[] value, List<Header> headers, long timestamp) {}

    /** {@code length} bytes of xorshift32, four a step, little end first. */
    static byte[] randomBytes(int seed, int length) {
        int state = seed * (int) 2654435761L;
        byte[] out = new byte[length];
        for (int at = 0; at < length; at++) {
            if (at % 4 == 0) {
                state ^= state << 13;
                state ^= state >>> 17;
                state ^= state << 5;
            }
            out[at] = (byte) (state >>> (8 * (at % 4)));
        }
        return out;
    }

    /** {@code length} bytes that compress well: 16 random ones over and over. */
    static byte[] repeatedBytes(int seed, int length) {
        byte[] block = randomBytes(seed, 16);
        byte[] out = new byte[length];
        for (int at = 0; at < length; at++) {
            out[at] = block[at % 16];
        }
        return out;
    }

    static byte[] keyOf(int seed, int i) {
        if (i % 5 == 0) {
            return null;
        }
        return i % 5 == 1 ? new byte[0] : randomBytes(seed * 4, 1 + i);
    }

    static byte[] valueOf(int seed, int i) {
        if (i % 7 == 3) {
            return null;
        }
        if (i % 7 == 5) {
            return new byte[0];
        }
        int length = i == 20 || i == 21 ? MIB : i * i * 7 % 3000 + 1;
        return i % 2 == 1 ? repeatedBytes(seed * 4 + 1, length) : randomBytes(seed * 4 + 1, length);
    }

    static List<Header> headersOf(int seed, int i) {
        if (i % 3 == 0) {
            return List.of();
        }
        byte[] data = randomBytes(seed * 4 + 2, 4 + i);
        if (i % 3 == 1) {
            return List.of(new Header("h", data));
        }
        return List.of(
                new Header("é", new byte[] {'1'}),
                new Header("é", data),
                new Header("empty", new byte[0]),
                new Header("null", null));
    }

    /** Out of order on purpose: a search by time has to look at records, not only at batches. */
    static long timestampOf(int partition, int i) {
        return BASE_MS + (long) (i * 37 % RECORDS) * 1000 + partition;
    }

    /** The records of one partition in offset order. */
    static List<Item> recordsOf(String codec, int partition) {
        int first = CODECS.indexOf(codec) * 100_000 + partition * 1000 + 1;
        List<Item> items = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            int seed = first + i;
            items.add(new Item(partition, keyOf(seed, i), valueOf(seed, i), headersOf(seed, i),
                    timestampOf(partition, i)));
        }
        return items;
    }

    /** The records of all partitions, interleaved as they are to be sent. */
    static List<Item> allRecords(String codec) {
        List<List<Item>> byPartition = new ArrayList<>();
        for (int p = 0; p < PARTITIONS; p++) {
            byPartition.add(recordsOf(codec, p));
        }
        List<Item> items = new ArrayList<>();
        for (int i = 0; i < RECORDS; i++) {
            for (List<Item> records : byPartition) {
                items.add(records.get(i));
            }
        }
        return items;
    }

    /** Many small ones for one partition, so that requests are pipelined. */
    static List<Item> bulkRecords(int count) {
        List<Item> items = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            byte[] key = Integer.toString(i).getBytes(StandardCharsets.US_ASCII);
            items.add(new Item(0, key, randomBytes(7_000_000 + i, 100), List.of(), BASE_MS + i));
        }
        return items;
    }

    /** What ListOffsets must answer: the first offset whose record is not older; -1 for none. */
    static long firstAtOrAfter(List<Item> items, long timestamp) {
        for (int offset = 0; offset < items.size(); offset++) {
            if (items.get(offset).timestamp() >= timestamp) {
                return offset;
            }
        }
        return -1;
    }

    /** The first difference in words, or null when the two are byte for byte the same. */
    static String difference(Item got, Item wanted) {
        if (got.partition() != wanted.partition()) {
            return "partition " + got.partition() + ", wanted " + wanted.partition();
        }
        if (!Arrays.equals(got.key(), wanted.key())) {
            return "key " + shorten(got.key()) + ", wanted " + shorten(wanted.key());
        }
        if (!Arrays.equals(got.value(), wanted.value())) {
            return "value " + shorten(got.value()) + ", wanted " + shorten(wanted.value());
        }
        if (got.timestamp() != wanted.timestamp()) {
            return "timestamp " + got.timestamp() + ", wanted " + wanted.timestamp();
        }
        if (got.headers().size() != wanted.headers().size()) {
            return got.headers().size() + " headers, wanted " + wanted.headers().size();
        }
        for (int h = 0; h < wanted.headers().size(); h++) {
            Header a = got.headers().get(h);
            Header b = wanted.headers().get(h);
            if (!a.name().equals(b.name()) || !Arrays.equals(a.value(), b.value())) {
                return "header " + a.name() + "=" + shorten(a.value()) + ", wanted " + b.name()
                        + "=" + shorten(b.value());
            }
        }
        return null;
    }

    private static String shorten(byte[] bytes) {
        if (bytes == null) {
            return "null";
        }
        String start = Arrays.toString(Arrays.copyOf(bytes, Math.min(8, bytes.length)));
        return bytes.length + " bytes " + start;
    }
}
