import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The checks of groups of the consumer protocol (KIP-848), on members that are polled in turns by one thread. */
final class ConsumerGroups {
    private static final int PARTITIONS = 6;

    private final Client client;
    private final Main.Checks checks;
    private final String prefix;
    private final String topic;
    private final List<Member> members = new ArrayList<>();

    ConsumerGroups(Client client, String prefix, Main.Checks checks) {
        this.client = client;
        this.checks = checks;
        this.prefix = prefix;
        this.topic = prefix + "-new-group";
    }

    void run() {
        check("reads from the beginning and goes on", this::reads);
        check("members share, and one leaves", this::share);
        check("a static member comes back unnoticed", this::staticBack);
        check("a static member that stays away is replaced", this::staticAway);
        check("a pattern takes in a new topic", this::pattern);
        check("what is no pattern is refused", this::noPattern);
        check("the range assignor", this::range);
        check("listed, described and deleted", this::administered);
        check("both protocols in turn", this::inTurn);
        check("both protocols at once", this::atOnce);
    }

    private void check(String name, Main.Body body) {
        checks.check("consumer protocol: " + name, () -> {
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
        final Map<TopicPartition, Member> of = new HashMap<>();
        final List<String> violations = new ArrayList<>();
    }

    private final class Member implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Owners owners;
        final Set<Integer> revoked = new HashSet<>();

        Member(String group, Owners owners, Map<String, Object> own) {
            this.owners = owners;
            Map<String, Object> config = new HashMap<>();
            config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, client.bootstrap());
            config.put(ConsumerConfig.GROUP_ID_CONFIG, prefix + "-new-" + group);
            config.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, "consumer");
            config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
            config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
            config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
            config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
            config.putAll(own);
            consumer = new KafkaConsumer<>(config);
            members.add(this);
        }

        Member subscribed() {
            consumer.subscribe(List.of(topic), this);
            return this;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> places) {
            for (TopicPartition place : places) {
                Member other = owners.of.put(place, this);
                if (other != null && other != this) {
                    owners.violations.add(place + " has two owners");
                }
            }
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> places) {
            places.forEach(place -> {
                revoked.add(place.partition());
                owners.of.remove(place, this);
            });
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
        return new Member(group, owners, Map.of()).subscribed();
    }

    private Member joinStatic(String group, Owners owners, String instance) {
        return new Member(group, owners, Map.of(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, instance)).subscribed();
    }

    private void leave(Member member) {
        members.remove(member);
        member.close();
    }

    private void produce(String topic, int count) throws Exception {
        List<Contents.Item> items = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            byte[] value = Integer.toString(n).getBytes();
            items.add(new Contents.Item(n % PARTITIONS, null, value, List.of(), 1_700_000_000_000L + n));
        }
        client.produce(topic, items, "none", "all");
    }

    /** First and last offset of each partition, and how many there are in all. */
    private static String spans(List<ConsumerRecord<byte[], byte[]>> read) {
        Map<Integer, String> spans = new TreeMap<>();
        Map<Integer, Long> first = new HashMap<>();
        read.forEach(record -> spans.put(record.partition(),
                first.computeIfAbsent(record.partition(), p -> record.offset()) + "-" + record.offset()));
        return read.size() + " " + spans.values();
    }

    private static void untilEachHas(int count, Member... members) throws Exception {
        Main.until(count + " partitions each", () -> {
            Set<Integer> all = new HashSet<>();
            boolean even = true;
            for (Member member : members) {
                member.poll();
            }
            for (Member member : members) {
                even &= member.assignment().size() == count;
                all.addAll(member.assignment());
            }
            return even && all.size() == count * members.length;
        });
    }

    private void reads() throws Exception {
        client.createTopic(topic, PARTITIONS, Map.of("retention.ms", "-1"));
        produce(topic, 300);
        Member member = join("readers", new Owners());
        List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
        Main.until("all records read", () -> read.addAll(member.poll()) && read.size() >= 300);
        Main.expect("offsets", spans(read), "300 [0-49, 0-49, 0-49, 0-49, 0-49, 0-49]");
        Map<TopicPartition, OffsetAndMetadata> commits = new HashMap<>();
        member.consumer.assignment().forEach(place -> commits.put(place, new OffsetAndMetadata(50, "so far")));
        member.consumer.commitSync(commits);
        member.consumer.committed(member.consumer.assignment()).forEach((place, told) -> {
            Main.expect("committed", told.offset() + " " + told.metadata(), "50 so far");
        });
        leave(member);
        produce(topic, 60);
        Member next = join("readers", new Owners());
        read.clear();
        Main.until("the new records read", () -> read.addAll(next.poll()) && read.size() >= 60);
        Main.expect("offsets", spans(read), "60 [50-59, 50-59, 50-59, 50-59, 50-59, 50-59]");
    }

    private void share() throws Exception {
        Owners owners = new Owners();
        Member first = join("sharers", owners);
        untilEachHas(6, first);
        Member second = join("sharers", owners);
        untilEachHas(3, first, second);
        Main.expect("number taken from the first", first.revoked.size(), 3);
        Member third = join("sharers", owners);
        untilEachHas(2, first, second, third);
        leave(second);
        untilEachHas(3, first, third);
        Main.expect("violations", owners.violations, List.of());
    }

    private void staticBack() throws Exception {
        Owners owners = new Owners();
        Member stays = joinStatic("static", owners, "stays");
        Member goes = joinStatic("static", owners, "goes");
        untilEachHas(3, stays, goes);
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
        Main.expect("violations", owners.violations, List.of());
    }

    private void staticAway() throws Exception {
        Owners owners = new Owners();
        Member stays = joinStatic("away", owners, "stays");
        Member goes = joinStatic("away", owners, "goes");
        untilEachHas(3, stays, goes);
        leave(goes);
        long gone = System.nanoTime();
        untilEachHas(6, stays);
        long waitedMs = (System.nanoTime() - gone) / 1_000_000;
        if (waitedMs < 1000) {
            throw new AssertionError("replaced after " + waitedMs + " ms, before its session was over");
        }
    }

    private void pattern() throws Exception {
        client.createTopic(prefix + "-pattern-1", PARTITIONS, Map.of());
        Member member = new Member("pattern", new Owners(), Map.of());
        member.consumer.subscribe(new SubscriptionPattern(prefix + "-pattern-[0-9]"), member);
        untilEachHas(6, member);
        client.createTopic(prefix + "-pattern-2", PARTITIONS, Map.of());
        produce(prefix + "-pattern-2", 60);
        List<ConsumerRecord<byte[], byte[]>> read = new ArrayList<>();
        Main.until("records of the new topic", () -> read.addAll(member.poll()) && read.size() >= 60);
    }

    private void noPattern() throws Exception {
        Member member = new Member("no-pattern", new Owners(), Map.of());
        member.consumer.subscribe(new SubscriptionPattern("("), member);
        Main.until("refused", () -> {
            try {
                member.poll();
                return false;
            } catch (InvalidRegularExpression refused) {
                return true;
            }
        });
    }

    private void range() throws Exception {
        Map<String, Object> range = Map.of(ConsumerConfig.GROUP_REMOTE_ASSIGNOR_CONFIG, "range");
        Member first = new Member("range", new Owners(), range).subscribed();
        Member second = new Member("range", new Owners(), range).subscribed();
        untilEachHas(3, first, second);
        Set<Set<Integer>> ranges = Set.of(first.assignment(), second.assignment());
        Main.expect("ranges", ranges, Set.of(Set.of(0, 1, 2), Set.of(3, 4, 5)));
    }

    private void administered() throws Exception {
        Admin admin = client.admin();
        String group = prefix + "-new-administered";
        Member member = join("administered", new Owners());
        untilEachHas(6, member);
        var consumers = ListGroupsOptions.forConsumerGroups().withTypes(Set.of(GroupType.CONSUMER));
        boolean listed = admin.listGroups(consumers).all().get().stream().anyMatch(one -> one.groupId().equals(group));
        Main.expect("listed", listed, true);
        var described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        Main.expect("state", described.groupState(), GroupState.STABLE);
        Main.expect("type", described.type(), GroupType.CONSUMER);
        Main.expect("assignor", described.partitionAssignor(), "uniform");
        var one = described.members().iterator().next();
        Main.expect("partitions", one.assignment().topicPartitions().size(), 6);
        Main.expect("by the new protocol", one.upgraded().orElse(false), true);
        leave(member);
        var place = new TopicPartition(topic, 0);
        admin.alterConsumerGroupOffsets(group, Map.of(place, new OffsetAndMetadata(7))).all().get();
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        Main.expect("reset to", offsets.get(place).offset(), 7L);
        admin.deleteConsumerGroupOffsets(group, Set.of(place)).all().get();
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    /** Members of the classic protocol are replaced one by one, and back again. */
    private void atOnce() throws Exception {
        Owners owners = new Owners();
        Member first = joinClassic(owners);
        Member second = joinClassic(owners);
        untilEachHas(3, first, second);
        Member next = join("at-once", owners);
        untilEachHas(2, first, second, next);
        expectType(GroupType.CONSUMER);
        for (Member member : members) {
            Map<TopicPartition, OffsetAndMetadata> commits = new HashMap<>();
            member.consumer.assignment().forEach(place -> commits.put(place, new OffsetAndMetadata(5)));
            member.consumer.commitSync(commits);
        }
        leave(second);
        untilEachHas(3, first, next);
        leave(first);
        untilEachHas(6, next);
        Member back = joinClassic(owners);
        untilEachHas(3, back, next);
        leave(next);
        untilEachHas(6, back);
        expectType(GroupType.CLASSIC);
        back.consumer.committed(back.consumer.assignment()).forEach((place, told) -> {
            Main.expect("committed by either", told.offset(), 5L);
        });
        Main.expect("violations", owners.violations, List.of());
    }

    private Member joinClassic(Owners owners) {
        Map<String, Object> classic = Map.of(
                ConsumerConfig.GROUP_PROTOCOL_CONFIG, "classic",
                ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 6000,
                ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 500,
                ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, CooperativeStickyAssignor.class.getName());
        return new Member("at-once", owners, classic).subscribed();
    }

    private void expectType(GroupType wanted) throws Exception {
        String group = prefix + "-new-at-once";
        var listed = client.admin().listGroups().all().get().stream().filter(one -> one.groupId().equals(group));
        Main.expect("type", listed.map(one -> one.type().orElse(null)).toList(), List.of(wanted));
    }

    /** A group without members goes to the other protocol, and its offsets with it. */
    private void inTurn() throws Exception {
        long committed = 0;
        for (String protocol : List.of("classic", "consumer", "classic")) {
            Member member = new Member("in-turn", new Owners(), Map.of(ConsumerConfig.GROUP_PROTOCOL_CONFIG, protocol)).subscribed();
            untilEachHas(6, member);
            var place = new TopicPartition(topic, 0);
            var told = member.consumer.committed(Set.of(place)).get(place);
            Main.expect("offset in the " + protocol + " group", told == null ? 0 : told.offset(), committed);
            committed += 1;
            member.consumer.commitSync(Map.of(place, new OffsetAndMetadata(committed)));
            leave(member);
        }
    }
}
