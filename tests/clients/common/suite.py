"""The checks, run on every Python client through the same few calls.

A client program gives `main` an adapter and nothing else; what a client cannot do by itself is
said in the adapter's `cannot`, and the check is then left out, never passed.
"""

import argparse
import os
import sys
import threading
import time
import traceback
from dataclasses import replace

import contents
from contents import Record

DEADLINE_S = 30
"""How long any one condition is waited for."""


class TooLarge(Exception):
    """The broker refused a record for its size."""


class Adapter:
    """The calls a client is tested through; each subclass is one client.

    Offsets and timestamps (milliseconds) are plain integers. Every call ends by itself within a
    minute or raises.
    """

    name = "?"
    codecs = contents.CODECS
    partitions = contents.PARTITIONS
    cannot: frozenset = frozenset()
    """Of: "create", "delete", "list" (topics), "too large" (to tell that error from others),
    "timestamps" (to choose them), "null headers", "null pairs" (key and value both null), "static members",
    "cooperative" (rebalancing)."""

    member = None
    """The class of its group members: a `groups.Member`."""

    def __init__(self, bootstrap: str):
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int, config: dict) -> None:
        raise NotImplementedError

    def delete_topic(self, topic: str) -> None:
        raise NotImplementedError

    def topics(self) -> dict:
        """Topic name → number of partitions that have a leader. Creates nothing."""
        raise NotImplementedError

    def produce(self, topic, records, codec="none", acks="all", idempotent=True) -> list:
        """Sends all, waits for all acknowledgements; the offset of each record, -1 when unknown."""
        raise NotImplementedError

    def read(self, topic: str, partition: int, start: int, count: int) -> list:
        """`count` (offset, Record) pairs from offset `start` on; fewer when `DEADLINE_S` is over."""
        raise NotImplementedError

    def read_following(self, topic, partition, start, count, first_read) -> list:
        """Like `read`, and sets the event `first_read` as soon as the first record is there."""
        raise NotImplementedError

    def check_groups(self, suite) -> None:
        """Runs the checks of groups."""
        # Here, since it is made of what is below.
        from groups import GroupChecks

        GroupChecks(suite).run()

    def expected(self, records: list) -> list:
        """The records as this client can write them: less what it `cannot`."""
        if "null headers" in self.cannot:
            records = [replace(r, headers=[h for h in r.headers if h[1] is not None]) for r in records]
        if "timestamps" in self.cannot:
            records = [replace(r, timestamp=None) for r in records]
        if "null pairs" in self.cannot:
            records = [
                replace(r, value=b"for the null") if r.key is None and r.value is None else r
                for r in records
            ]
        return records

    def beginning(self, topic: str, partition: int) -> int:
        raise NotImplementedError

    def end(self, topic: str, partition: int) -> int:
        raise NotImplementedError

    def at_time(self, topic: str, partition: int, timestamp: int) -> int | None:
        """The first offset whose record is not older than `timestamp`, `None` when there is none."""
        raise NotImplementedError


def expect(what: str, got, wanted) -> None:
    """Raises with a short account when the two differ."""
    if got != wanted:
        raise AssertionError(f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def shorten(value) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:120]}… ({len(text)} characters)"


def until(what: str, condition) -> None:
    """Waits until `condition()` is true, at most `DEADLINE_S`."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {DEADLINE_S} s")
        time.sleep(0.05)


class Suite:
    """Runs the checks in order on topics whose names start with `prefix`."""

    def __init__(self, client: Adapter, prefix: str):
        self.client = client
        self.prefix = prefix
        self.passed = 0
        self.failed = 0

    def check(self, name: str, body) -> bool:
        try:
            body()
        except Exception as error:  # a client may raise anything: each is this check's failure
            self.failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc(file=sys.stderr)
            return False
        self.passed += 1
        print(f"ok   {name}", flush=True)
        return True

    def skip_failed(self, *names: str) -> None:
        """Counts as failed what has nothing to look at, without waiting for it."""
        for name in names:
            self.failed += 1
            print(f"FAIL {name}: nothing was produced", flush=True)

    def can(self, what: str) -> bool:
        return what not in self.client.cannot

    def topic(self, part: str) -> str:
        return f"{self.prefix}-{part}"

    def run(self) -> bool:
        client = self.client
        if self.can("create"):
            self.check("create topics", self.create)
        for codec in client.codecs:
            if not self.check(f"produce {codec}", lambda c=codec: self.produce(c)):
                self.skip_failed(f"consume {codec}", f"offsets {codec}")
                continue
            self.check(f"consume {codec}", lambda c=codec: self.consume(c))
            self.check(f"offsets {codec}", lambda c=codec: self.offsets(c))
        self.check("seek into a batch", self.seek)
        self.check("bulk", self.bulk)
        self.check("acks 1", lambda: self.acks("1"))
        self.check("acks 0", lambda: self.acks("0"))
        self.check("fetch waits for a record", self.tail)
        if self.can("list"):
            self.check("topic made by the first produce", self.auto_create)
        if self.can("too large"):
            self.check("record above the limit refused", self.too_large)
            self.check("record just under the limit", self.just_under)
        if self.can("delete"):
            self.check("delete topic", self.delete)
        client.check_groups(self)
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return self.failed == 0 and self.passed > 0

    def create(self) -> None:
        limits = {"max.message.bytes": str(contents.TOPIC_LIMIT), "retention.ms": "-1"}
        wanted = {}
        for codec in self.client.codecs:
            self.client.create_topic(self.topic(codec), contents.PARTITIONS, limits)
            wanted[self.topic(codec)] = contents.PARTITIONS
        for part in ("bulk", "acks-0", "acks-1", "tail", "limit"):
            self.client.create_topic(self.topic(part), 1, {"retention.ms": "-1"})
            wanted[self.topic(part)] = 1

        def listed():
            topics = self.client.topics()
            return all(topics.get(name) == count for name, count in wanted.items())

        until("all topics listed with their leaders", listed)

    def expected(self, codec: str, partition: int) -> list:
        return self.client.expected(contents.records_of(codec, partition))

    def produce(self, codec: str) -> None:
        records = self.client.expected(contents.all_records(codec, self.client.partitions))
        offsets = self.client.produce(self.topic(codec), records, codec)
        for partition in range(self.client.partitions):
            got = [o for o, r in zip(offsets, records, strict=True) if r.partition == partition]
            wanted = [-1] * len(got) if -1 in got else list(range(len(got)))
            expect(f"offsets acknowledged in partition {partition}", got, wanted)

    def consume(self, codec: str) -> None:
        for partition in range(self.client.partitions):
            wanted = self.expected(codec, partition)
            got = self.client.read(self.topic(codec), partition, 0, len(wanted))
            self.compare(got, wanted, 0)

    def compare(self, got: list, wanted: list, start: int) -> None:
        expect("offsets read", [o for o, _ in got], list(range(start, start + len(wanted))))
        for (offset, record), want in zip(got, wanted, strict=True):
            for part in ("partition", "key", "value", "headers"):
                expect(f"{part} at offset {offset}", getattr(record, part), getattr(want, part))
            if want.timestamp is not None:
                expect(f"timestamp at offset {offset}", record.timestamp, want.timestamp)

    def offsets(self, codec: str) -> None:
        topic = self.topic(codec)
        for partition in range(self.client.partitions):
            records = self.expected(codec, partition)
            expect("beginning", self.client.beginning(topic, partition), 0)
            expect("end", self.client.end(topic, partition), len(records))
            if not self.can("timestamps"):
                read = self.client.read(topic, partition, 0, len(records))
                records = [r for _, r in read]
            stamps = sorted({r.timestamp for r in records})
            for timestamp in [0, *stamps[::5], stamps[len(stamps) // 2] + 1, stamps[-1], stamps[-1] + 1]:
                expect(
                    f"offset at {timestamp} in partition {partition}",
                    self.client.at_time(topic, partition, timestamp),
                    contents.first_at_or_after(records, timestamp),
                )

    def seek(self) -> None:
        codec = self.client.codecs[-1]
        partition = self.client.partitions - 1
        records = self.expected(codec, partition)
        for start in (7, 19, 20, 21, 22, len(records) - 1):
            got = self.client.read(self.topic(codec), partition, start, 1)
            self.compare(got, records[start : start + 1], start)

    def bulk(self) -> None:
        records = self.client.expected(contents.bulk_records())
        offsets = self.client.produce(self.topic("bulk"), records, "none")
        if -1 not in offsets:
            expect("offsets acknowledged", offsets, list(range(len(records))))
        got = self.client.read(self.topic("bulk"), 0, 0, len(records))
        self.compare(got, records, 0)
        expect("end", self.client.end(self.topic("bulk"), 0), len(records))

    def acks(self, acks: str) -> None:
        topic = self.topic(f"acks-{acks}")
        records = self.client.expected(contents.bulk_records()[:100])
        self.client.produce(topic, records, "none", acks=acks, idempotent=False)
        until("all records in the log", lambda: self.client.end(topic, 0) == len(records))
        self.compare(self.client.read(topic, 0, 0, len(records)), records, 0)

    def tail(self) -> None:
        """A reader that has caught up is given the next record when it comes."""
        topic = self.topic("tail")
        records = self.client.expected(contents.bulk_records()[:2])
        self.client.produce(topic, records[:1])
        first_read = threading.Event()
        got = []

        def reader():
            got.extend(self.client.read_following(topic, 0, 0, 2, first_read))

        thread = threading.Thread(target=reader)
        thread.start()
        seen = first_read.wait(DEADLINE_S)
        if seen:
            self.client.produce(topic, records[1:])
        thread.join(2 * DEADLINE_S)
        expect("first record seen", seen, True)
        self.compare(got, records, 0)

    def auto_create(self) -> None:
        topic = self.topic("auto")
        expect("topic before", topic in self.client.topics(), False)
        records = self.client.expected(contents.bulk_records()[:5])
        self.client.produce(topic, records)
        self.compare(self.client.read(topic, 0, 0, 5), records, 0)
        expect("topic after", self.client.topics().get(topic), 1)

    def too_large(self) -> None:
        value = contents.random_bytes(99, contents.DEFAULT_LIMIT + 1)
        records = self.client.expected([Record(0, None, value, [], contents.BASE_MS)])
        try:
            self.client.produce(self.topic("limit"), records)
        except TooLarge:
            return
        raise AssertionError("the record was acknowledged")

    def just_under(self) -> None:
        value = contents.random_bytes(98, contents.DEFAULT_LIMIT - 200)
        records = self.client.expected([Record(0, None, value, [], contents.BASE_MS)])
        self.client.produce(self.topic("limit"), records)
        self.compare(self.client.read(self.topic("limit"), 0, 0, 1), records, 0)
        expect("end", self.client.end(self.topic("limit"), 0), 1)

    def delete(self) -> None:
        topic = self.topic("bulk")
        self.client.delete_topic(topic)
        until("topic no longer listed", lambda: topic not in self.client.topics())
        self.client.create_topic(topic, 1, {"retention.ms": "-1"})
        until("topic listed again", lambda: self.client.topics().get(topic) == 1)
        expect("end of the new topic", self.client.end(topic, 0), 0)


def main(make) -> None:
    """Reads the command line, runs the checks on `make(bootstrap)` and exits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--prefix", help="start of every topic name")
    parser.add_argument("--first-record", metavar="TOPIC", help="no checks, see the README")
    args = parser.parse_args()
    if args.first_record:
        print("ready", flush=True)
        sys.stdin.readline()
        make.first_record(args.bootstrap, args.first_record)
        print("record", flush=True)
        sys.exit(0)
    client = make(args.bootstrap)
    suite = Suite(client, args.prefix or f"{client.name}-{os.getpid()}-{int(time.time())}")
    sys.exit(0 if suite.run() else 1)
