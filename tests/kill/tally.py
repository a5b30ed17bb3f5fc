"""Counts and prints checks; the last line of a program is `N passed, N failed`."""

import sys
import threading
import traceback


class Skipped(Exception):
    """This machine does not allow what the check needs; the text says what is missing."""


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.lock = threading.Lock()

    def check(self, name: str, body) -> bool:
        """Runs `body`; any exception is this check's failure, `Skipped` is neither pass nor failure."""
        try:
            said = body()
        except Skipped as reason:
            with self.lock:
                self.skipped += 1
            print(f"SKIP {name}: {reason}", flush=True)
            return False
        except Exception as error:  # clients raise what they like: each is this check's failure
            self.fail(name, f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error))
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stderr)
            return False
        self.ok(name, said)
        return True

    def ok(self, name: str, said=None) -> None:
        with self.lock:
            self.passed += 1
        print(f"ok   {name}" + (f": {said}" if isinstance(said, str) else ""), flush=True)

    def fail(self, name: str, why: str) -> None:
        with self.lock:
            self.failed += 1
        print(f"FAIL {name}: {why}", flush=True)

    @staticmethod
    def expect(got, wanted) -> None:
        if got != wanted:
            raise AssertionError(f"got {got!r}, wanted {wanted!r}")

    def end(self) -> int:
        """Prints the counts; the exit code. A run that checked nothing has not passed."""
        if self.skipped:
            print(f"{self.skipped} skipped", flush=True)
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not (self.passed or self.skipped) else 0
