"""Kills a real broker under the load of real clients, and checks that nothing acknowledged is lost.

    main.py --self-test
    main.py --broker BINARY [--work DIR] [--only kill|power|full] [--cycles N] [--power-cycles N] [--seed N]

Needs confluent-kafka, and for `power` and `full` root and loop devices. Prints a line for each
check and ends with `N passed, N failed`; the exit code is 1 when a check failed.
"""

import argparse
import pathlib
import random
import shutil
import signal
import sys
import tempfile

import selftest
from tally import Tally

SCENARIOS = ("kill", "power", "full")
# Short, so that logs are closed and opened again between faults.
CHECKPOINTS = "log.flush.offset.checkpoint.interval.ms=400"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--self-test", action="store_true", help="prove the checker, no broker needed")
    parser.add_argument("--broker", type=pathlib.Path, help="the broker's binary")
    parser.add_argument("--work", type=pathlib.Path, help="directory for data, logs and images [default: a new one]")
    parser.add_argument("--only", choices=SCENARIOS, help="the one scenario to run")
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--power-cycles", type=int, default=10)
    parser.add_argument("--every", type=int, default=10, help="cycles between two checks of everything")
    parser.add_argument("--rate", type=int, default=400, help="records a second of each producer")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    tally = Tally()
    if options.self_test:
        selftest.run(tally)
        return tally.end()
    if not options.broker:
        parser.error("--broker is needed")
    options.broker = options.broker.resolve()
    # An ending by signal passes through every `finally`, so that nothing stays started or mounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="kill-"))
    print(f"     seed {options.seed}, logs in {work}", flush=True)
    work.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS if options.only is None else (options.only,):
        directory = work.resolve() / scenario
        run(scenario, tally, options, directory)
    return tally.end()


def run(scenario: str, tally: Tally, options, directory: pathlib.Path) -> None:
    # The clients of the other scenarios are not needed to prove the checker.
    import cycles
    import full
    import mounts
    from broker import Broker

    mounts.unmount_below(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    log = directory / "broker.log"
    rng = random.Random(f"{options.seed} {scenario}")
    if scenario == "kill":
        with Broker(options.broker, directory / "data", log, [CHECKPOINTS]) as broker:
            cycles.run(tally, broker, cycles.Kill(), options.cycles, options.every, options.rate, rng)
    elif scenario == "power":
        tally.check("power cuts, a mount for them", lambda: power(tally, options, directory, log, rng))
    else:
        full.run(tally, options.broker, directory)
    if tally.failed == 0:
        shutil.rmtree(directory, ignore_errors=True)


def power(tally, options, directory, log, rng) -> None:
    import cycles
    import mounts
    from broker import Broker

    with mounts.LoopExt4(directory, 512) as disk:
        # Below the mark nothing is produced, and this disk is smaller than the default mark allows.
        settings = ["log.dirs.min.free.bytes=16777216", CHECKPOINTS]
        with Broker(options.broker, disk.root / "data", log, settings) as broker:
            cycles.run(tally, broker, mounts.PowerCut(disk), options.power_cycles, 5, options.rate, rng)


if __name__ == "__main__":
    sys.exit(main())
