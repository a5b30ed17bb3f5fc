"""The load: producers, a consumer that follows, and a client that makes and deletes topics.

Each is a thread with clients of its own that live through every restart of the broker. What they
did is kept in a `Ledger`.
"""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import contents
from check import Read

GIVE_UP_MS = 600_000
"""No record may fail for time: the clients retry for longer than a run lasts."""
RECONNECT = {
    "reconnect.backoff.ms": 10,
    "reconnect.backoff.max.ms": 100,
    "retry.backoff.ms": 10,
    "retry.backoff.max.ms": 100,
    "log.connection.close": False,
    "log_level": 2,
}
BURST = 15
QUEUED = 1_500
"""Most records a producer holds while the broker is away."""


@dataclass(frozen=True)
class Stream:
    """One producer's settings. `lives_s`: seconds after which a new producer takes over.
    `rebootstraps`: forgets all it knows of the cluster when no broker is left, librdkafka's default;
    it then takes up to a second longer to send again."""

    name: str
    idempotent: bool
    acks: str
    codec: str
    linger_ms: int
    lives_s: float | None = None
    rebootstraps: bool = False

    def config(self) -> dict:
        own = {
            "enable.idempotence": self.idempotent,
            "acks": self.acks,
            "compression.type": self.codec,
            "linger.ms": self.linger_ms,
            # Without idempotence more than one request under way may change the order on a retry.
            "max.in.flight.requests.per.connection": 5 if self.idempotent else 1,
            "metadata.recovery.strategy": "rebootstrap" if self.rebootstraps else "none",
            "message.timeout.ms": GIVE_UP_MS,
            "message.send.max.retries": 1_000_000,
            "queue.buffering.max.messages": QUEUED,
        }
        return own | RECONNECT


STREAMS = [
    Stream("idempotent zstd", True, "all", "zstd", 5, rebootstraps=True),
    Stream("idempotent none", True, "all", "none", 0),
    Stream("idempotent lz4 short-lived", True, "all", "lz4", 2, lives_s=0.7),
    Stream("acks=all snappy", False, "all", "snappy", 5),
    Stream("acks=1 gzip", False, "1", "gzip", 5, rebootstraps=True),
    Stream("acks=1 none", False, "1", "none", 0),
]
TOPICS = {
    "wide": (4, {"retention.ms": "-1"}),
    "rolling": (2, {"retention.ms": "-1", "segment.bytes": "1048576"}),
}
"""Name → partitions and settings. `rolling` is cut into the smallest segments Kafka allows."""
PLACES = [(topic, p) for topic, (partitions, _) in TOPICS.items() for p in range(partitions)]
"""All partitions of the load; a *place* is an index into this list."""
PLACE_OF = {place: at for at, place in enumerate(PLACES)}


class Ledger:
    """What was sent, acknowledged, failed and followed, by place; written by the clients' threads."""

    def __init__(self):
        self.sent = [defaultdict(int) for _ in PLACES]
        self.acknowledged = [[] for _ in PLACES]
        self.followed = [Read() for _ in PLACES]
        self.failures = []
        """One line for whatever a client was told that it must never be told."""

    def acknowledged_total(self) -> int:
        return sum(map(len, self.acknowledged))

    def sent_total(self) -> int:
        return sum(sum(by_stream.values()) for by_stream in self.sent)


class Worker:
    """A thread that runs `work` until it is told to stop; what it raises is a failure of the run."""

    def __init__(self, ledger: Ledger, name: str):
        self.ledger, self.name = ledger, name
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:  # a thread has nobody above it: the run has to learn of it
            self.ledger.failures.append(f"{self.name} ended: {type(error).__name__}: {error}")

    def work(self) -> None:
        raise NotImplementedError

    def stop(self, limit_s: float = 30) -> None:
        self.stopping.set()
        self.thread.join(limit_s)
        if self.thread.is_alive():
            self.ledger.failures.append(f"{self.name} did not end within {limit_s} s")


class PausingWorker(Worker):
    """A worker that can be told to do nothing new, and says when it heeds that."""

    def __init__(self, ledger: Ledger, name: str):
        super().__init__(ledger, name)
        self.paused = False
        self.pauses = 0
        self.heeded = 0
        """The last pause in which it was seen doing nothing new."""

    def pause(self) -> None:
        self.pauses += 1
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def heeds_pause(self) -> bool:
        """Called by the worker between two things it does."""
        # Read before the flag: a pause that begins in between is then not taken for heeded.
        pauses = self.pauses
        if self.paused:
            self.heeded = pauses
        return self.paused

    def is_idle(self) -> bool:
        return self.heeded == self.pauses


class ProducerWorker(PausingWorker):
    """Sends one stream, `rate` records a second, to all places in turn."""

    def __init__(self, ledger: Ledger, bootstrap: str, number: int, rate: int):
        self.stream, self.number, self.rate = STREAMS[number], number, rate
        super().__init__(ledger, self.stream.name)
        self.bootstrap = bootstrap
        self.waiting = 0
        self.turn = 0
        self.abandoned = False

    def work(self) -> None:
        while not self.stopping.is_set():
            self.life()

    def life(self) -> None:
        """One producer from its start until everything it sent is acknowledged."""
        told = self.ledger.failures
        config = {"bootstrap.servers": self.bootstrap, "error_cb": partial(fatal, told, self.name)}
        producer = Producer(self.stream.config() | config)
        end = time.monotonic() + (self.stream.lives_s or float("inf"))
        while not self.stopping.is_set() and time.monotonic() < end:
            if self.heeds_pause() or not self.burst(producer):
                producer.poll(0.05)
            else:
                producer.poll(0)
                self.stopping.wait(BURST / self.rate)
        while self.waiting and not self.abandoned:
            producer.poll(0.05)
        if self.waiting:
            producer.purge()
            producer.poll(0.1)

    def burst(self, producer) -> bool:
        """Sends a few records; false when the producer takes no more for now."""
        for _ in range(BURST):
            place = self.turn % len(PLACES)
            topic, partition = PLACES[place]
            record_id = contents.id_of(self.number, self.ledger.sent[place][self.number])
            key, value, headers, timestamp = contents.record(record_id, place)
            try:
                producer.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    timestamp=timestamp,
                    headers=headers or [],
                    on_delivery=partial(self.delivered, place, record_id),
                )
            except BufferError:
                return False
            self.ledger.sent[place][self.number] += 1
            self.waiting += 1
            self.turn += 1
        return True

    def delivered(self, place: int, record_id: int, error, message) -> None:
        self.waiting -= 1
        if error is None:
            if (message.topic(), message.partition()) != PLACES[place]:
                at = f"{message.topic()}-{message.partition()}"
                self.ledger.failures.append(f"{contents.name_of(record_id)} was acknowledged for {at}")
            self.ledger.acknowledged[place].append((message.offset(), record_id))
        elif not self.abandoned:
            self.ledger.failures.append(f"{self.name}: {contents.name_of(record_id)} was not delivered: {error}")


def fatal(failures: list, name: str, error) -> None:
    if error.fatal():
        failures.append(f"{name}: fatal: {error}")


def reading_config(bootstrap: str) -> dict:
    own = {
        "bootstrap.servers": bootstrap,
        "group.id": "not-used",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "check.crcs": True,
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 20,
        "queued.max.messages.kbytes": 32_768,
    }
    return own | RECONNECT


class FollowerWorker(Worker):
    """Consumes all places from the beginning on, with one consumer for the whole run."""

    def __init__(self, ledger: Ledger, bootstrap: str):
        super().__init__(ledger, "follower")
        self.bootstrap = bootstrap

    def work(self) -> None:
        consumer = Consumer(reading_config(self.bootstrap))
        try:
            consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in PLACES])
            while not self.stopping.is_set():
                for message in consumer.consume(500, timeout=0.1):
                    if message.error():
                        self.ledger.failures.append(f"follower: {message.topic()}-{message.partition()}: {message.error()}")
                    else:
                        take(self.ledger.followed, message)
        finally:
            consumer.close()


def take(reads: list, message) -> None:
    place = PLACE_OF[message.topic(), message.partition()]
    timestamp = message.timestamp()[1]
    record_id = contents.identify(message.key(), message.value(), message.headers(), timestamp, place)
    reads[place].add(message.offset(), record_id)


class TopicWorker(PausingWorker):
    """Creates topics and deletes every other one; what was acknowledged has to hold."""

    def __init__(self, ledger: Ledger, bootstrap: str):
        super().__init__(ledger, "topics")
        self.admin = AdminClient({"bootstrap.servers": bootstrap} | RECONNECT)
        self.exists = {}
        """Topic → whether it has to be there. One whose answer was lost is in neither state."""

    def work(self) -> None:
        number = 0
        while not self.stopping.is_set():
            if self.heeds_pause():
                self.stopping.wait(0.02)
                continue
            name = f"made-{number}"
            number += 1
            made = self.done(self.admin.create_topics([NewTopic(name, 2, 1)], request_timeout=5)[name])
            if made:
                self.exists[name] = True
            if made and number % 2:
                del self.exists[name]
                if self.done(self.admin.delete_topics([name], request_timeout=5)[name]):
                    self.exists[name] = False
            self.stopping.wait(0.1)

    @staticmethod
    def done(future) -> bool:
        """Whether it was acknowledged; false when the answer was lost with the broker."""
        try:
            future.result(30)
        except KafkaException as error:
            if error.args[0].code() in LOST_ANSWERS or error.args[0].retriable():
                return False
            raise
        return True

    def violations(self) -> list:
        """Waits for what was acknowledged to be listed; one line for each topic where it is not."""
        end = time.monotonic() + 10
        while True:
            try:
                listed = self.admin.list_topics(timeout=10).topics
            except KafkaException as error:
                if error.args[0].code() in LOST_ANSWERS and time.monotonic() < end:
                    continue
                return [f"topics cannot be listed: {error}"]
            wrong = [name for name, wanted in self.exists.items() if (name in listed) != wanted]
            if not wrong or time.monotonic() > end:
                return [f"topic {name} is {'gone' if self.exists[name] else 'back'}" for name in wrong]
            time.sleep(0.05)


class OffsetWorker(PausingWorker):
    """Commits ever larger offsets in several groups; none that was acknowledged may go back."""

    GROUPS = 3

    def __init__(self, ledger: Ledger, bootstrap: str):
        super().__init__(ledger, "offsets")
        self.bootstrap = bootstrap
        self.acknowledged = {}
        """(group, topic, partition) → the largest offset acknowledged."""
        self.commits = 0

    def consumer(self, group: int) -> Consumer:
        return Consumer(reading_config(self.bootstrap) | {"group.id": f"offsets-{group}"})

    def work(self) -> None:
        consumers = [self.consumer(group) for group in range(self.GROUPS)]
        try:
            number = 0
            while not self.stopping.is_set():
                if self.heeds_pause():
                    self.stopping.wait(0.02)
                    continue
                number += 1
                group, (topic, partition) = number % self.GROUPS, PLACES[number % len(PLACES)]
                words = f"{number}"
                wanted = TopicPartition(topic, partition, number, words)
                try:
                    (committed,) = consumers[group].commit(offsets=[wanted], asynchronous=False)
                except KafkaException as error:
                    if error.args[0].code() in LOST_COMMITS or error.args[0].retriable():
                        continue
                    raise
                if committed.error is None:
                    self.acknowledged[group, topic, partition] = number
                    self.commits += 1
                self.stopping.wait(0.01)
        finally:
            for consumer in consumers:
                consumer.close()

    def violations(self) -> list:
        """One line for each partition whose committed offset is older than one that was acknowledged."""
        told = []
        for group in range(self.GROUPS):
            mine = {place[1:]: offset for place, offset in self.acknowledged.items() if place[0] == group}
            for found in self.committed(group, list(mine)):
                if found.offset < mine[found.topic, found.partition] or found.metadata != f"{found.offset}":
                    at = f"{found.topic}-{found.partition} of offsets-{group}"
                    told.append(f"{at} is {found.offset} ({found.metadata}), not {mine[found.topic, found.partition]}")
        return told

    def committed(self, group: int, places: list) -> list:
        consumer, end = self.consumer(group), time.monotonic() + 30
        try:
            while True:
                try:
                    return consumer.committed([TopicPartition(*place) for place in places], timeout=10)
                except KafkaException as error:
                    if error.args[0].code() not in LOST_COMMITS or time.monotonic() > end:
                        raise
        finally:
            consumer.close()


LOST_ANSWERS = {
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    # The client rebootstraps once no broker is left, and drops what it knew of them with the requests under way.
    KafkaError._DESTROY_BROKER,
    KafkaError.REQUEST_TIMED_OUT,
    # Of a request that was sent again after its first answer was lost.
    KafkaError.TOPIC_ALREADY_EXISTS,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


# Of a commit, while the client looks for its coordinator again.
LOST_COMMITS = LOST_ANSWERS | {
    KafkaError._WAIT_COORD,
    KafkaError._DESTROY,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}


class Load:
    """All clients of a run, as one thing to start, pause and stop."""

    def __init__(self, bootstrap: str, rate: int):
        self.bootstrap = bootstrap
        self.ledger = Ledger()
        self.producers = [ProducerWorker(self.ledger, bootstrap, n, rate) for n in range(len(STREAMS))]
        self.follower = FollowerWorker(self.ledger, bootstrap)
        self.topics = TopicWorker(self.ledger, bootstrap)
        self.offsets = OffsetWorker(self.ledger, bootstrap)

    def __enter__(self):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        new = [NewTopic(name, count, 1, config=config) for name, (count, config) in TOPICS.items()]
        for future in admin.create_topics(new).values():
            future.result(30)
        for worker in (*self.producers, self.follower, self.topics, self.offsets):
            worker.start()
        return self

    def __exit__(self, *_):
        for producer in self.producers:
            producer.abandoned = True
            producer.stopping.set()
        for worker in (*self.producers, self.follower, self.topics, self.offsets):
            worker.stop()

    def pause(self) -> None:
        """No new records, topics and commits from now on; what was sent is still being retried."""
        for worker in (*self.producers, self.topics, self.offsets):
            worker.pause()

    def resume(self) -> None:
        for worker in (*self.producers, self.topics, self.offsets):
            worker.resume()

    def settled(self) -> bool:
        """The pause is heeded by all, and everything sent is acknowledged."""
        busy = any(producer.waiting for producer in self.producers)
        return not busy and all(worker.is_idle() for worker in (*self.producers, self.topics, self.offsets))
