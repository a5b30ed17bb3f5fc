"""The records every client writes and reads back, made from a seed.

The same rules are written once per language, see `tests/clients/README.md`. Nothing here speaks
to a broker.
"""

from dataclasses import dataclass, field

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PARTITIONS = 3
RECORDS = 40
MIB = 1 << 20
"""Bytes in the value of the two large records of each partition."""
TOPIC_LIMIT = 4 * MIB
"""`max.message.bytes` of the topics that hold large records."""
DEFAULT_LIMIT = 1_048_588
"""Kafka's default `max.message.bytes`."""
BASE_MS = 1_700_000_000_000
BULK = 10_000


@dataclass
class Record:
    """One record; `timestamp` in milliseconds, `None` where the client cannot choose it."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    timestamp: int | None = None


def random_bytes(seed: int, length: int) -> bytes:
    """`length` bytes of xorshift32, four a step, little end first. `seed` is not a multiple of 2^32."""
    state = (seed * 2654435761) & 0xFFFFFFFF
    out = bytearray()
    for _ in range((length + 3) // 4):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        out += state.to_bytes(4, "little")
    return bytes(out[:length])


def repeated_bytes(seed: int, length: int) -> bytes:
    """`length` bytes that compress well: 16 random ones over and over."""
    return (random_bytes(seed, 16) * (length // 16 + 1))[:length]


def key_of(seed: int, i: int) -> bytes | None:
    if i % 5 == 0:
        return None
    return b"" if i % 5 == 1 else random_bytes(seed * 4, 1 + i)


def value_of(seed: int, i: int) -> bytes | None:
    if i % 7 == 3:
        return None
    if i % 7 == 5:
        return b""
    length = MIB if i in (20, 21) else (i * i * 7) % 3000 + 1
    make = repeated_bytes if i % 2 else random_bytes
    return make(seed * 4 + 1, length)


def headers_of(seed: int, i: int) -> list:
    if i % 3 == 0:
        return []
    data = random_bytes(seed * 4 + 2, 4 + i)
    if i % 3 == 1:
        return [("h", data)]
    return [("é", b"1"), ("é", data), ("empty", b""), ("null", None)]


def timestamp_of(partition: int, i: int) -> int:
    """Out of order on purpose: a search by time has to look at records, not only at batches."""
    return BASE_MS + (i * 37) % RECORDS * 1000 + partition


def records_of(codec: str, partition: int) -> list[Record]:
    """The records of one partition in offset order."""
    first = CODECS.index(codec) * 100_000 + partition * 1000 + 1
    return [
        Record(
            partition,
            key_of(first + i, i),
            value_of(first + i, i),
            headers_of(first + i, i),
            timestamp_of(partition, i),
        )
        for i in range(RECORDS)
    ]


def all_records(codec: str, partitions: int = PARTITIONS) -> list[Record]:
    """The records of all partitions, interleaved as they are to be sent."""
    by_partition = [records_of(codec, p) for p in range(partitions)]
    return [records[i] for i in range(RECORDS) for records in by_partition]


def bulk_records() -> list[Record]:
    """Many small ones for one partition, so that requests are pipelined."""
    return [
        Record(0, b"%d" % i, random_bytes(7_000_000 + i, 100), [], BASE_MS + i) for i in range(BULK)
    ]


def first_at_or_after(records: list[Record], timestamp: int) -> int | None:
    """What ListOffsets must answer: the first offset whose record is not older."""
    for offset, record in enumerate(records):
        if record.timestamp >= timestamp:
            return offset
    return None
