"""Prometheus, scraping the broker: what it serves is clean, and every expression in `deploy/` is answered.

Needs the broker's HTTP address beside its Kafka address, so it runs against Chronik only.
"""

import argparse
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request

from confluent_kafka import Consumer, Producer, TopicPartition

DEADLINE_S = 60
DEPLOY = pathlib.Path(__file__).resolve().parents[3] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "chronik.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
OWN_CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$topic": ".*", "$group": ".*"}
NAME = re.compile(r"\b(?:chronik|kafka|process)_[a-z_]+\b")


def get(url, accept="text/plain"):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def until(what, condition):
    """The first true answer of `condition`, which may fail until then; an error when the deadline passes."""
    deadline = time.monotonic() + DEADLINE_S
    last = None
    while time.monotonic() < deadline:
        try:
            answer = condition()
            if answer:
                return answer
        except OSError as e:
            last = e
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {DEADLINE_S} s ({last})")


def promtool(*arguments, data=None):
    done = subprocess.run(["promtool", *arguments], input=data, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Prometheus:
    """A Prometheus of its own, which scrapes `target` every second."""

    def __init__(self, target):
        self.dir = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.dir.name)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [{"job_name": "chronik", "static_configs": [{"targets": [target]}]}],
        }
        (root / "prometheus.yml").write_text(json.dumps(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = open(root / "log", "w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={root / 'prometheus.yml'}",
                f"--storage.tsdb.path={root / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def api(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        return json.loads(get(f"{self.url}/api/v1/{path}?{query}")[1])["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        self.log.close()
        self.dir.cleanup()


class Checks:
    def __init__(self, bootstrap, http, prefix):
        self.bootstrap, self.http, self.prefix = bootstrap, f"http://{http}/metrics", prefix
        self.topic, self.group = f"{prefix}-metrics", f"{prefix}-group"
        self.passed = self.failed = 0
        self.prometheus = Prometheus(http)

    def check(self, name, work):
        try:
            work()
        except Exception:
            self.failed += 1
            print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok   {name}", flush=True)

    def produce(self, count):
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 0})
        for i in range(count):
            producer.produce(self.topic, value=b"value %d" % i)
        assert producer.flush(DEADLINE_S) == 0

    def consume_and_commit(self, count):
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([self.topic])
        seen = []
        until("records through the group", lambda: seen.extend(consumer.consume(1, 1)) or len(seen) >= count)
        consumer.commit(offsets=[TopicPartition(self.topic, 0, count)], asynchronous=False)
        consumer.close()

    def lag_is_told(self):
        """Ten records, six consumed: a lag of four, in records and in seconds that go up."""
        self.produce(10)
        self.consume_and_commit(6)
        labels = f'{{consumergroup="{self.group}",topic="{self.topic}"}}'
        until(
            "a lag of 4",
            lambda: [r["value"][1] for r in self.prometheus.query(f"kafka_consumergroup_lag{labels}")] == ["4"],
        )

        def seconds():
            return [float(r["value"][1]) for r in self.prometheus.query(f"kafka_consumergroup_lag_seconds{labels}")]

        first = until("a lag in seconds", seconds)
        assert len(first) == 1 and 0 < first[0] < DEADLINE_S, first
        until("a lag that grows with the time", lambda: seconds() > first)

    def traffic_is_counted(self):
        _, text = get(self.http)
        for name in ("messagesin", "bytesin", "bytesout"):
            found = re.search(rf'kafka_server_brokertopicmetrics_{name}_total{{topic="{self.topic}"}} (\d+)', text)
            assert found and int(found[1]) >= 6, (name, found)

    def latencies_have_quantiles(self):
        _, text = get(self.http)
        row = r'kafka_network_requestmetrics_totaltimems{request="Produce",quantile="([0-9.]+)"} ([0-9.]+)'
        found = [(float(quantile), float(ms)) for quantile, ms in re.findall(row, text)]
        assert [quantile for quantile, _ in found] == [0.5, 0.75, 0.95, 0.98, 0.99, 0.999], found
        times = [ms for _, ms in found]
        assert times == sorted(times) and 0 < times[-1] < DEADLINE_S * 1000, found

    def served_in_both_formats(self):
        kind, text = get(self.http)
        assert kind.startswith("text/plain") and "# EOF" not in text, kind
        promtool("check", "metrics", data=text)
        kind, text = get(self.http, "application/openmetrics-text;version=1.0.0")
        assert kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n"), kind

    def files_are_valid(self):
        promtool("check", "rules", str(ALERTS))
        promtool("check", "config", str(OWN_CONFIG))

    def dashboard_is_answered(self):
        panels = json.loads(DASHBOARD.read_text())["panels"]
        expressions = [(p["title"], t["expr"]) for p in panels for t in p["targets"]]
        assert len(expressions) > 20
        for title, expression in expressions:
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression, (title, expression)
            # A rate needs two scrapes, a quantile something to count between them.
            until(f"{title}: {expression}", lambda e=expression: self.busy() or self.prometheus.query(e))

    def busy(self):
        self.produce(1)

    def alerts_are_evaluated(self):
        def rules():
            found = [r for g in self.prometheus.api("rules")["groups"] for r in g["rules"]]
            return all(r["health"] == "ok" for r in found) and found

        found = until("every rule is evaluated", rules)
        firing = [r["name"] for r in found if r["state"] == "firing"]
        assert not firing, firing
        for rule in found:
            for name in NAME.findall(rule["query"]):
                assert self.prometheus.query(f"count({name})"), f"{rule['name']} asks for {name}, which nobody serves"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--http", required=True)
    parser.add_argument("--prefix", default=f"prometheus-{int(time.time())}")
    given = parser.parse_args()
    checks = Checks(given.bootstrap, given.http, given.prefix)
    try:
        checks.check("lag in records and in seconds", checks.lag_is_told)
        checks.check("traffic by topic", checks.traffic_is_counted)
        checks.check("quantiles of what requests took", checks.latencies_have_quantiles)
        checks.check("promtool finds nothing wrong with either format", checks.served_in_both_formats)
        checks.check("rules and configuration are valid", checks.files_are_valid)
        checks.check("every panel of the dashboard is answered", checks.dashboard_is_answered)
        checks.check("every alert is evaluated, and none fires", checks.alerts_are_evaluated)
    finally:
        checks.prometheus.stop()
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(checks.failed > 0)


main()
