"""Proves the checker: it is given histories with one planted violation each and must find it."""

import check
import contents
from check import History, Read, Violation
from contents import CHANGED, id_of

IDEMPOTENT, PLAIN = 0, 1
RECORDS = 12


def clean() -> History:
    """Two streams of which the plain one was retried once: its numbers 2 and 3 are there twice."""
    ids = []
    for number in range(RECORDS // 2):
        ids += [id_of(IDEMPOTENT, number), id_of(PLAIN, number)]
    retried = [id_of(PLAIN, 2), id_of(PLAIN, 3)]
    ids = ids[:8] + retried + ids[8:]
    last = {record_id: offset for offset, record_id in enumerate(ids)}
    acknowledged = [(offset, record_id) for record_id, offset in last.items()]
    sent = {IDEMPOTENT: RECORDS // 2, PLAIN: RECORDS // 2}
    history = History("planted", {IDEMPOTENT}, sent, acknowledged, reading(ids), reading(ids))
    history.before = reading(ids[:9])
    history.complete = True
    return history


def reading(ids, first=0) -> Read:
    read = Read()
    for offset, record_id in enumerate(ids, first):
        read.add(offset, record_id)
    return read


def relog(history: History, ids) -> None:
    """Puts a log in place that every reader saw alike, so that only the other rules can object."""
    history.log, history.followed, history.before = reading(ids), reading(ids), Read()


def reacknowledge(history: History, ids) -> None:
    """Acknowledges exactly what stands in the log, the last copy of each."""
    relog(history, ids)
    last = {record_id: offset for offset, record_id in enumerate(ids)}
    history.acknowledged = [(offset, record_id) for record_id, offset in last.items()]


def lose_the_tail(history):
    relog(history, list(history.log.ids)[:-1])


def lose_from_the_middle(history):
    ids = list(history.log.ids)
    relog(history, ids[:4] + ids[5:])


def lose_one_without_an_offset(history):
    history.acknowledged[-1] = (check.UNKNOWN_OFFSET, history.acknowledged[-1][1])
    relog(history, list(history.log.ids)[:-1])


def leave_one_unacknowledged(history):
    history.acknowledged.pop()


def duplicate_an_idempotent(history):
    reacknowledge(history, [*history.log.ids, id_of(IDEMPOTENT, 5)])


def duplicate_behind_the_acknowledged(history):
    relog(history, [*history.log.ids, id_of(PLAIN, 2)])


def duplicate_an_unacknowledged(history):
    """A retry of an idempotent producer that was stored both times, not yet answered."""
    history.complete = False
    ids = list(history.log.ids)
    ids += [id_of(IDEMPOTENT, 6), id_of(IDEMPOTENT, 6)]
    history.sent[IDEMPOTENT] = 7
    relog(history, ids)


def reorder_an_idempotent(history):
    ids = list(history.log.ids)
    ids[2], ids[4] = ids[4], ids[2]
    reacknowledge(history, ids)


def reorder_a_plain(history):
    ids = list(history.log.ids)
    ids[1], ids[3] = ids[3], ids[1]
    reacknowledge(history, ids)


def reorder_acknowledgements(history):
    """First copies in order, acknowledged ones not."""
    ids = list(history.log.ids)
    ids[8], ids[9] = ids[9], ids[8]
    reacknowledge(history, ids)


def leave_out_an_unacknowledged(history):
    history.complete = False
    history.sent[PLAIN] = 8
    relog(history, [*history.log.ids, id_of(PLAIN, 7)])


def change_bytes(history):
    ids = list(history.log.ids)
    ids[5] = CHANGED
    relog(history, ids)


def invent_a_record(history):
    relog(history, [*history.log.ids, id_of(PLAIN, 1000)])


def reuse_an_offset(history):
    """The same offset acknowledged for two records; both are there."""
    offset, _ = history.acknowledged[3]
    history.acknowledged[4] = (offset, history.acknowledged[4][1])


def move_an_acknowledged(history):
    offset, record_id = history.acknowledged[-1]
    history.acknowledged[-1] = (offset + 1, record_id)


def leave_a_hole(history):
    ids = list(history.log.ids)
    history.log = reading(ids[:6])
    for offset, record_id in enumerate(ids[6:], 7):
        history.log.add(offset, record_id)


def begin_late(history):
    history.log = reading(list(history.log.ids), 1)


def show_the_follower_another(history):
    history.followed.ids[4] = id_of(PLAIN, 0)


def show_the_follower_too_much(history):
    history.followed.add(len(history.log), id_of(PLAIN, 5))


def hide_from_the_follower(history):
    history.followed = reading(list(history.log.ids)[:-1])


def take_back_what_was_read(history):
    """An unacknowledged tail that an earlier reading saw is gone."""
    history.before = reading([*history.log.ids, id_of(PLAIN, 5)])


PLANTED = [
    (lose_the_tail, check.LOST),
    (lose_from_the_middle, check.LOST),
    (lose_one_without_an_offset, check.LOST),
    (leave_one_unacknowledged, check.LOST),
    (duplicate_an_idempotent, check.DUPLICATED),
    (duplicate_behind_the_acknowledged, check.DUPLICATED),
    (duplicate_an_unacknowledged, check.DUPLICATED),
    (reorder_an_idempotent, check.REORDERED),
    (reorder_a_plain, check.REORDERED),
    (reorder_acknowledgements, check.REORDERED),
    (leave_out_an_unacknowledged, check.REORDERED),
    (change_bytes, check.CHANGED_BYTES),
    (invent_a_record, check.NEVER_SENT),
    (reuse_an_offset, check.REUSED),
    (move_an_acknowledged, check.REUSED),
    (leave_a_hole, check.GAP),
    (begin_late, check.GAP),
    (show_the_follower_another, check.UNSTABLE),
    (show_the_follower_too_much, check.UNSTABLE),
    (hide_from_the_follower, check.UNSEEN),
    (take_back_what_was_read, check.UNSTABLE),
]


def run(tally) -> None:
    """A clean history passes, and each planted violation is found by its kind."""
    tally.check("a clean history passes", lambda: tally.expect(check.check(clean()), []))
    for plant, kind in PLANTED:
        tally.check(plant.__name__.replace("_", " "), lambda plant=plant, kind=kind: planted(plant, kind))
    tally.check("each part of a record is compared", changed_parts)
    tally.check("a long list of violations is cut", cut)


def planted(plant, kind) -> None:
    history = clean()
    plant(history)
    kinds = {violation.kind for violation in check.check(history)}
    if kind not in kinds:
        raise AssertionError(f"found {sorted(kinds) or 'nothing'}, not {kind!r}")


def changed_parts() -> None:
    for number in range(200):
        record_id = id_of(3, number)
        key, value, headers, timestamp = contents.record(record_id, 5)
        if contents.identify(key, value, headers, timestamp, 5) != record_id:
            raise AssertionError(f"record {number} is not recognised")
        longer = (value or b"") + b"x"
        others = [
            (b"" if key is None else None, value, headers, timestamp, 5),
            (key, longer, headers, timestamp, 5),
            (key, value, [("n", b"0x")], timestamp, 5),
            (key, value, headers, timestamp + 1, 5),
            (key, value, headers, timestamp, 4),
        ]
        if value:
            at = number * 7919 % len(value)
            flipped = value[:at] + bytes([value[at] ^ 1 << number % 8]) + value[at + 1 :]
            others.append((key, flipped, headers, timestamp, 5))
        for other in others:
            if contents.identify(*other) == record_id:
                raise AssertionError(f"a change of record {number} is not seen")


def cut() -> None:
    text = check.tell([Violation(check.LOST, str(n)) for n in range(1000)])
    if len(text.splitlines()) > check.MOST_TOLD + 1 or "980 more" not in text:
        raise AssertionError(text)
