import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The checks of groups, on members that are polled in turns by one thread. */
final class Groups {
    private static final int PARTITIONS = 4;
    /** The shortest session that a broker allows. */
    private static final int SESSION_MS = 6000;

    private final Client client;
    private final Main.Checks checks;
    private final String prefix;
    private final String topic;
    private final List<Member> members = new ArrayList<>();

    Groups(Client client, String prefix, Main.Checks checks) {
        this.client = client;
        this.checks = checks;
        this.prefix = prefix;
        this.topic = prefix + "-group";
    }

    void run() {
        check("group reads from the beginning", this::readsAll);
        check("group goes on where it committed", this::goesOn);
        check("two members share", this::twoShare);
        check("a static member comes back unnoticed", this::staticBack);
        check("a static member that stays away is replaced", this::staticAway);
        check("cooperative members give up only what moves", this::cooperative);
        check("groups are listed, described and deleted", this::administered);
    }

    private void check(String name, Main.Body body) {
        checks.check(name, () -> {
            try {
                body.run();
            } finally {
                members.forEach(Member::close);
                members.clear();
            }
        });
    }

    /** Who owns which partition, by what members are told. */
    private static final class Owners {
        final Map<Integer, Member> of = new TreeMap<>();
        final List<String> violations = new ArrayList<>();

        void assigned(Member member, Collection<TopicPartition> places) {
            for (TopicPartition place : places) {
                Member other = of.put(place.partition(), member);
                if (other != null && other != member) {
                    violations.add("partition " + place.partition() + " has two owners");
                }
            }
        }

        void revoked(Member member, Collection<TopicPartition> places) {
            places.forEach(place -> of.remove(place.partition(), member));
        }
    }

    private final class Member {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Set<Integer> revoked = new HashSet<>();

        Member(String group, Owners owners, Map<String, Object> own) {
            Map<String, Object> config = new HashMap<>();
            config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, client.bootstrap());
            config.put(ConsumerConfig.GROUP_ID_CONFIG, group);
            config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
            config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
            config.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, SESSION_MS);
            config.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 500);
            config.put(ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, RangeAssignor.class.getName());
            config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
            config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
            config.putAll(own);
            consumer = new KafkaConsumer<>(config);
            consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> places) {
                    owners.assigned(Member.this, places);
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> places) {
                    places.forEach(place -> revoked.add(place.partition()));
                    owners.revoked(Member.this, places);
                }
            });
            members.add(this);
        }

        List<ConsumerRecord<byte[], byte[]>> poll() {
            List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
            consumer.poll(Duration.ofMillis(100)).forEach(read::add);
            return read;
        }

        Set<Integer> assignment() {
            Set<Integer> partitions = new TreeSet<>();
            consumer.assignment().forEach(place -> partitions.add(place.partition()));
            return partitions;
        }

        void close() {
            consumer.close();
        }
    }

    private Member join(String group, Owners owners) {
        return new Member(prefix + "-" + group, owners, Map.of());
    }

    private Member joinStatic(String group, Owners owners, String instance) {
        return new Member(prefix + "-" + group, owners, Map.of(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, instance));
    }

    private void leave(Member member) {
        members.remove(member);
        member.close();
    }

    private void produce(int from, int count) throws Exception {
        List<Contents.Item> items = new ArrayList<>();
        for (int n = from; n < from + count; n++) {
            byte[] value = Integer.toString(n).getBytes();
            items.add(new Contents.Item(n % PARTITIONS, null, value, List.of(), 1_700_000_000_000L + n));
        }
        client.produce(topic, items, "none", "all");
    }

    private static Map<Integer, List<Long>> offsets(List<ConsumerRecord<byte[], byte[]>> read) {
        Map<Integer, List<Long>> offsets = new TreeMap<>();
        read.forEach(record -> offsets.computeIfAbsent(record.partition(), p -> new ArrayList<>()).add(record.offset()));
        return offsets;
    }

    private static Map<Integer, List<Long>> every(long from, long to) {
        Map<Integer, List<Long>> offsets = new TreeMap<>();
        for (int partition = 0; partition < PARTITIONS; partition++) {
            List<Long> of = new ArrayList<>();
            for (long offset = from; offset < to; offset++) {
                of.add(offset);
            }
            offsets.put(partition, of);
        }
        return offsets;
    }

    private void readsAll() throws Exception {
        client.createTopic(topic, PARTITIONS, Map.of("retention.ms", "-1"));
        produce(0, 200);
        Member member = join("readers", new Owners());
        List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
        Main.until("all records read", () -> read.addAll(member.poll()) && read.size() >= 200);
        Main.expect("offsets", offsets(read), every(0, 50));
        Map<TopicPartition, OffsetAndMetadata> commits = new HashMap<>();
        member.consumer.assignment().forEach(place -> commits.put(place, new OffsetAndMetadata(50, "so far")));
        member.consumer.commitSync(commits);
        member.consumer.committed(member.consumer.assignment()).forEach((place, told) -> {
            Main.expect("committed", told.offset() + " " + told.metadata(), "50 so far");
        });
    }

    private void goesOn() throws Exception {
        produce(200, 40);
        Member member = join("readers", new Owners());
        List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
        Main.until("the new records read", () -> read.addAll(member.poll()) && read.size() >= 40);
        Main.expect("offsets", offsets(read), every(50, 60));
    }

    private void untilAll(Member member) throws Exception {
        Main.until("all partitions", () -> member.poll() != null && member.assignment().size() == PARTITIONS);
    }

    private void untilShared(Member first, Member second) throws Exception {
        Main.until("partitions shared", () -> {
            first.poll();
            second.poll();
            Set<Integer> mine = first.assignment();
            Set<Integer> yours = second.assignment();
            return mine.size() == 2 && yours.size() == 2 && Collections.disjoint(mine, yours);
        });
    }

    private void twoShare() throws Exception {
        Owners owners = new Owners();
        Member first = join("sharers", owners);
        untilAll(first);
        Member second = join("sharers", owners);
        untilShared(first, second);
        leave(second);
        untilAll(first);
        Main.expect("violations", owners.violations, List.of());
    }

    private void staticBack() throws Exception {
        Owners owners = new Owners();
        Member stays = joinStatic("static", owners, "stays");
        Member goes = joinStatic("static", owners, "goes");
        untilShared(stays, goes);
        Set<Integer> had = goes.assignment();
        stays.revoked.clear();
        leave(goes);
        Member back = joinStatic("static", owners, "goes");
        Main.until("the same partitions", () -> {
            stays.poll();
            back.poll();
            return back.assignment().equals(had);
        });
        Main.expect("taken from the other", stays.revoked, Set.of());
    }

    private void staticAway() throws Exception {
        Owners owners = new Owners();
        Member stays = joinStatic("away", owners, "stays");
        Member goes = joinStatic("away", owners, "goes");
        untilShared(stays, goes);
        leave(goes);
        long gone = System.nanoTime();
        untilAll(stays);
        long waitedMs = (System.nanoTime() - gone) / 1_000_000;
        if (waitedMs < SESSION_MS / 2) {
            throw new AssertionError("replaced after " + waitedMs + " ms, before its session was over");
        }
    }

    private void cooperative() throws Exception {
        Owners owners = new Owners();
        Map<String, Object> own =
                Map.of(ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, CooperativeStickyAssignor.class.getName());
        Member first = new Member(prefix + "-cooperative", owners, own);
        untilAll(first);
        Member second = new Member(prefix + "-cooperative", owners, own);
        untilShared(first, second);
        Main.expect("number taken from the first", first.revoked.size(), 2);
        Main.expect("violations", owners.violations, List.of());
    }

    private static void refused(Class<?> wanted, Main.Body body) throws Exception {
        try {
            body.run();
        } catch (ExecutionException error) {
            Main.expect("the error", error.getCause().getClass().getSimpleName(), wanted.getSimpleName());
            return;
        }
        throw new AssertionError("it was done, where " + wanted.getSimpleName() + " was due");
    }

    private void administered() throws Exception {
        Admin admin = client.admin();
        String group = prefix + "-administered";
        Member member = join("administered", new Owners());
        untilAll(member);
        member.consumer.commitSync();
        boolean listed = admin.listGroups().all().get().stream().anyMatch(one -> one.groupId().equals(group));
        Main.expect("listed", listed, true);
        var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Main.expect("state", described.groupState(), GroupState.STABLE);
        Main.expect("assignor", described.partitionAssignor(), "range");
        var place = new TopicPartition(topic, 0);
        refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        refused(GroupSubscribedToTopicException.class,
                () -> admin.deleteConsumerGroupOffsets(group, Set.of(place)).partitionResult(place).get());
        leave(member);
        admin.alterConsumerGroupOffsets(group, Map.of(place, new OffsetAndMetadata(7))).all().get();
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Main.expect("reset to", offsets.get(place).offset(), 7L);
        admin.deleteConsumerGroupOffsets(group, Set.of(place)).all().get();
        Main.expect("deleted", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(place) == null, true);
        admin.deleteConsumerGroups(List.of(group)).all().get();
        refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
    }
}
