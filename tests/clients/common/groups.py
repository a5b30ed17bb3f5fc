"""The checks of consumer groups, run on every Python client through `Member`.

What members are told of their partitions is noted when they are told: a partition that two members own at once is
noticed, whenever that is.
"""

import threading
import time

from contents import Record
from suite import DEADLINE_S, expect, until

PARTITIONS = 4
SESSION_S = 6
"""What members ask for: the shortest session that a broker allows."""


class Owners:
    """Who owns which partition, by what members are told."""

    def __init__(self):
        self.of = {}
        self.violations = []
        self.lock = threading.Lock()
        self.revoked_from = {}
        """Member → all partitions that were ever taken from it."""

    def assigned(self, member, partitions) -> None:
        with self.lock:
            for partition in partitions:
                if self.of.get(partition) not in (None, member):
                    self.violations.append(f"partition {partition} is given to a member while another one has it")
                self.of[partition] = member

    def revoked(self, member, partitions) -> None:
        with self.lock:
            for partition in partitions:
                if self.of.get(partition) is member:
                    del self.of[partition]
                self.revoked_from.setdefault(member, set()).add(partition)


class Member:
    """One consumer of a group. `static` is its `group.instance.id`; `cooperative` asks for incremental rebalancing."""

    def __init__(self, bootstrap, group, topic, owners, static=None, cooperative=False):
        raise NotImplementedError

    def poll(self) -> list:
        """(partition, offset) of what came within a tenth of a second or so."""
        raise NotImplementedError

    def assignment(self) -> set:
        raise NotImplementedError

    def commit(self) -> None:
        """Commits what was handed out, and waits for the answer."""
        raise NotImplementedError

    def committed(self) -> dict:
        """Partition → offset, for those that have one."""
        raise NotImplementedError

    def close(self) -> None:
        """Leaves the group, unless it is static."""
        raise NotImplementedError


class GroupChecks:
    def __init__(self, suite):
        self.suite, self.client = suite, suite.client
        self.topic = suite.topic("group")
        self.members = []

    def run(self) -> None:
        check = self.suite.check
        check("group reads from the beginning", lambda: self.closing(self.reads_all))
        check("group goes on where it committed", lambda: self.closing(self.goes_on))
        check("two members share", lambda: self.closing(self.two_share))
        if self.suite.can("static members"):
            check("a static member comes back unnoticed", lambda: self.closing(self.static_back))
            check("a static member that stays away is replaced", lambda: self.closing(self.static_away))
        if self.suite.can("cooperative"):
            check("cooperative members give up only what moves", lambda: self.closing(self.cooperative))

    def closing(self, body) -> None:
        try:
            body()
        finally:
            for member in self.members:
                member.close()
            self.members.clear()

    def join(self, group: str, owners: Owners, **options) -> Member:
        member = self.client.member(self.client.bootstrap, self.suite.topic(group), self.topic, owners, **options)
        self.members.append(member)
        return member

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        member.close()

    def produce(self, count: int) -> None:
        record = [Record(n % PARTITIONS, None, f"{n}".encode(), [], 1_700_000_000_000 + n) for n in range(count)]
        self.client.produce(self.topic, self.client.expected(record))

    def reads_all(self) -> None:
        if self.suite.can("create"):
            self.client.create_topic(self.topic, PARTITIONS, {"retention.ms": "-1"})
        self.produce(200)
        member, read = self.join("readers", Owners()), []
        until("all records read", lambda: read.extend(member.poll()) or len(read) >= 200)
        for partition in range(PARTITIONS):
            got = [offset for at, offset in read if at == partition]
            expect(f"offsets of partition {partition}", got, list(range(50)))
        member.commit()
        expect("committed", member.committed(), dict.fromkeys(range(PARTITIONS), 50))

    def goes_on(self) -> None:
        self.produce(40)
        member, read = self.join("readers", Owners()), []
        until("the new records read", lambda: read.extend(member.poll()) or len(read) >= 40)
        expect("offsets", sorted(read), [(p, 50 + n) for p in range(PARTITIONS) for n in range(10)])

    def two_share(self) -> None:
        owners = Owners()
        first = self.join("sharers", owners)
        until("all partitions assigned", lambda: first.poll() is not None and len(first.assignment()) == PARTITIONS)
        second = self.join("sharers", owners)
        self.until_shared(first, second)
        expect("violations", owners.violations, [])
        self.leave(second)
        until("all partitions back", lambda: first.poll() is not None and len(first.assignment()) == PARTITIONS)
        expect("violations", owners.violations, [])

    def until_shared(self, first: Member, second: Member) -> None:
        def shared():
            first.poll()
            second.poll()
            mine, yours = first.assignment(), second.assignment()
            return len(mine) == len(yours) == PARTITIONS // 2 and not mine & yours

        until("partitions shared", shared)

    def static_pair(self, group: str) -> tuple:
        owners = Owners()
        stays, goes = self.join(group, owners, static="stays"), self.join(group, owners, static="goes")
        self.until_shared(stays, goes)
        return owners, stays, goes

    def static_back(self) -> None:
        owners, stays, goes = self.static_pair("static")
        had, revoked = goes.assignment(), set(owners.revoked_from.get(stays, ()))
        self.leave(goes)
        back = self.join("static", owners, static="goes")
        until("the same partitions", lambda: stays.poll() is not None and (back.poll(), back.assignment())[1] == had)
        expect("taken from the other", set(owners.revoked_from.get(stays, ())), revoked)

    def static_away(self) -> None:
        _, stays, goes = self.static_pair("away")
        self.leave(goes)
        gone = time.monotonic()
        until("all partitions", lambda: stays.poll() is not None and len(stays.assignment()) == PARTITIONS)
        waited = time.monotonic() - gone
        if waited < SESSION_S / 2:
            raise AssertionError(f"replaced after {waited:.1f} s, before its session of {SESSION_S} s was over")

    def cooperative(self) -> None:
        owners = Owners()
        first = self.join("cooperative", owners, cooperative=True)
        until("all partitions assigned", lambda: first.poll() is not None and len(first.assignment()) == PARTITIONS)
        second = self.join("cooperative", owners, cooperative=True)
        self.until_shared(first, second)
        expect("taken from the first", len(owners.revoked_from.get(first, ())), PARTITIONS // 2)
        expect("violations", owners.violations, [])


__all__ = ["DEADLINE_S", "GroupChecks", "Member", "Owners", "SESSION_S"]
