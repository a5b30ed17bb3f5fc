"""confluent-kafka (librdkafka): everything the suite asks, the admin client included."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from consumer_groups import ConsumerGroupChecks
from contents import TOPIC_LIMIT, Record
from groups import SESSION_S, Member
from suite import DEADLINE_S, Adapter, TooLarge, main


class Confluent(Adapter):
    name = "confluent"

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    @staticmethod
    def first_record(bootstrap, topic):
        producer = Producer({"bootstrap.servers": bootstrap})
        producer.produce(topic, value=b"first")
        producer.flush(DEADLINE_S)
        group = {"group.id": f"{topic}-group", "auto.offset.reset": "earliest"}
        consumer = Consumer({"bootstrap.servers": bootstrap, **group})
        consumer.subscribe([topic])
        message = consumer.poll(DEADLINE_S)
        while message is None or message.error():
            message = consumer.poll(DEADLINE_S)

    def check_groups(self, suite):
        super().check_groups(suite)
        ConsumerGroupChecks(suite, ConfluentMember).run()

    def create_topic(self, topic, partitions, config):
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([new])[topic].result(DEADLINE_S)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])[topic].result(DEADLINE_S)

    def topics(self):
        listed = self.admin.list_topics(timeout=DEADLINE_S).topics
        return {
            name: sum(1 for p in topic.partitions.values() if p.leader >= 0)
            for name, topic in listed.items()
        }

    def produce(self, topic, records, codec="none", acks="all", idempotent=True):
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "acks": acks,
                "enable.idempotence": idempotent,
                "message.max.bytes": TOPIC_LIMIT,
                "queue.buffering.max.messages": 100_000,
                "message.timeout.ms": DEADLINE_S * 1000,
            }
        )
        answers = [None] * len(records)
        for at, r in enumerate(records):

            def report(error, message, at=at):
                answers[at] = error or message.offset()

            producer.produce(
                topic,
                value=r.value,
                key=r.key,
                partition=r.partition,
                timestamp=r.timestamp,
                headers=r.headers,
                on_delivery=report,
            )
        if producer.flush(DEADLINE_S) > 0:
            raise TimeoutError("records not acknowledged in time")
        for error in (a for a in answers if isinstance(a, KafkaError)):
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise TooLarge(error.str())
            raise KafkaException(error)
        return [-1] * len(records) if acks == "0" else answers

    def consumer(self):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "not-used",
                "enable.auto.commit": False,
                "enable.partition.eof": False,
                "auto.offset.reset": "error",
                "check.crcs": True,
            }
        )

    def read(self, topic, partition, start, count):
        return self.read_following(topic, partition, start, count, None)

    def read_following(self, topic, partition, start, count, first_read):
        consumer = self.consumer()
        got = []
        try:
            consumer.assign([TopicPartition(topic, partition, start)])
            end = time.monotonic() + DEADLINE_S
            while len(got) < count and time.monotonic() < end:
                for message in consumer.consume(count - len(got), timeout=1.0):
                    if message.error():
                        raise KafkaException(message.error())
                    got.append((message.offset(), record(message)))
                if got and first_read:
                    first_read.set()
        finally:
            consumer.close()
        return got

    def beginning(self, topic, partition):
        return self.watermarks(topic, partition)[0]

    def end(self, topic, partition):
        return self.watermarks(topic, partition)[1]

    def watermarks(self, topic, partition):
        consumer = self.consumer()
        try:
            return consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=DEADLINE_S, cached=False
            )
        finally:
            consumer.close()

    def at_time(self, topic, partition, timestamp):
        consumer = self.consumer()
        try:
            asked = [TopicPartition(topic, partition, timestamp)]
            (answer,) = consumer.offsets_for_times(asked, timeout=DEADLINE_S)
        finally:
            consumer.close()
        if answer.error:
            raise KafkaException(answer.error)
        # -1 is "end": no record is that new.
        return answer.offset if answer.offset >= 0 else None


def record(message):
    headers = message.headers() or []
    return Record(
        message.partition(), message.key(), message.value(), headers, message.timestamp()[1]
    )


class ConfluentMember(Member):
    def __init__(self, bootstrap, group, topic, owners, static=None, cooperative=False, protocol=None):
        """With `protocol`, what it says replaces what only the classic protocol knows."""
        config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        config |= protocol or {
            "session.timeout.ms": SESSION_S * 1000,
            "heartbeat.interval.ms": 500,
            "partition.assignment.strategy": "cooperative-sticky" if cooperative else "range",
        }
        if static:
            config["group.instance.id"] = static
        self.owners = owners
        self.consumer = Consumer(config)
        numbers = lambda places: [place.partition for place in places]
        self.consumer.subscribe(
            [topic],
            on_assign=lambda _, places: self.owners.assigned(self, numbers(places)),
            on_revoke=lambda _, places: self.owners.revoked(self, numbers(places)),
        )
        self.topic = topic

    def poll(self):
        read = []
        for message in self.consumer.consume(500, timeout=0.1):
            if message.error():
                raise KafkaException(message.error())
            read.append((message.partition(), message.offset()))
        return read

    def assignment(self):
        return {place.partition for place in self.consumer.assignment()}

    def commit(self):
        for place in self.consumer.commit(asynchronous=False):
            if place.error:
                raise KafkaException(place.error)

    def committed(self):
        asked = [TopicPartition(self.topic, partition) for partition in sorted(self.assignment())]
        found = self.consumer.committed(asked, timeout=DEADLINE_S)
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def close(self):
        self.consumer.close()


Confluent.member = ConfluentMember
main(Confluent)
