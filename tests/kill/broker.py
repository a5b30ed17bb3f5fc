"""The broker's process: started, killed and stopped by its process id, never by its name."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

READY_S = 60
"""How long a start may take, recovery included."""
STOP_S = 60


class BrokerFailed(AssertionError):
    """The broker did not start, was not ready in time, or ended by itself."""


def free_ports(count: int) -> list:
    """Loopback ports that are free, chosen while all are bound."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def ends_with_us() -> list:
    """What to put before a command so that the kernel kills it when this program is itself killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


class Broker:
    """One broker with one data directory; it keeps its ports over restarts. `settings` are
    `key=value` texts."""

    def __init__(self, binary: pathlib.Path, data: pathlib.Path, log: pathlib.Path, settings=()):
        self.port, self.http_port = free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.data, self.log = data, log
        self.command = ends_with_us() + [str(binary), "start", "--data-dir", str(data), "--listen", self.bootstrap]
        self.command += ["--http", f"127.0.0.1:{self.http_port}"]
        for setting in settings:
            self.command += ["--set", setting]
        self.process = None
        self.recovery_s = []
        """Seconds from each start to ready."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()

    @property
    def pid(self) -> int:
        return self.process.pid

    def spawn(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self) -> None:
        began = time.monotonic()
        self.spawn()
        while not self.is_ready():
            self.must_run()
            if time.monotonic() > began + READY_S:
                raise BrokerFailed(f"the broker was not ready within {READY_S} s{self.last_lines()}")
            time.sleep(0.005)
        self.recovery_s.append(time.monotonic() - began)

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def must_run(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise BrokerFailed(f"the broker ended by itself with {code}{self.last_lines()}")

    def kill(self) -> None:
        """`kill -9`; that it still ran is the caller's to check."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_S)

    def stop(self) -> None:
        """As an operator stops it: SIGTERM, and exit code 0."""
        self.must_run()
        os.kill(self.process.pid, signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise BrokerFailed(f"SIGTERM did not end the broker within {STOP_S} s{self.last_lines()}") from None
        if code != 0:
            raise BrokerFailed(f"after SIGTERM the broker ended with {code}{self.last_lines()}")

    def last_lines(self) -> str:
        lines = self.log.read_bytes().decode(errors="replace").splitlines()[-15:]
        return "".join(f"\n    | {line}" for line in lines)
