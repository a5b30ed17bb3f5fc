"""File systems of our own: an ext4 in a file whose power can be cut, and a small one to fill.

Whatever is mounted is unmounted when its `with` ends; `unmount_below` clears up after a run that
was itself killed.
"""

import errno
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import time

from tally import Skipped

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
"""The journal is not written out: only what was synced before is on the disk."""
UNMOUNT_S = 30


def tool(*command) -> None:
    """Runs a program to its end; raises with what it said when it fails."""
    if shutil.which(command[0]) is None:
        raise Skipped(f"{command[0]} is not installed")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")


def mounted_below(directory: pathlib.Path) -> list:
    """Mount points at or below a directory, the innermost first."""
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    points = [pathlib.Path(line.split(" ")[1].replace("\\040", " ")) for line in lines]
    return sorted((p for p in points if p.is_relative_to(directory.resolve())), reverse=True)


def unmount_below(directory: pathlib.Path) -> None:
    for point in mounted_below(directory):
        unmount(point)


def unmount(point: pathlib.Path) -> None:
    """A process that has just been killed may hold the mount a moment longer."""
    end = time.monotonic() + UNMOUNT_S
    while True:
        try:
            return tool("umount", point)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Mount:
    """Something mounted at `root`, a fresh directory below `directory`."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.root = directory / "mount"

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skipped("only root may mount")
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            self.prepare()
            self.mount()
        except OSError as error:
            raise Skipped(f"this machine does not let us mount: {error}") from error
        return self

    def __exit__(self, *_):
        unmount_below(self.directory)

    def prepare(self) -> None:
        """What comes before the first mount."""

    def mount(self) -> None:
        raise NotImplementedError


class LoopExt4(Mount):
    """An ext4 of `mebibytes` in a file on a loop device."""

    def __init__(self, directory: pathlib.Path, mebibytes: int):
        super().__init__(directory)
        self.mebibytes = mebibytes
        self.image = directory / "disk.img"

    def prepare(self) -> None:
        with open(self.image, "wb") as image:
            image.truncate(self.mebibytes << 20)
        tool("mkfs.ext4", "-q", "-F", self.image)

    def mount(self) -> None:
        tool("mount", "-o", "loop", self.image, self.root)

    def shutdown(self) -> None:
        """The file system stops as it is; every later call on it fails."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EPERM):
                raise Skipped(f"this kernel does not shut an ext4 down: {error}") from error
            raise
        finally:
            os.close(fd)


class SmallTmpfs(Mount):
    """A tmpfs of `mebibytes`."""

    def __init__(self, directory: pathlib.Path, mebibytes: int):
        super().__init__(directory)
        self.mebibytes = mebibytes

    def mount(self) -> None:
        tool("mount", "-t", "tmpfs", "-o", f"size={self.mebibytes}m", "tmpfs", self.root)


class PowerCut:
    """The fault of losing all that was not synced: shut down, kill, mount again."""

    name = "power cut"
    CANARY = b"not synced, so it has to be gone" * 1000

    def __init__(self, disk: LoopExt4):
        self.disk = disk
        self.cuts = 0
        self.bites = 0

    def cut(self, broker) -> None:
        canary = self.disk.root / "canary"
        canary.write_bytes(self.CANARY)
        self.disk.shutdown()
        broker.kill()
        unmount(self.disk.root)
        self.disk.mount()
        self.cuts += 1
        if not canary.exists() or canary.read_bytes() != self.CANARY:
            self.bites += 1
        canary.unlink(missing_ok=True)

    def proof(self) -> str:
        if self.bites < self.cuts:
            raise AssertionError(f"only {self.bites} of {self.cuts} cuts took a file that was not synced")
        return f"each of {self.cuts} cuts took a file that was not synced"
