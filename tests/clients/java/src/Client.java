import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The calls the checks are made of. Every one ends by itself within a minute, or throws. */
final class Client implements AutoCloseable {
    static final int DEADLINE_S = 30;

    private final String bootstrap;
    private final Admin admin;

    /** The broker refused a record for its size. */
    static final class TooLarge extends Exception {}

    /** A record and the offset it was read at. */
    record Read(long offset, Contents.Item item) {}

    Client(String bootstrap) {
        this.bootstrap = bootstrap;
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap,
                "default.api.timeout.ms", DEADLINE_S * 1000));
    }

    String bootstrap() {
        return bootstrap;
    }

    Admin admin() {
        return admin;
    }

    void createTopic(String topic, int partitions, Map<String, String> config) throws Exception {
        NewTopic made = new NewTopic(topic, partitions, (short) 1).configs(config);
        admin.createTopics(List.of(made)).all().get(DEADLINE_S, TimeUnit.SECONDS);
    }

    void deleteTopic(String topic) throws Exception {
        admin.deleteTopics(List.of(topic)).all().get(DEADLINE_S, TimeUnit.SECONDS);
    }

    /** Topic name to number of partitions that have a leader. */
    Map<String, Integer> topics() throws Exception {
        var names = admin.listTopics().names().get(DEADLINE_S, TimeUnit.SECONDS);
        Map<String, Integer> counts = new TreeMap<>();
        for (TopicDescription topic : admin.describeTopics(names).allTopicNames()
                .get(DEADLINE_S, TimeUnit.SECONDS).values()) {
            counts.put(topic.name(), (int) topic.partitions().stream()
                    .filter(p -> p.leader() != null && !p.leader().isEmpty()).count());
        }
        return counts;
    }

    /** Sends all and waits for all; the offset of each, -1 with acks 0. */
    List<Long> produce(String topic, List<Contents.Item> items, String codec, String acks)
            throws Exception {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", bootstrap);
        config.put("compression.type", codec);
        config.put("acks", acks);
        config.put("enable.idempotence", acks.equals("all"));
        config.put("max.request.size", Contents.TOPIC_LIMIT);
        config.put("linger.ms", 5);
        config.put("request.timeout.ms", 10_000);
        config.put("delivery.timeout.ms", DEADLINE_S * 1000);
        var bytes = new ByteArraySerializer();
        List<Long> offsets = new ArrayList<>();
        try (var producer = new KafkaProducer<byte[], byte[]>(config, bytes, bytes)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Contents.Item item : items) {
                List<Header> headers = new ArrayList<>();
                for (Contents.Header h : item.headers()) {
                    headers.add(new RecordHeader(h.name(), h.value()));
                }
                sent.add(producer.send(new ProducerRecord<>(topic, item.partition(),
                        item.timestamp(), item.key(), item.value(), headers)));
            }
            for (Future<RecordMetadata> future : sent) {
                offsets.add(future.get(2 * DEADLINE_S, TimeUnit.SECONDS).offset());
            }
        } catch (ExecutionException error) {
            if (error.getCause() instanceof RecordTooLargeException) {
                throw new TooLarge();
            }
            throw error;
        }
        return offsets;
    }

    /** {@code count} records from {@code start} on, fewer when the deadline is over. */
    List<Read> read(String topic, int partition, long start, int count, CountDownLatch first) {
        List<Read> got = new ArrayList<>();
        try (var consumer = consumer()) {
            TopicPartition at = new TopicPartition(topic, partition);
            consumer.assign(List.of(at));
            consumer.seek(at, start);
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_S);
            while (got.size() < count && System.nanoTime() < end) {
                for (var record : consumer.poll(Duration.ofSeconds(1)).records(at)) {
                    if (got.size() < count) {
                        got.add(new Read(record.offset(), item(record)));
                    }
                }
                if (!got.isEmpty() && first != null) {
                    first.countDown();
                }
            }
        }
        return got;
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        var bytes = new ByteArrayDeserializer();
        return new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap,
                "auto.offset.reset", "none", "enable.auto.commit", false,
                "default.api.timeout.ms", DEADLINE_S * 1000), bytes, bytes);
    }

    private static Contents.Item item(ConsumerRecord<byte[], byte[]> record) {
        List<Contents.Header> headers = new ArrayList<>();
        for (Header h : record.headers()) {
            headers.add(new Contents.Header(h.key(), h.value()));
        }
        return new Contents.Item(record.partition(), record.key(), record.value(), headers,
                record.timestamp());
    }

    long beginning(String topic, int partition) {
        TopicPartition at = new TopicPartition(topic, partition);
        try (var consumer = consumer()) {
            return consumer.beginningOffsets(List.of(at)).get(at);
        }
    }

    long end(String topic, int partition) {
        TopicPartition at = new TopicPartition(topic, partition);
        try (var consumer = consumer()) {
            return consumer.endOffsets(List.of(at)).get(at);
        }
    }

    /** The first offset whose record is not older than {@code timestamp}; -1 for none. */
    long atTime(String topic, int partition, long timestamp) {
        TopicPartition at = new TopicPartition(topic, partition);
        try (var consumer = consumer()) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(at, timestamp)).get(at);
            return found == null ? -1 : found.offset();
        }
    }

    /** The offset of the newest timestamp, by the admin client (KIP-734). */
    long atMaxTimestamp(String topic, int partition) throws Exception {
        TopicPartition at = new TopicPartition(topic, partition);
        return admin.listOffsets(Map.of(at, OffsetSpec.maxTimestamp())).partitionResult(at)
                .get(DEADLINE_S, TimeUnit.SECONDS).offset();
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(5));
    }
}
