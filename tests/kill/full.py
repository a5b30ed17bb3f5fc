"""Fills the disk: produce is refused with a retriable error, the rest goes on, and it ends by itself."""

import errno
import pathlib
import shutil
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import contents
import mounts
from broker import Broker
from load import RECONNECT, reading_config
from reader import until
from tally import Tally

MEBIBYTES = 64
VALUE_BYTES = 64 << 10
VICTIM_BYTES = 16 << 20
EDGE_RECORDS = 15
"""After so many records the next one begins a new segment of topic `edge`."""
EDGE_BYTES = 2 * VALUE_BYTES
AGAIN_S = 30
"""How soon after room was made produce has to be taken again."""
FILL_BYTES_PER_S = 6 << 20
"""Of the load that is to be stopped by the mark: the free space is looked at once a second."""
TOPICS = {
    "keep": {"retention.ms": "-1"},
    "bulk": {"retention.ms": "-1", "segment.bytes": "1048576", "file.delete.delay.ms": "0"},
    "edge": {"retention.ms": "-1", "segment.bytes": "1048576"},
    "victim": {"retention.ms": "-1", "segment.bytes": "1048576", "file.delete.delay.ms": "0"},
}
VARIANTS = {"free space mark": 12 << 20, "no space left": 0}
"""Name → `log.dirs.min.free.bytes`: refused below the mark, or by the full disk itself."""


def run(tally: Tally, binary: pathlib.Path, directory: pathlib.Path) -> None:
    for name, mark in VARIANTS.items():
        place = directory / name.replace(" ", "-")
        place.mkdir()
        tally.check(f"disk full ({name})", lambda: variant(tally, binary, place, name, mark))


def variant(tally: Tally, binary, place, name: str, mark: int) -> None:
    with mounts.SmallTmpfs(place, MEBIBYTES) as disk:
        settings = [f"log.dirs.min.free.bytes={mark}"]
        with Broker(binary, disk.root / "data", place / "broker.log", settings) as broker:
            broker.start()
            filling = Filling(broker, mark)
            for step in filling.steps():
                if not tally.check(f"{name}: {step.__doc__.splitlines()[0].rstrip('.')}", step):
                    return


def value(number: int, length: int) -> bytes:
    start = number * 7919 % (len(contents.POOL) - length)
    return b"%08d" % number + contents.POOL[start : start + length - 8]


class Filling:
    """The steps in order; each needs those before it."""

    def __init__(self, broker: Broker, mark: int):
        self.broker, self.mark = broker, mark
        self.pid = broker.pid
        self.ballast = broker.data.parent / "ballast"
        self.admin = AdminClient({"bootstrap.servers": broker.bootstrap} | RECONNECT)
        self.waiting = self.producer({"enable.idempotence": True, "message.timeout.ms": 600_000})
        self.acknowledged = {topic: {} for topic in TOPICS}
        """Topic → offset → (number, bytes of the value)."""
        self.errors = []
        self.number = 0
        self.start_of_bulk = 0

    def steps(self) -> list:
        steps = [self.before, self.fill]
        if self.mark:
            steps.append(self.refuse_small)
        else:
            steps.append(self.roll)
        return [*steps, self.wait, self.fetch, self.delete, self.again, self.restart]

    def producer(self, config: dict) -> Producer:
        own = {"bootstrap.servers": self.broker.bootstrap, "acks": "all", "linger.ms": 0}
        return Producer(own | RECONNECT | config)

    def once(self) -> Producer:
        """A producer that tries each record once, so that the broker's answer is seen."""
        config = {"retries": 0, "message.timeout.ms": 30_000, "batch.num.messages": 1}
        return self.producer(config)

    def send(self, producer, topic: str, length: int) -> None:
        number = self.number
        self.number += 1

        def delivered(error, message):
            if error:
                self.errors.append(error)
            else:
                self.acknowledged[topic][message.offset()] = (number, length)

        producer.produce(topic, value=value(number, length), partition=0, on_delivery=delivered)

    def before(self) -> None:
        """Topics and records while there is room."""
        new = [NewTopic(topic, 1, 1, config=config) for topic, config in TOPICS.items()]
        for future in self.admin.create_topics(new).values():
            future.result(30)
        for _ in range(200):
            self.send(self.waiting, "keep", 100)
        for _ in range(VICTIM_BYTES // VALUE_BYTES):
            self.send(self.waiting, "victim", VALUE_BYTES)
        for _ in range(EDGE_RECORDS):
            self.send(self.waiting, "edge", VALUE_BYTES)
            # Each its own batch: one batch alone may be as large as a segment.
            self.waiting.flush(30)
        if self.waiting.flush(30) or self.errors:
            raise AssertionError(f"not delivered: {self.errors[:3]}")

    def fill(self) -> str:
        """Produce until it is refused, with a retriable error."""
        producer = self.once()

        def few_under_way():
            producer.poll(0.005)
            return len(producer) < 4

        for _ in range((MEBIBYTES << 20) // VALUE_BYTES + 1):
            self.send(producer, "bulk", VALUE_BYTES)
            if self.mark:
                time.sleep(VALUE_BYTES / FILL_BYTES_PER_S)
            until("an answer to produce", 30, few_under_way, self.broker.must_run)
            if self.errors:
                break
        producer.flush(30)
        self.refused()
        free = shutil.disk_usage(self.broker.data).free
        if self.mark and free < 1 << 20:
            raise AssertionError(f"refused only when the disk was full, {free} bytes are left")
        return f"after {len(self.acknowledged['bulk']) * VALUE_BYTES >> 20} MiB, {free >> 10} KiB are free"

    def refused(self) -> None:
        if not self.errors:
            raise AssertionError("nothing was refused")
        for error in self.errors:
            if error.code() != KafkaError.KAFKA_STORAGE_ERROR:
                raise AssertionError(f"refused with {error.name()} ({error.code()}), not KAFKA_STORAGE_ERROR")
        self.errors.clear()
        self.broker.must_run()

    def refuse_small(self) -> None:
        """Below the mark the smallest record is refused too."""
        producer = self.once()
        self.send(producer, "keep", 100)
        producer.flush(30)
        self.refused()

    def roll(self) -> None:
        """A segment that cannot be begun is refused in the same way."""
        with open(self.ballast, "wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        producer = self.once()
        self.send(producer, "edge", EDGE_BYTES)
        producer.flush(30)
        self.refused()

    def wait(self) -> None:
        """A client that retries starts to wait."""
        for _ in range(50):
            self.send(self.waiting, "keep", 100)
        self.send(self.waiting, "edge", EDGE_BYTES)
        self.waiting.poll(0.5)
        if self.mark and len(self.waiting) != 51:
            raise AssertionError(f"{51 - len(self.waiting)} of 51 were acknowledged below the mark: {self.errors[:3]}")

    def fetch(self) -> str:
        """Fetch goes on."""
        return self.read_back("keep", "bulk", "edge", "victim")

    def delete(self) -> None:
        """Records and topics can be deleted."""
        self.ballast.unlink(missing_ok=True)
        self.start_of_bulk = max(self.acknowledged["bulk"]) // 2
        to = TopicPartition("bulk", 0, self.start_of_bulk)
        for future in self.admin.delete_records([to]).values():
            low = future.result(30).low_watermark
            if low != self.start_of_bulk:
                raise AssertionError(f"low watermark {low}, not {self.start_of_bulk}")
        for future in self.admin.delete_topics(["victim"]).values():
            future.result(30)
        del self.acknowledged["victim"]

    def again(self) -> str:
        """Produce is taken again, by the same process."""
        until("the waiting records acknowledged", AGAIN_S, lambda: self.waiting.flush(0.1) == 0, self.broker.must_run)
        if self.errors:
            raise AssertionError(f"not delivered: {self.errors[:3]}")
        for _ in range(32):
            self.send(self.waiting, "bulk", VALUE_BYTES)
        if self.waiting.flush(30) or self.errors:
            raise AssertionError(f"not delivered: {self.errors[:3]}")
        if self.broker.pid != self.pid:
            raise AssertionError("the broker was restarted")
        return self.read_back("keep", "bulk", "edge")

    def restart(self) -> str:
        """Nothing acknowledged is lost by a kill -9 after that."""
        self.broker.must_run()
        self.broker.kill()
        self.broker.start()
        if "victim" in self.admin.list_topics(timeout=30).topics:
            raise AssertionError("the deleted topic is back")
        return self.read_back("keep", "bulk", "edge")

    def read_back(self, *topics: str) -> str:
        count = 0
        for topic in topics:
            wanted = self.acknowledged[topic]
            start = self.start_of_bulk if topic == "bulk" else 0
            log = self.read(topic, start)
            for offset, (number, length) in wanted.items():
                if offset >= start and log.get(offset) != value(number, length):
                    held = "nothing" if offset not in log else f"{len(log[offset])} other bytes"
                    raise AssertionError(f"{topic} at offset {offset}: {held} instead of record {number}")
            if topic != "bulk":
                self.once_each(topic, log)
            count += len(log)
        return f"{count} records read"

    def once_each(self, topic: str, log: dict) -> None:
        """All of an idempotent producer's records are there once and in order."""
        numbers = [int(held[:8]) for _, held in sorted(log.items())]
        if any(a >= b for a, b in zip(numbers, numbers[1:])):
            raise AssertionError(f"{topic}: not in the order they were sent, or twice")
        # An unacknowledged copy of one that waits may be there already, once.
        more = len(log) - len(self.acknowledged[topic])
        if more < 0 or more > len(self.waiting):
            raise AssertionError(f"{topic}: {len(log)} records, {len(self.acknowledged[topic])} acknowledged")

    def read(self, topic: str, start: int) -> dict:
        """Offset → value, from the log's start to the high watermark of now."""
        consumer = Consumer(reading_config(self.broker.bootstrap))
        log = {}
        try:
            at = TopicPartition(topic, 0, start)
            low, high = consumer.get_watermark_offsets(at, timeout=30, cached=False)
            if low != start:
                raise AssertionError(f"{topic} begins at {low}, not {start}")
            consumer.assign([at])

            def read():
                for message in consumer.consume(500, timeout=0.1):
                    if message.error():
                        raise AssertionError(f"{topic}: {message.error()}")
                    log[message.offset()] = message.value()
                return len(log) >= high - low

            until(f"{topic} read to offset {high}", 60, read, self.broker.must_run)
        finally:
            consumer.close()
        return log
