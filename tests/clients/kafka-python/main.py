"""kafka-python: everything the suite asks, the admin client included."""

import pathlib
import queue
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

from contents import TOPIC_LIMIT, Record
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError
from groups import SESSION_S, Member
from suite import DEADLINE_S, Adapter, TooLarge, main


class KafkaPython(Adapter):
    name = "kafka-python"
    cannot = frozenset({"null headers", "null pairs", "cooperative"})

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.reader = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None)

    @staticmethod
    def first_record(bootstrap, topic):
        producer = KafkaProducer(bootstrap_servers=bootstrap)
        producer.send(topic, value=b"first").get(DEADLINE_S)
        consumer = KafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=f"{topic}-group", auto_offset_reset="earliest"
        )
        next(consumer)

    def create_topic(self, topic, partitions, config):
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": config}
        self.admin.create_topics({topic: options}, timeout_ms=DEADLINE_S * 1000)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic], timeout_ms=DEADLINE_S * 1000)

    def topics(self):
        return {
            topic["name"]: sum(1 for p in topic["partitions"] if p["leader_id"] >= 0)
            for topic in self.admin.describe_topics()
        }

    def produce(self, topic, records, codec="none", acks="all", idempotent=True):
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            acks=acks if acks == "all" else int(acks),
            enable_idempotence=idempotent,
            linger_ms=5,
            max_request_size=TOPIC_LIMIT,
            delivery_timeout_ms=DEADLINE_S * 1000,
            request_timeout_ms=DEADLINE_S * 1000 - 100,
        )
        try:
            sent = [
                producer.send(
                    topic,
                    value=r.value,
                    key=r.key,
                    headers=r.headers,
                    partition=r.partition,
                    timestamp_ms=r.timestamp,
                )
                for r in records
            ]
            producer.flush(DEADLINE_S)
            offsets = [future.get(DEADLINE_S).offset for future in sent]
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise TooLarge(str(error)) from error
        finally:
            producer.close(DEADLINE_S)
        return [-1] * len(records) if acks == "0" else offsets

    def read(self, topic, partition, start, count):
        return self.read_following(topic, partition, start, count, None)

    def read_following(self, topic, partition, start, count, first_read):
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            check_crcs=True,
        )
        at = TopicPartition(topic, partition)
        got = []
        try:
            consumer.assign([at])
            consumer.seek(at, start)
            end = time.monotonic() + DEADLINE_S
            while len(got) < count and time.monotonic() < end:
                batch = consumer.poll(timeout_ms=1000, max_records=count - len(got))
                got += [(m.offset, record(m)) for m in batch.get(at, [])]
                if got and first_read:
                    first_read.set()
        finally:
            consumer.close()
        return got

    def beginning(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.reader.beginning_offsets([at])[at]

    def end(self, topic, partition):
        at = TopicPartition(topic, partition)
        return self.reader.end_offsets([at])[at]

    def at_time(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        found = self.reader.offsets_for_times({at: timestamp})[at]
        return found.offset if found else None


def record(message):
    return Record(
        message.partition, message.key, message.value, list(message.headers), message.timestamp
    )


class KafkaPythonMember(Member):
    """Lives on a thread of its own: a consumer that is not polled while it joins sends no heartbeats."""

    def __init__(self, bootstrap, group, topic, owners, static=None, cooperative=False):
        self.topic, self.owners = topic, owners
        self.read, self.calls = queue.Queue(), queue.Queue()
        self.owned = set()
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id=static,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_S * 1000,
            heartbeat_interval_ms=500,
        )
        self.consumer.subscribe([topic], listener=Listener(self))
        self.closing = False
        self.thread = threading.Thread(target=self.live, daemon=True)
        self.thread.start()

    def live(self):
        while not self.closing:
            for messages in self.consumer.poll(timeout_ms=200).values():
                for message in messages:
                    self.read.put((message.partition, message.offset))
            while not self.calls.empty():
                call, answer = self.calls.get()
                answer.put(call())
        self.consumer.close()

    def on_thread(self, call):
        answer = queue.Queue()
        self.calls.put((call, answer))
        return answer.get(timeout=DEADLINE_S)

    def poll(self):
        try:
            read = [self.read.get(timeout=0.1)]
        except queue.Empty:
            return []
        while not self.read.empty():
            read.append(self.read.get())
        return read

    def assignment(self):
        return set(self.owned)

    def commit(self):
        self.on_thread(self.consumer.commit)

    def committed(self):
        def ask():
            return {n: self.consumer.committed(TopicPartition(self.topic, n)) for n in self.assignment()}

        return {partition: offset for partition, offset in self.on_thread(ask).items() if offset is not None}

    def close(self):
        self.closing = True
        self.thread.join(DEADLINE_S)


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_assigned(self, assigned):
        partitions = [place.partition for place in assigned]
        self.member.owners.assigned(self.member, partitions)
        self.member.owned = set(partitions)

    def on_partitions_revoked(self, revoked):
        self.member.owned = set()
        self.member.owners.revoked(self.member, [place.partition for place in revoked])


KafkaPython.member = KafkaPythonMember
main(KafkaPython)
