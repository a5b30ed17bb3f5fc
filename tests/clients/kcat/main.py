"""kcat, driven as a person would from a shell.

It has no admin calls, so topics are made by the first produce and have the broker's default
settings: one partition, records just under 1 MiB. It chooses no timestamps, and its headers are
command line arguments, which hold no binary data.
"""

import itertools
import json
import pathlib
import subprocess
import sys
import threading
from dataclasses import replace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))

from contents import MIB, TOPIC_LIMIT, Record
from suite import DEADLINE_S, Adapter, TooLarge, expect, main

END_OF_KEY = b"<end-of-key>"
END_OF_RECORD = b"<end-of-record>"
LARGEST = 1_048_000
"""Bytes of the largest value: with headers and batch header it stays under the default limit."""


LISTED = (
    '{"originating_broker":{"id":1,"name":"BROKER/1"},"query":{"topic":"TOPIC"},"controllerid":1,'
    '"brokers":[{"id":1,"name":"BROKER"}],"topics":[{"topic":"TOPIC","partitions":'
    '[{"partition":0,"leader":1,"replicas":[{"id":1}],"isrs":[{"id":1}]}]}]}'
)
LISTED_FOR_PEOPLE = """Metadata for TOPIC (from broker 1: BROKER/1):
 1 brokers:
  broker 1 at BROKER (controller)
 1 topics:
  topic "TOPIC" with 1 partitions:
    partition 0, leader 1, replicas: 1, isrs: 1
"""
"""What Apache Kafka 4.3 with one broker, one partition and node.id=1 has kcat print."""


class Kcat(Adapter):
    name = "kcat"
    cannot = frozenset({"create", "delete", "timestamps"})
    partitions = 1

    @staticmethod
    def first_record(bootstrap, topic):
        subprocess.run(["kcat", "-b", bootstrap, "-P", "-t", topic], input=b"first\n", timeout=DEADLINE_S, check=True)
        group = ["-G", f"{topic}-group", "-X", "auto.offset.reset=earliest", "-c", "1", topic]
        read = subprocess.run(["kcat", "-b", bootstrap, *group], capture_output=True, timeout=DEADLINE_S, check=True)
        expect("the record", read.stdout, b"first\n")

    def check_groups(self, suite):
        check_groups(suite)

    def expected(self, records):
        return [sendable(r) for r in super().expected(records)]

    def run(self, arguments, data=b""):
        """The standard output of one kcat; raises with its standard error when it fails."""
        done = subprocess.run(
            ["kcat", "-b", self.bootstrap, *arguments],
            input=data,
            capture_output=True,
            timeout=2 * DEADLINE_S,
            check=False,
        )
        if done.returncode != 0:
            error = done.stderr.decode(errors="replace").strip()
            if "Message size too large" in error:
                raise TooLarge(error)
            raise RuntimeError(error)
        return done.stdout

    def topics(self):
        listed = json.loads(self.run(["-L", "-J"]))["topics"]
        return {
            topic["topic"]: sum(1 for p in topic["partitions"] if p["leader"] >= 0)
            for topic in listed
        }

    def produce(self, topic, records, codec="none", acks="all", idempotent=True):
        settings = {
            "acks": acks,
            "enable.idempotence": str(idempotent).lower(),
            "message.max.bytes": TOPIC_LIMIT,
            "message.timeout.ms": DEADLINE_S * 1000,
        }
        common = ["-P", "-t", topic, "-z", codec, "-D", END_OF_RECORD]
        for name, value in settings.items():
            common += ["-X", f"{name}={value}"]
        for shape, group in itertools.groupby(records, shape_of):
            partition, null_key, null_value, headers = shape
            arguments = [*common, "-p", str(partition)]
            for name, value in headers:
                arguments += ["-H", name if value is None else name.encode() + b"=" + value]
            if null_value:
                arguments.append("-Z")
            if not null_key:
                arguments += ["-K", END_OF_KEY]
            lines = [
                (b"" if null_key else r.key + END_OF_KEY) + (r.value or b"") + END_OF_RECORD
                for r in group
            ]
            self.run(arguments, b"".join(lines))
        return [-1] * len(records)

    def read(self, topic, partition, start, count):
        return self.read_following(topic, partition, start, count, threading.Event())

    def read_following(self, topic, partition, start, count, first_read):
        arguments = ["-C", "-u", "-t", topic, "-p", str(partition), "-o", str(start)]
        arguments += ["-c", str(count), "-X", "check.crcs=true"]
        arguments += ["-f", "%p %o %T %K %S\n%h\n%k%s"]
        command = ["kcat", "-b", self.bootstrap, "-q", *arguments]
        got = []
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            timer = threading.Timer(DEADLINE_S, process.kill)
            timer.start()
            try:
                while record := next_record(process.stdout):
                    got.append(record)
                    first_read.set()
            finally:
                timer.cancel()
        return got

    def query(self, topic, partition, timestamp):
        """The offset that kcat prints at the end of its line; -1 when there is none."""
        answer = self.run(["-Q", "-t", f"{topic}:{partition}:{timestamp}"])
        return int(answer.split()[-1])

    def beginning(self, topic, partition):
        return self.query(topic, partition, -2)

    def end(self, topic, partition):
        return self.query(topic, partition, -1)

    def at_time(self, topic, partition, timestamp):
        offset = self.query(topic, partition, timestamp)
        return offset if offset >= 0 else None


def sendable(record):
    """The record as kcat can send it."""
    key, value = record.key, record.value
    if key == b"" and value is None:
        key = b"one switch makes both null"
    if key is None and not value:
        value = b"an empty line is skipped"
    if value and len(value) == MIB:
        value = value[:LARGEST]
    headers = [(n, v.hex().encode() if v else v) for n, v in record.headers]
    return replace(record, key=key, value=value, headers=headers)


def shape_of(record):
    """What records sent by one run of kcat have in common."""
    return record.partition, record.key is None, record.value is None, tuple(record.headers)


def next_record(stream):
    """The next (offset, Record) of kcat's output, `None` at its end."""
    numbers = stream.readline().split()
    if len(numbers) != 5:
        return None
    partition, offset, timestamp, key_length, value_length = map(int, numbers)
    text = stream.readline().decode().rstrip("\n")
    headers = [header(part) for part in text.split(",")] if text else []
    key, value = (
        None if length < 0 else stream.read(length) for length in (key_length, value_length)
    )
    return offset, Record(partition, key, value, headers, timestamp)


def header(part):
    name, _, value = part.partition("=")
    return name, None if value == "NULL" else value.encode()


def read_by_group(suite, topic, first, count):
    """`count` records, which must be the offsets from `first` on; kcat commits them when it ends."""
    settings = ["-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000"]
    told = suite.client.run(["-G", suite.topic("readers"), "-q", "-c", str(count), "-f", "%o\\n", *settings, topic])
    expect("offsets", [int(line) for line in told.split()], list(range(first, first + count)))


def check_groups(suite):
    topic = suite.topic("group")

    def records(count):
        return suite.client.expected([Record(0, None, b"value", [], None)] * count)

    def listed():
        suite.client.produce(topic, records(1))
        broker = suite.client.bootstrap
        wanted = LISTED.replace("BROKER", broker).replace("TOPIC", topic)
        expect("kcat -L -J", suite.client.run(["-L", "-J", "-t", topic]).decode(), wanted)
        wanted = LISTED_FOR_PEOPLE.replace("BROKER", broker).replace("TOPIC", topic)
        expect("kcat -L", suite.client.run(["-L", "-t", topic]).decode(), wanted)

    def reads_all():
        suite.client.produce(topic, records(19))
        read_by_group(suite, topic, 0, 20)

    def goes_on():
        suite.client.produce(topic, records(5))
        read_by_group(suite, topic, 20, 5)

    suite.check("the listing is Kafka's to the byte", listed)
    suite.check("group reads from the beginning", reads_all)
    suite.check("group goes on where it committed", goes_on)


main(Kcat)
