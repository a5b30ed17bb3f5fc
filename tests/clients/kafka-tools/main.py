"""Apache Kafka's own command line tools, each call a process as a user would start it.

    main.py --libs DIR --bootstrap HOST:PORT [--prefix TEXT]

Prints a line for each check, ends with `N passed, N failed`; the exit code is 1 when a check failed.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOOLS = "org.apache.kafka.tools"
LIMIT_S = 60


class Tools:
    def __init__(self, libs: str, bootstrap: str):
        self.java = ["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", f"{libs}/*"]
        self.bootstrap = bootstrap

    def run(self, tool: str, *args: str, given: str = "", ends_well=True) -> str:
        """What a tool prints, both streams. Raises where it ends otherwise than expected (`None` for either way)."""
        command = [*self.java, tool, "--bootstrap-server", self.bootstrap, *args]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=LIMIT_S)
        told = ended.stdout + ended.stderr
        if ends_well is not None and (ended.returncode == 0) != ends_well:
            raise AssertionError(f"{tool.split('.')[-1]} ended with {ended.returncode}: {told[:400]}")
        return told

    def topics(self, *args, **kw) -> str:
        return self.run(f"{TOOLS}.TopicCommand", *args, **kw)

    def configs(self, *args, **kw) -> str:
        return self.run("kafka.admin.ConfigCommand", *args, **kw)

    def groups(self, *args, **kw) -> str:
        return self.run(f"{TOOLS}.consumer.group.ConsumerGroupCommand", *args, **kw)

    def features(self, *args, **kw) -> str:
        return self.run(f"{TOOLS}.FeatureCommand", *args, **kw)

    def consume(self, topic: str, count: int, *args) -> list:
        told = self.run(
            f"{TOOLS}.consumer.ConsoleConsumer",
            *("--topic", topic, "--max-messages", f"{count}", "--timeout-ms", "20000", *args),
        )
        return [line for line in told.splitlines() if re.fullmatch(r"value-\d+", line)]

    def produce(self, topic: str, values: list) -> None:
        self.run(f"{TOOLS}.ConsoleProducer", "--topic", topic, given="".join(f"{value}\n" for value in values))


def wants(told: str, *parts: str) -> None:
    """Every part is in what was told; runs of blanks count as one."""
    plain = re.sub(r"[ \t]+", " ", told)
    for part in parts:
        if part not in plain:
            raise AssertionError(f"{part!r} is not in {plain[:600]!r}")


class Checks:
    def __init__(self, tools: Tools, prefix: str, place: pathlib.Path):
        self.tools, self.place = tools, place
        self.topic, self.group = f"{prefix}-topic", f"{prefix}-group"
        self.values = [f"value-{n}" for n in range(30)]

    def json_file(self, name: str, contents) -> str:
        path = self.place / name
        path.write_text(json.dumps(contents))
        return str(path)

    def topics_are_made_and_described(self):
        t = self.tools
        t.topics("--create", "--topic", self.topic, "--partitions", "2", "--config", "retention.ms=86400000")
        wants(t.topics("--list"), self.topic)
        told = t.topics("--describe", "--topic", self.topic)
        wants(told, "PartitionCount: 2", "ReplicationFactor: 1", "retention.ms=86400000", "Partition: 1 Leader: ")
        t.topics("--alter", "--topic", self.topic, "--partitions", "3")
        wants(t.topics("--describe", "--topic", self.topic), "PartitionCount: 3")
        wants(t.topics("--create", "--topic", self.topic, ends_well=False), "already exists")
        wants(t.topics("--alter", "--topic", self.topic, "--partitions", "1", ends_well=False), "3 partition")

    def records_go_in_and_come_out_by_a_group(self):
        t = self.tools
        t.produce(self.topic, self.values)
        read = t.consume(self.topic, 30, "--group", self.group, "--from-beginning")
        if sorted(read) != sorted(self.values):
            raise AssertionError(f"{len(read)} of {len(self.values)} records: {read}")
        t.produce(self.topic, ["value-99"])
        if t.consume(self.topic, 1, "--group", self.group) != ["value-99"]:
            raise AssertionError("the group does not go on where it was")

    def offsets_are_told(self):
        told = self.tools.run(f"{TOOLS}.GetOffsetShell", "--topic", self.topic)
        ends = [int(line.rsplit(":", 1)[1]) for line in told.splitlines() if line.startswith(f"{self.topic}:")]
        if len(ends) != 3 or sum(ends) != 31:
            raise AssertionError(told)

    def groups_are_described(self):
        t = self.tools
        wants(t.groups("--list"), self.group)
        told = t.groups("--describe", "--group", self.group)
        lags = [line.split()[5] for line in told.splitlines() if line.startswith(self.group)]
        if lags != ["0", "0", "0"]:
            raise AssertionError(told)
        wants(t.groups("--describe", "--group", self.group, "--state"), "Empty 0")
        wants(t.groups("--describe", "--group", "nobody", ends_well=None), "not found")

    def offsets_are_reset_and_deleted(self):
        t = self.tools
        told = t.groups("--reset-offsets", "--group", self.group, "--topic", self.topic, "--to-earliest", "--execute")
        if len([line for line in told.splitlines() if line.startswith(self.group)]) != 3:
            raise AssertionError(told)
        if len(t.consume(self.topic, 31, "--group", self.group)) != 31:
            raise AssertionError("the group does not begin anew")
        wants(t.groups("--delete-offsets", "--group", self.group, "--topic", self.topic), "Successful")
        told = t.groups("--describe", "--group", self.group)
        if self.topic in told:
            raise AssertionError(told)

    def groups_are_deleted(self):
        t = self.tools
        wants(t.groups("--delete", "--group", self.group), "was successful")
        wants(t.groups("--delete", "--group", self.group, ends_well=None), "GroupIdNotFoundException")

    def a_group_with_members_is_not_deleted(self):
        t, group = self.tools, f"{self.group}-busy"
        command = [*t.java, f"{TOOLS}.consumer.ConsoleConsumer", "--bootstrap-server", t.bootstrap]
        command += ["--topic", self.topic, "--group", group]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as member:
            try:
                end = time.monotonic() + LIMIT_S
                while "Stable 1" not in re.sub(r"[ \t]+", " ", t.groups("--describe", "--group", group, "--state", ends_well=None)):
                    if time.monotonic() > end:
                        raise AssertionError("the member does not join")
                wants(t.groups("--describe", "--group", group, "--members", "--verbose"), self.topic)
                wants(t.groups("--delete", "--group", group, ends_well=None), "GroupNotEmptyException")
            finally:
                member.terminate()

    def topic_settings_change(self):
        t, of = self.tools, ("--entity-type", "topics", "--entity-name", self.topic)
        t.configs("--alter", *of, "--add-config", "retention.ms=5000000,cleanup.policy=[delete,compact]")
        told = t.configs("--describe", *of)
        wants(told, "retention.ms=5000000", "cleanup.policy=delete,compact", "DYNAMIC_TOPIC_CONFIG")
        t.configs("--alter", *of, "--delete-config", "retention.ms,cleanup.policy")
        if "retention.ms" in t.configs("--describe", *of):
            raise AssertionError("it is still set")
        wants(
            t.configs("--alter", *of, "--add-config", "retention.ms=soon", ends_well=False),
            "InvalidConfigurationException",
        )
        unknown = ("--entity-type", "topics", "--entity-name", "no-such-topic", "--add-config", "retention.ms=1")
        wants(t.configs("--alter", *unknown, ends_well=False), "UnknownTopicOrPartition")

    def broker_settings_change(self):
        t, of = self.tools, ("--entity-type", "brokers", "--entity-default")
        t.configs("--alter", *of, "--add-config", "log.retention.ms=777777777")
        try:
            wants(t.configs("--describe", *of), "log.retention.ms=777777777", "DYNAMIC_DEFAULT_BROKER_CONFIG")
            told = t.configs("--describe", "--all", "--entity-type", "topics", "--entity-name", self.topic)
            wants(told, "retention.ms=777777777")
        finally:
            t.configs("--alter", *of, "--delete-config", "log.retention.ms")
        wants(t.configs("--alter", *of, "--add-config", "broker.id=7", ends_well=False), "InvalidRequestException")

    def records_are_deleted(self):
        t = self.tools
        partition = {"topic": self.topic, "partition": 0, "offset": -1}
        file = self.json_file("records.json", {"version": 1, "partitions": [partition]})
        wants(t.run(f"{TOOLS}.DeleteRecordsCommand", "--offset-json-file", file), f"partition: {self.topic}-0 low_watermark: ")
        told = t.run(f"{TOOLS}.GetOffsetShell", "--topic-partitions", f"{self.topic}:0", "--time", "earliest")
        latest = t.run(f"{TOOLS}.GetOffsetShell", "--topic-partitions", f"{self.topic}:0", "--time", "latest")
        if told != latest:
            raise AssertionError(f"{told} is not {latest}")

    def log_dirs_are_described(self):
        told = self.tools.run(f"{TOOLS}.LogDirsCommand", "--describe", "--topic-list", self.topic)
        line = next(line for line in told.splitlines() if line.startswith("{"))
        (directory,) = json.loads(line)["brokers"][0]["logDirs"]
        found = {one["partition"]: one["size"] for one in directory["partitions"]}
        if directory["error"] or sum(found.values()) <= 0 or any(self.topic not in name for name in found):
            raise AssertionError(line)

    def leaders_are_elected(self):
        t = self.tools
        one = ("--election-type", "preferred", "--topic", self.topic, "--partition", "0")
        wants(t.run(f"{TOOLS}.LeaderElectionCommand", *one), "already elected")
        t.run(f"{TOOLS}.LeaderElectionCommand", "--election-type", "preferred", "--all-topic-partitions")

    def partitions_are_reassigned(self):
        t = self.tools
        told = t.topics("--describe", "--topic", self.topic)
        node = int(re.search(r"Partition:\s*0\s+Leader:\s*(\d+)", told)[1])
        partition = {"topic": self.topic, "partition": 0, "replicas": [node]}
        file = self.json_file("same.json", {"version": 1, "partitions": [partition]})
        tool = f"{TOOLS}.reassign.ReassignPartitionsCommand"
        wants(t.run(tool, "--reassignment-json-file", file, "--execute"), "Successfully started")
        wants(t.run(tool, "--reassignment-json-file", file, "--verify"), "is completed")
        wants(t.run(tool, "--list"), "No partition reassignments found")
        partition["replicas"] = [node + 1000]
        file = self.json_file("other.json", {"version": 1, "partitions": [partition]})
        t.run(tool, "--reassignment-json-file", file, "--execute", ends_well=False)

    def the_quorum_is_described(self):
        told = self.tools.run(f"{TOOLS}.MetadataQuorumCommand", "describe", "--status")
        wants(told, "LeaderId:", "MaxFollowerLag: 0", "CurrentVoters:")

    def producers_are_described(self):
        told = self.tools.run(
            f"{TOOLS}.TransactionsCommand", "describe-producers", "--topic", self.topic, "--partition", "1"
        )
        wants(told, "ProducerId")

    def verifiable_clients_agree(self):
        t, topic = self.tools, f"{self.topic}-verified"
        t.topics("--create", "--topic", topic, "--partitions", "3")
        sent = t.run(f"{TOOLS}.VerifiableProducer", "--topic", topic, "--max-messages", "2000", "--acks", "-1")
        events = [json.loads(line) for line in sent.splitlines() if line.startswith("{")]
        acked = {(one["partition"], one["offset"]) for one in events if one["name"] == "producer_send_success"}
        args = ("--topic", topic, "--group-id", f"{self.group}-verified", "--max-messages", "2000", "--verbose")
        got = t.run(f"{TOOLS}.VerifiableConsumer", *args, "--reset-policy", "earliest")
        events = [json.loads(line) for line in got.splitlines() if line.startswith("{")]
        read = [(one["partition"], one["offset"]) for one in events if one["name"] == "record_data"]
        if len(acked) != 2000 or len(read) != len(set(read)) or set(read) != acked:
            raise AssertionError(f"{len(acked)} acknowledged, {len(read)} read, {len(set(read) ^ acked)} differ")
        committed = [one for one in events if one["name"] == "offsets_committed"]
        if not committed or not all(one["success"] for one in committed):
            raise AssertionError(f"commits: {committed[:3]}")

    def settings_of_groups_and_metrics_change(self):
        group = ("--entity-type", "groups", "--entity-name", f"{self.group}-settings")
        told = self.tools.configs("--alter", "--add-config", "consumer.session.timeout.ms=1", *group, ends_well=False)
        wants(told, "must be greater than or equal to group.consumer.min.session.timeout.ms")
        told = self.tools.configs("--alter", "--add-config", "no.such.key=1", *group, ends_well=False)
        wants(told, "Unknown group config name: no.such.key")
        self.tools.configs("--alter", "--add-config", "consumer.session.timeout.ms=55000", *group)
        set_now = "consumer.session.timeout.ms=55000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG:"
        wants(self.tools.configs("--describe", *group), set_now)
        wants(self.tools.configs("--describe", "--entity-type", "groups"), set_now)
        self.tools.configs("--alter", "--delete-config", "consumer.session.timeout.ms", *group)
        wants(self.tools.configs("--describe", "--all", *group), "streams.num.standby.replicas=0")
        metrics = ("--entity-type", "client-metrics", "--entity-name", f"{self.group}-metrics")
        told = self.tools.configs("--alter", "--add-config", "match=[x=y]", *metrics, ends_well=False)
        wants(told, "Illegal client matching pattern: x=y")
        self.tools.configs("--alter", "--add-config", "metrics=[org.apache.kafka.],interval.ms=60000", *metrics)
        wants(self.tools.configs("--describe", "--entity-type", "client-metrics"), f"{self.group}-metrics", "60000")
        self.tools.configs("--alter", "--delete-config", "metrics,interval.ms", *metrics)

    def client_quotas_are_set_and_kept(self):
        client = f"{self.topic}-slow"
        entity = ("--entity-type", "clients", "--entity-name", client)
        self.tools.configs("--alter", "--add-config", "producer_byte_rate=20000,consumer_byte_rate=1e6", *entity)
        try:
            told = self.tools.configs("--describe", *entity)
            wants(told, f"client-id '{client}'", "producer_byte_rate=20000.0", "consumer_byte_rate=1000000.0")
            topic = f"{self.topic}-quota"
            # 40,000 bytes more than the ten seconds' worth that may come at once.
            told = self.tools.run(
                f"{TOOLS}.ProducerPerformance",
                *("--topic", topic, "--num-records", "240", "--record-size", "1000", "--throughput", "-1"),
                *("--command-property", f"client.id={client}", "--print-metrics"),
            )
            waited = re.search(r"produce-throttle-time-max:\S*\s*:\s*([\d.]+)", told)
            if not waited or float(waited[1]) <= 0:
                raise AssertionError(f"the producer was not made to wait: {told[:600]}")
            told = self.tools.configs("--alter", "--add-config", "producer_byte_rate=-1", *entity, ends_well=False)
            wants(told, "InvalidRequestException", "producer_byte_rate must be greater than 0")
        finally:
            self.tools.configs("--alter", "--delete-config", "producer_byte_rate,consumer_byte_rate", *entity)
        if "byte_rate" in self.tools.configs("--describe", *entity):
            raise AssertionError("the quotas are still there")

    def topics_are_made_no_faster_than_the_quota(self):
        entity = ("--entity-type", "users", "--entity-default")
        self.tools.configs("--alter", "--add-config", "controller_mutation_rate=0.1", *entity)
        try:
            topic = f"{self.topic}-fast"
            self.tools.topics("--create", "--topic", f"{topic}-1", "--partitions", "100")
            told = self.tools.topics("--create", "--topic", f"{topic}-2", "--partitions", "1", ends_well=False)
            wants(told, "The throttling quota has been exceeded")
        finally:
            self.tools.configs("--alter", "--delete-config", "controller_mutation_rate", *entity)
        self.tools.topics("--create", "--topic", f"{topic}-2", "--partitions", "1")
        self.tools.topics("--delete", "--topic", f"{topic}-.*")

    def features_go_up_and_down(self):
        t, feature = self.tools, ("--feature", "group.version=0")
        level = "Feature: group.version SupportedMinVersion: 0 SupportedMaxVersion: 1 FinalizedVersionLevel: "
        wants(t.features("describe"), f"{level}1")
        told = t.features("upgrade", "--feature", "group.version=9", ends_well=False)
        wants(told, "Invalid update version 9 for feature group.version. Local controller", "only supports versions 0-1")
        told = t.features("upgrade", "--feature", "no.such=1", ends_well=False)
        wants(told, "Invalid update version 1 for feature no.such.", "does not support this feature")
        wants(t.features("downgrade", *feature, "--dry-run"), "group.version can be downgraded to 0")
        wants(t.features("describe"), f"{level}1")
        by_consumer_protocol = ("--group", f"{self.group}-feature", "--command-property", "group.protocol=consumer")
        # The producer may have put all earlier ones into the partition whose records were deleted.
        t.produce(self.topic, ["value-100"])
        read = t.consume(self.topic, 1, "--from-beginning", *by_consumer_protocol)
        if len(read) != 1:
            raise AssertionError(f"one record by the consumer protocol, and not {read}")
        wants(t.features("downgrade", *feature), "group.version was downgraded to 0")
        try:
            wants(t.features("describe"), f"{level}0")
            told = t.run(
                f"{TOOLS}.consumer.ConsoleConsumer",
                *("--topic", self.topic, "--max-messages", "1", "--timeout-ms", "20000", *by_consumer_protocol),
                ends_well=None,
            )
            wants(told, "Processed a total of 0 messages")
        finally:
            wants(t.features("upgrade", "--feature", "group.version=1"), "group.version was upgraded to 1")
        wants(t.features("describe"), f"{level}1")

    def levels_of_loggers_change(self):
        t = self.tools
        node = re.search(r"Leader:\s*(\d+)", t.topics("--describe", "--topic", self.topic))[1]
        of = ("--entity-type", "broker-loggers", "--entity-name", node)

        def levels():
            told = t.configs("--describe", *of)
            return dict(re.findall(r"^\s*(\S+)=([A-Z]+) sensitive=false synonyms=\{\}$", told, re.MULTILINE))

        before = levels()
        # One that no other inherits from.
        logger = next(name for name in before if name != "root" and sum(other.startswith(name) for other in before) == 1)
        t.configs("--alter", *of, "--add-config", f"{logger}=TRACE")
        try:
            if levels() != before | {logger: "TRACE"}:
                raise AssertionError(f"{logger} is not alone at TRACE: {levels()}")
            told = t.configs("--alter", *of, "--add-config", f"{logger}=LOUD", ends_well=False)
            wants(told, f"Cannot set the log level of {logger} to LOUD as it is not a supported log level")
            wants(t.configs("--alter", *of, "--add-config", "no.such=INFO", ends_well=False), "Invalid broker logger(s): no.such")
        finally:
            t.configs("--alter", *of, "--delete-config", logger)
        if levels() != before:
            raise AssertionError(f"the levels are not what they were: {levels()}")
        told = t.configs("--alter", *of, "--delete-config", "root", ends_well=False)
        wants(told, "Removing the log level of the root logger is not allowed")

    def topics_are_deleted(self):
        t = self.tools
        t.topics("--delete", "--topic", self.topic)
        if self.topic in t.topics("--list").splitlines():
            raise AssertionError("it is still listed")
        wants(t.topics("--delete", "--topic", self.topic, ends_well=False), "does not exist")


# In the order in which one needs what the other leaves.
CHECKS = (
    Checks.topics_are_made_and_described,
    Checks.records_go_in_and_come_out_by_a_group,
    Checks.offsets_are_told,
    Checks.groups_are_described,
    Checks.offsets_are_reset_and_deleted,
    Checks.groups_are_deleted,
    Checks.a_group_with_members_is_not_deleted,
    Checks.topic_settings_change,
    Checks.broker_settings_change,
    Checks.records_are_deleted,
    Checks.log_dirs_are_described,
    Checks.leaders_are_elected,
    Checks.partitions_are_reassigned,
    Checks.the_quorum_is_described,
    Checks.producers_are_described,
    Checks.verifiable_clients_agree,
    Checks.settings_of_groups_and_metrics_change,
    Checks.client_quotas_are_set_and_kept,
    Checks.topics_are_made_no_faster_than_the_quota,
    Checks.features_go_up_and_down,
    Checks.levels_of_loggers_change,
    Checks.topics_are_deleted,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libs", required=True, help="directory with the jars of the tools")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--prefix", default=f"tools-{time.time_ns()}")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        checks = Checks(Tools(options.libs, options.bootstrap), options.prefix, pathlib.Path(place))
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                check(checks)
                print(f"ok   {name}", flush=True)
            except Exception as error:  # whatever goes wrong is that check's failure
                failed += 1
                print(f"FAIL {name}: {' '.join(str(error).split()) or type(error).__name__}", flush=True)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
