"""The checks of groups of the consumer protocol (KIP-848).

The broker says how long sessions are, and how often members are heard of: the checks wait for what is theirs to be over,
and assume no more than that a session is longer than a second.
"""

import pathlib
import subprocess
import sys
import time

from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaException
from contents import Record
from groups import SESSION_S, Owners
from suite import DEADLINE_S, expect, until

PARTITIONS = 6


class ConsumerGroupChecks:
    def __init__(self, suite, member):
        self.suite, self.client, self.member_class = suite, suite.client, member
        self.topic = suite.topic("new-group")
        self.members = []

    def run(self) -> None:
        for name, body in {
            "reads from the beginning and goes on": self.reads,
            "members share, and one leaves": self.share,
            "a member crashes": self.crash,
            "a static member comes back unnoticed": self.static_back,
            "a static member that stays away is replaced": self.static_away,
            "a pattern takes in a new topic": self.pattern,
            "the range assignor": self.range,
            "listed, described and deleted": self.administered,
            "both protocols in turn": self.in_turn,
            "both protocols at once": self.at_once,
        }.items():
            self.suite.check(f"consumer protocol: {name}", lambda body=body: self.closing(body))

    def closing(self, body) -> None:
        try:
            body()
        finally:
            for member in self.members:
                member.close()
            self.members.clear()

    def join(self, group, owners=None, topics=None, **config):
        config = {"group.protocol": "consumer", **config}
        member = self.member_class(
            self.client.bootstrap,
            self.suite.topic(group),
            topics or self.topic,
            owners or Owners(),
            protocol=config,
        )
        self.members.append(member)
        return member

    def leave(self, member) -> None:
        self.members.remove(member)
        member.close()

    def produce(self, count, topic=None) -> None:
        records = [Record(n % PARTITIONS, None, f"{n}".encode(), [], 1_700_000_000_000 + n) for n in range(count)]
        self.client.produce(topic or self.topic, self.client.expected(records))

    def reads(self) -> None:
        self.client.create_topic(self.topic, PARTITIONS, {"retention.ms": "-1"})
        self.produce(300)
        member, read = self.join("new-readers"), []
        until("all records read", lambda: read.extend(member.poll()) or len(read) >= 300)
        expect("offsets", sorted(read), [(p, n) for p in range(PARTITIONS) for n in range(50)])
        member.commit()
        expect("committed", member.committed(), dict.fromkeys(range(PARTITIONS), 50))
        self.leave(member)
        self.produce(60)
        member, read = self.join("new-readers"), []
        until("the new records read", lambda: read.extend(member.poll()) or len(read) >= 60)
        expect("offsets", sorted(read), [(p, 50 + n) for p in range(PARTITIONS) for n in range(10)])

    def until_each_has(self, count, *members) -> None:
        def shared():
            for member in members:
                member.poll()
            parts = [member.assignment() for member in members]
            return all(len(part) == count for part in parts) and len(set().union(*parts)) == count * len(parts)

        until(f"{count} partitions each", shared)

    def share(self) -> None:
        owners = Owners()
        first = self.join("new-sharers", owners)
        self.until_each_has(6, first)
        second = self.join("new-sharers", owners)
        self.until_each_has(3, first, second)
        expect("taken from the first", len(owners.revoked_from.get(first, ())), 3)
        third = self.join("new-sharers", owners)
        self.until_each_has(2, first, second, third)
        self.leave(second)
        self.until_each_has(3, first, third)
        expect("violations", owners.violations, [])

    def crash(self) -> None:
        member = self.join("new-crashed")
        self.until_each_has(6, member)
        program = pathlib.Path(__file__).with_name("doomed.py")
        arguments = [sys.executable, program, self.client.bootstrap, self.suite.topic("new-crashed"), self.topic]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as doomed:
            try:
                self.until_each_has(3, member)
                expect("partitions of the other", doomed.stdout.readline().strip(), "3")
            finally:
                doomed.kill()
        self.until_each_has(6, member)

    def static_pair(self, group):
        owners = Owners()
        stays = self.join(group, owners, **{"group.instance.id": "stays"})
        goes = self.join(group, owners, **{"group.instance.id": "goes"})
        self.until_each_has(3, stays, goes)
        return owners, stays, goes

    def static_back(self) -> None:
        owners, stays, goes = self.static_pair("new-static")
        had, revoked = goes.assignment(), set(owners.revoked_from.get(stays, ()))
        self.leave(goes)
        back = self.join("new-static", owners, **{"group.instance.id": "goes"})
        until("the same partitions", lambda: stays.poll() is not None and (back.poll(), back.assignment())[1] == had)
        expect("taken from the other", set(owners.revoked_from.get(stays, ())), revoked)
        expect("violations", owners.violations, [])

    def static_away(self) -> None:
        _, stays, goes = self.static_pair("new-away")
        self.leave(goes)
        gone = time.monotonic()
        self.until_each_has(6, stays)
        waited = time.monotonic() - gone
        if waited < 1:
            raise AssertionError(f"replaced after {waited:.1f} s, before its session was over")

    def pattern(self) -> None:
        first, second = self.suite.topic("pattern-1"), self.suite.topic("pattern-2")
        self.client.create_topic(first, PARTITIONS, {})
        member, read = self.join("new-pattern", topics=f"^{self.suite.topic('pattern')}-.*"), []
        self.until_each_has(6, member)
        self.client.create_topic(second, PARTITIONS, {})
        self.produce(60, topic=second)
        until("records of the new topic", lambda: read.extend(member.poll()) or len(read) >= 60)

    def range(self) -> None:
        members = [self.join("new-range", **{"group.remote.assignor": "range"}) for _ in range(2)]
        self.until_each_has(3, *members)
        expect("ranges", sorted(sorted(member.assignment()) for member in members), [[0, 1, 2], [3, 4, 5]])

    def administered(self) -> None:
        group, admin = self.suite.topic("new-administered"), self.client.admin
        member = self.join("new-administered")
        self.until_each_has(6, member)
        listed = admin.list_consumer_groups(types={ConsumerGroupType.CONSUMER}).result(DEADLINE_S).valid
        expect("listed", [one.state for one in listed if one.group_id == group], [ConsumerGroupState.STABLE])
        listed = admin.list_consumer_groups(types={ConsumerGroupType.CLASSIC}).result(DEADLINE_S).valid
        expect("listed as classic", [one for one in listed if one.group_id == group], [])
        described = admin.describe_consumer_groups([group])[group].result(DEADLINE_S)
        expect("type", described.type, ConsumerGroupType.CONSUMER)
        expect("assignor", described.partition_assignor, "uniform")
        (one,) = described.members
        expect("described partitions", len(one.assignment.topic_partitions), 6)
        try:
            admin.delete_consumer_groups([group])[group].result(DEADLINE_S)
            raise AssertionError("a group with a member was deleted")
        except KafkaException as error:
            expect("the error", error.args[0].name(), "NON_EMPTY_GROUP")
        self.leave(member)
        admin.delete_consumer_groups([group])[group].result(DEADLINE_S)

    def in_turn(self) -> None:
        """A group without members goes to the other protocol, and its offsets with it."""
        committed = {}
        for protocol in ("classic", "consumer", "classic"):
            member, read = self.join("new-in-turn", **{"group.protocol": protocol}), []
            self.until_each_has(PARTITIONS, member)
            expect(f"offsets in the {protocol} group", member.committed(), committed)
            self.produce(60)
            everywhere = lambda: len({partition for partition, _ in read}) == PARTITIONS
            until("records of all partitions", lambda: read.extend(member.poll()) or everywhere())
            member.commit()
            committed = member.committed()
            self.leave(member)

    def at_once(self) -> None:
        """Members of the classic protocol are replaced one by one, and back again."""
        owners = Owners()
        classic = {
            "group.protocol": "classic",
            "session.timeout.ms": SESSION_S * 1000,
            "heartbeat.interval.ms": 500,
            "partition.assignment.strategy": "range",
        }
        old = [self.join("new-at-once", owners, **classic) for _ in range(2)]
        self.until_each_has(3, *old)
        new = self.join("new-at-once", owners)
        self.until_each_has(2, *old, new)
        self.expect_type("new-at-once", ConsumerGroupType.CONSUMER)
        self.leave(old.pop())
        self.until_each_has(3, *old, new)
        self.leave(old.pop())
        self.until_each_has(6, new)
        old.append(self.join("new-at-once", owners, **classic))
        self.until_each_has(3, *old, new)
        self.leave(new)
        self.until_each_has(6, *old)
        self.expect_type("new-at-once", ConsumerGroupType.CLASSIC)
        expect("violations", owners.violations, [])

    def expect_type(self, group, wanted) -> None:
        listed = self.client.admin.list_consumer_groups().result(DEADLINE_S).valid
        expect("type", [one.type for one in listed if one.group_id == self.suite.topic(group)], [wanted])


__all__ = ["ConsumerGroupChecks"]
