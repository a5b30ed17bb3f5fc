"""The records of the load: made from their identity, so that nothing sent has to be kept.

Speaks to no broker. A record's identity is its stream (which producer), its topic and partition,
and its number among that stream's records of that partition, from 0 on without a hole.
"""

import random
import struct
import time

POOL = random.Random(20260722).randbytes(1 << 20)
BASE_MS = time.time_ns() // 1_000_000
"""The timestamp of every stream's first record. Of this run, because a broker may forget producers
whose records are older than a day."""
MIX = 0x9E3779B97F4A7C15
STREAM_SHIFT = 40
"""A record's number has 40 bits, its stream the bits above: together one integer, the id."""
NUMBER_MASK = (1 << STREAM_SHIFT) - 1
CHANGED = -1
"""The id of a record whose bytes are no record's that could have been sent."""

_HEAD = struct.Struct(">QI")


def id_of(stream: int, number: int) -> int:
    return stream << STREAM_SHIFT | number


def stream_of(record_id: int) -> int:
    return record_id >> STREAM_SHIFT


def number_of(record_id: int) -> int:
    return record_id & NUMBER_MASK


def name_of(record_id: int) -> str:
    """For messages."""
    if record_id == CHANGED:
        return "unknown bytes"
    return f"record {number_of(record_id)} of stream {stream_of(record_id)}"


def record(record_id: int, place: int) -> tuple:
    """Key, value, headers and timestamp (ms) of a record; `place` is the partition's number in the run.

    Most values are below 500 bytes, 2 % are 2-20 KiB and 0.05 % 60-300 KiB; half compress well.
    Some keys and some values are null, never both.
    """
    number = record_id & NUMBER_MASK
    head = _HEAD.pack(record_id, place)
    headers = [("n", b"%d" % number), ("null", None)] if number % 8 == 3 else None
    if number % 17 == 5:
        return head, None, headers, BASE_MS + number
    mixed = ((record_id ^ place << 56) * MIX) & 0xFFFFFFFFFFFFFFFF
    chance, spread = (mixed >> 40) % 2000, mixed >> 16 & 0xFFFFF
    if chance == 0:
        length = 60_000 + spread % 240_000
    elif chance <= 40:
        length = 2_000 + spread % 18_000
    else:
        length = spread % 500
    if mixed >> 63:
        start = spread % (len(POOL) - length)
        body = POOL[start : start + length]
    else:
        start = spread % (len(POOL) - 64)
        body = (POOL[start : start + 64] * (length // 64 + 1))[:length]
    key = None if number % 3 == 0 else head
    return key, head + body, headers, BASE_MS + number


def identify(key, value, headers, timestamp, place: int) -> int:
    """The id of a record as it was read, `CHANGED` when any part of it is not as it was sent."""
    head = (key if value is None else value) or b""
    if len(head) < _HEAD.size:
        return CHANGED
    record_id, named_place = _HEAD.unpack_from(head)
    if named_place != place or (key, value, headers or None, timestamp) != record(record_id, place):
        return CHANGED
    return record_id
