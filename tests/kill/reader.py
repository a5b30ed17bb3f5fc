"""Reads everything back from the beginning, and judges it against the ledger."""

import time

from confluent_kafka import Consumer, TopicPartition

import check
from check import History, Read
from load import PLACES, STREAMS, Ledger, reading_config, take

SETTLE_S = 60
READ_S = 120
IDEMPOTENT = {number for number, stream in enumerate(STREAMS) if stream.idempotent}


def until(what: str, limit_s: float, condition, must=lambda: None) -> None:
    """Waits until `condition()`, at most `limit_s`; `must` raises when waiting is in vain."""
    end = time.monotonic() + limit_s
    while not condition():
        must()
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.02)


def read_all(bootstrap: str) -> list:
    """One `Read` for each place, from offset 0 to the high watermark of now."""
    consumer = Consumer(reading_config(bootstrap))
    try:
        ends = []
        for topic, partition in PLACES:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30, cached=False)
            if low != 0:
                raise AssertionError(f"{topic}-{partition} begins at offset {low}")
            ends.append(high)
        reads = [Read() for _ in PLACES]
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in PLACES])
        deadline = time.monotonic() + READ_S
        while any((read.offsets[-1] + 1 if read.offsets else 0) < end for read, end in zip(reads, ends)):
            for message in consumer.consume(1000, timeout=0.2):
                if message.error():
                    raise AssertionError(f"{message.topic()}-{message.partition()}: {message.error()}")
                take(reads, message)
            if time.monotonic() > deadline:
                got = ", ".join(f"{t}-{p} {len(r)} of {e}" for (t, p), r, e in zip(PLACES, reads, ends))
                raise AssertionError(f"not read back within {READ_S} s: {got}")
        return reads
    finally:
        consumer.close()


class Judge:
    """Compares each reading with the ledger and with the reading before it."""

    def __init__(self, load):
        self.load = load
        self.before = [Read() for _ in PLACES]
        self.told = 0

    def judge(self, must) -> str:
        """Lets the load settle, reads everything back and checks it; the load stays paused.

        Raises AssertionError with the violations. `must` raises when the broker is gone.
        """
        load, ledger = self.load, self.load.ledger
        load.pause()
        until("all records acknowledged", SETTLE_S, load.settled, lambda: (must(), self.no_failures(ledger)))
        self.no_failures(ledger)
        reads = read_all(load.bootstrap)

        def followed():
            return all(len(seen) >= len(read) for seen, read in zip(ledger.followed, reads))

        try:
            until("the follower at the end", SETTLE_S, followed, must)
        except AssertionError:
            pass  # the histories say what it lacks
        violations = []
        for place, (topic, partition) in enumerate(PLACES):
            history = History(
                f"{topic}-{partition}",
                IDEMPOTENT,
                dict(ledger.sent[place]),
                list(ledger.acknowledged[place]),
                reads[place],
                ledger.followed[place],
                self.before[place],
                complete=True,
            )
            violations += check.check(history)
        self.before = reads
        self.no_failures(ledger)
        topics = [check.Violation(check.LOST, text) for text in load.topics.violations()]
        violations += topics
        violations += [check.Violation(check.LOST, text) for text in load.offsets.violations()]
        if violations:
            raise AssertionError(f"{len(violations)} violations\n    {check.tell(violations)}")
        retried = sum(map(len, reads)) - ledger.acknowledged_total()
        return (
            f"{ledger.acknowledged_total()} acknowledged, {sum(map(len, reads))} read back "
            f"({retried} unacknowledged copies), {len(load.topics.exists)} topics made or deleted, {load.offsets.commits} commits"
        )

    def no_failures(self, ledger: Ledger) -> None:
        """Raises with what clients were told since the last time."""
        told = ledger.failures[self.told :]
        self.told += len(told)
        if told:
            violations = [check.Violation(check.FAILED, text) for text in told]
            raise AssertionError(f"{len(told)} failures\n    {check.tell(violations)}")
