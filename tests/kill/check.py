"""The rules a partition's history must obey. Pure: it is given everything and speaks to nobody.

Rules, for one partition:

- offsets are dense from the log's start, and every record has the bytes of one that was sent;
- an acknowledged record is at its offset, and no offset was acknowledged for two records;
- each stream's records first appear in the order they were sent, none left out;
- an idempotent stream's records are there once, the unacknowledged too; of others an
  unacknowledged copy may stand before the acknowledged one (a retry), never behind it;
- what a consumer once saw, following or reading back, is what is there at the end.
"""

from array import array
from dataclasses import dataclass, field

from contents import CHANGED, name_of, number_of, stream_of

LOST = "lost"
DUPLICATED = "duplicated"
REORDERED = "reordered"
CHANGED_BYTES = "changed"
REUSED = "offset used twice"
GAP = "gap in offsets"
NEVER_SENT = "never sent"
UNSTABLE = "read differently before"
UNSEEN = "not seen by the follower"
FAILED = "delivery failed"

UNKNOWN_OFFSET = -1
"""A delivery report without an offset: the record is somewhere in the log."""
MOST_TOLD = 20
"""Violations told in full; the others are only counted."""


@dataclass
class Violation:
    kind: str
    text: str


def numbers() -> array:
    return array("q")


@dataclass
class Read:
    """What one consumer read from one partition, in the order it came."""

    offsets: array = field(default_factory=numbers)
    ids: array = field(default_factory=numbers)

    def add(self, offset: int, record_id: int) -> None:
        self.offsets.append(offset)
        self.ids.append(record_id)

    def __len__(self):
        return len(self.offsets)


@dataclass
class History:
    """Everything known of one partition. `complete`: every record sent has been acknowledged and
    the follower was given the time to see it."""

    name: str
    idempotent: set
    sent: dict
    """Stream → how many records were handed to its producer."""
    acknowledged: list
    """(offset, id) of the delivery reports."""
    log: Read
    followed: Read
    before: Read = field(default_factory=Read)
    """The previous reading from the beginning."""
    complete: bool = False


def check(history: History) -> list:
    """All violations, in the order of the rules."""
    found = []

    def violated(kind, text):
        found.append(Violation(kind, f"{history.name}: {kind}: {text}"))

    check_log(history, violated)
    check_acknowledged(history, violated)
    check_streams(history, violated)
    check_readers(history, violated)
    return found


def check_log(history, violated) -> None:
    for at, (offset, record_id) in enumerate(zip(history.log.offsets, history.log.ids)):
        if offset != at:
            violated(GAP, f"offset {offset} was read where {at} was due")
            break
    for offset, record_id in zip(history.log.offsets, history.log.ids):
        if record_id == CHANGED:
            violated(CHANGED_BYTES, f"offset {offset} holds bytes that nobody sent")
        elif number_of(record_id) >= history.sent.get(stream_of(record_id), 0):
            violated(NEVER_SENT, f"offset {offset} holds {name_of(record_id)}")


def check_acknowledged(history, violated) -> None:
    at = dict(zip(history.log.offsets, history.log.ids))
    present = set(history.log.ids)
    by_offset = {}
    for offset, record_id in history.acknowledged:
        if offset != UNKNOWN_OFFSET and by_offset.setdefault(offset, record_id) != record_id:
            both = f"{name_of(by_offset[offset])} and {name_of(record_id)}"
            violated(REUSED, f"offset {offset} was acknowledged for {both}")
        if record_id not in present:
            violated(LOST, f"{name_of(record_id)}, acknowledged at offset {offset}")
        elif offset != UNKNOWN_OFFSET and at.get(offset) != record_id:
            there = name_of(at[offset]) if offset in at else "nothing"
            violated(REUSED, f"offset {offset} acknowledged {name_of(record_id)} and holds {there}")
    if not history.complete:
        return
    acknowledged = {record_id for _, record_id in history.acknowledged}
    wanted = sum(history.sent.values())
    if len(acknowledged) != wanted:
        violated(LOST, f"{wanted} records were sent and {len(acknowledged)} acknowledged")


def check_streams(history, violated) -> None:
    due = dict.fromkeys(history.sent, 0)
    acknowledged_at = {i: o for o, i in history.acknowledged if o != UNKNOWN_OFFSET}
    for offset, record_id in zip(history.log.offsets, history.log.ids):
        if record_id == CHANGED:
            continue
        stream, number = stream_of(record_id), number_of(record_id)
        next_number = due.get(stream, 0)
        if number > next_number:
            violated(REORDERED, f"offset {offset} holds {name_of(record_id)}, number {next_number} was due")
            due[stream] = number + 1
        elif number == next_number:
            due[stream] = number + 1
        elif stream in history.idempotent:
            violated(DUPLICATED, f"offset {offset} holds {name_of(record_id)} again")
        elif offset > acknowledged_at.get(record_id, offset):
            violated(DUPLICATED, f"offset {offset} holds {name_of(record_id)} after its acknowledged copy")
    last = {}
    for offset, record_id in sorted(pair for pair in history.acknowledged if pair[0] != UNKNOWN_OFFSET):
        stream, number = stream_of(record_id), number_of(record_id)
        if number < last.get(stream, -1):
            violated(REORDERED, f"{name_of(record_id)} was acknowledged at {offset}, behind number {last[stream]}")
        last[stream] = number


def check_readers(history, violated) -> None:
    for who, read in (("the follower", history.followed), ("the reading before", history.before)):
        log = zip(history.log.offsets, history.log.ids)
        for seen, there in zip(zip(read.offsets, read.ids), log):
            if seen != there:
                saw = f"{name_of(seen[1])} at offset {seen[0]}"
                violated(UNSTABLE, f"{who} saw {saw}; there is {name_of(there[1])} at offset {there[0]}")
                break
        if len(read) > len(history.log):
            violated(UNSTABLE, f"{who} saw {len(read)} records, {len(history.log)} are there")
    if history.complete and len(history.followed) < len(history.log):
        violated(UNSEEN, f"{len(history.followed)} of {len(history.log)} records")


def tell(violations: list) -> str:
    """One text of as many lines as a reader can use."""
    lines = [v.text for v in violations[:MOST_TOLD]]
    if len(violations) > MOST_TOLD:
        lines.append(f"and {len(violations) - MOST_TOLD} more")
    return "\n    ".join(lines)
