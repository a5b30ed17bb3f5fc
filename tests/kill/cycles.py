"""Kills the broker again and again under load, or cuts its disk's power, and checks what is left."""

import random
import statistics
import time

from contents import stream_of
from load import STREAMS, Load
from reader import Judge, until

LOAD_S = (0.1, 1.5)
AT_ONCE = 0.2
"""Share of the faults that do not wait for the load to be running again."""
IN_RECOVERY = 0.15
"""Share of the restarts that are killed too, within the first 50 ms."""
ACKNOWLEDGED_S = 30
"""How soon after it is ready the broker has to acknowledge something."""


class Kill:
    """The plain fault: the process is gone, the operating system's cache stays."""

    name = "kill -9"

    def cut(self, broker) -> None:
        broker.kill()

    def proof(self) -> str:
        """Raises when the fault did not do what it is there for."""
        return "each process was alive when it was killed"


def run(tally, broker, fault, cycles: int, every: int, rate: int, rng: random.Random) -> None:
    """`cycles` faults, everything checked after each `every` of them and at the end. Prints figures."""
    began = time.monotonic()
    figures = {"resumed": [0.0]}

    def whole():
        broker.start()
        with Load(broker.bootstrap, rate) as load:
            judge = Judge(load)
            for cycle in range(1, cycles + 1):
                one(broker, fault, load, rng, figures)
                if cycle % every == 0 and cycle < cycles:
                    if not tally.check(f"{fault.name}, {cycle} cycles", lambda: judge.judge(broker.must_run)):
                        raise AssertionError(f"given up after {cycle} cycles")
                    load.resume()
            tally.check(f"{fault.name}, at the end", lambda: judge.judge(broker.must_run))
            tally.check(f"{fault.name}, after a clean stop", lambda: again(broker, judge))
            tally.check(f"{fault.name}, the load was real", lambda: real(load, cycles))
            tally.check(f"{fault.name}, the fault was real", fault.proof)
            figures["acknowledged"] = load.ledger.acknowledged_total()
            figures["read"] = sum(map(len, judge.before))

    tally.check(f"{fault.name}, {cycles} cycles run", whole)
    recovery = sorted(broker.recovery_s[1:]) or [0]
    print(
        f"     {fault.name}: {cycles} cycles in {time.monotonic() - began:.0f} s, "
        f"{figures.get('acknowledged', 0)} acknowledged, {figures.get('read', 0)} read back, "
        f"restart to ready median {statistics.median(recovery) * 1000:.0f} ms, "
        f"max {recovery[-1] * 1000:.0f} ms, "
        f"to the first acknowledgement max {max(figures['resumed']) * 1000:.0f} ms more",
        flush=True,
    )


def one(broker, fault, load, rng: random.Random, figures: dict) -> None:
    """Load for a while, the fault, and the restart; sometimes a kill in the middle of it."""
    ledger = load.ledger
    before, began = ledger.acknowledged_total(), time.monotonic()
    if rng.random() >= AT_ONCE:
        resumed = lambda: ledger.acknowledged_total() > before
        until("a record acknowledged", ACKNOWLEDGED_S, resumed, broker.must_run)
        figures["resumed"].append(time.monotonic() - began)
    # How long the load runs is the draw that places the fault; nothing is waited for here.
    time.sleep(rng.uniform(*LOAD_S))
    broker.must_run()
    fault.cut(broker)
    if rng.random() < IN_RECOVERY:
        broker.spawn()
        time.sleep(rng.uniform(0, 0.05))
        broker.must_run()
        broker.kill()
    broker.start()


def again(broker, judge) -> str:
    broker.stop()
    broker.start()
    return judge.judge(broker.must_run)


def real(load, cycles: int) -> str:
    """A run whose load did nothing proves nothing."""
    counts = dict.fromkeys(range(len(STREAMS)), 0)
    for acknowledged in load.ledger.acknowledged:
        for _, record_id in acknowledged:
            counts[stream_of(record_id)] += 1
    for number, count in counts.items():
        if count < 10 * cycles:
            raise AssertionError(f"{STREAMS[number].name}: only {count} acknowledged in {cycles} cycles")
    return "acknowledged by producer " + ", ".join(map(str, counts.values()))
