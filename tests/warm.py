"""``bninit`` as real processes that start in a moment, and can be made to fail at a chosen write.

One process imports everything and then forks a child for each command; what a child does from
then on is what ``bninit`` does. Python and torch take two seconds to start, which two hundred
killed processes would pay for again and again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

SECONDS = 120.0
"""Longer than any command here takes on a busy machine."""


class Warm:
    """Starts commands; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
            cwd=Path(__file__).parents[1],
            # Whatever ends the tests, it sees the end of its input, and ends what it has started.
            start_new_session=True,
        )
        self.ask({})

    def __enter__(self) -> Warm:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, request: dict[str, Any]) -> Any:
        """One request, one answer, a line of JSON each."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *arguments: str, cwd: Path, fault: dict[str, Any] | None = None) -> Child:
        """Starts a command in a folder.

        Args:
            arguments: After ``bninit``.
            cwd: The folder; output goes to files beside it.
            fault: What is to go wrong in it; see `_FAULTS`.
        """
        out, err = cwd.with_name(f"{cwd.name}.out"), cwd.with_name(f"{cwd.name}.err")
        pid = self.ask(
            {
                "arguments": arguments,
                "cwd": str(cwd),
                "out": str(out),
                "err": str(err),
                "fault": fault or {},
            }
        )
        return Child(self, pid, out, err)

    def run(
        self, *arguments: str, cwd: Path, fault: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Starts a command and waits for its end."""
        child = self.start(*arguments, cwd=cwd, fault=fault)
        code = child.wait()
        return subprocess.CompletedProcess(
            arguments, code, child.out.read_text(), child.err.read_text()
        )


@dataclass(frozen=True)
class Child:
    """A command that was started."""

    warm: Warm
    pid: int
    out: Path
    err: Path

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Sends a signal; until it is waited for, its number is its own."""
        os.kill(self.pid, signum)

    def poll(self) -> int | None:
        """Its exit code, the signal that ended it as a negative number; None while it runs."""
        found: int | None = self.warm.ask({"poll": self.pid})
        return found

    def wait(self) -> int:
        """Its exit code."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            code = self.poll()
            if code is not None:
                return code
            time.sleep(0.005)
        self.kill()
        raise AssertionError(f"it hangs: {self.err.read_text()}")

    def wait_for(self, text: str) -> None:
        """Waits until it has told this on standard error."""
        until = time.monotonic() + SECONDS
        # The child makes the file, in its own time.
        while not self.err.exists() or text not in self.err.read_text():
            assert time.monotonic() < until, f"{text!r} was never told"
            time.sleep(0.002)


def _serve() -> None:
    from bninit.cli.app import main
    from bninit.data.load import load

    load("mnist5k", val_size=500)
    answer: object = None
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            running.discard(pid)
        elif "arguments" in request:
            pid = os.fork()
            if pid == 0:
                _become(request, main)
            running.add(pid)
            answer = pid
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _become(request: dict[str, Any], main: Callable[[], None]) -> None:
    code = 70
    try:
        for descriptor, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(path, flags, 0o666)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.chdir(request["cwd"])
        sys.argv = ["bninit", *request["arguments"]]
        for name, value in request["fault"].items():
            _FAULTS[name](value)
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_before_replacement(at: int) -> None:
    _replace_with(lambda number, real: _die() if number == at else real())


def _die_after_replacement(at: int) -> None:
    def replace(number: int, real: Callable[[], None]) -> None:
        real()
        if number == at:
            _die()

    _replace_with(replace)


def _die_within_write(at: int) -> None:
    _write_with(lambda number, _: _die() if number == at else None)


def _full_from_write(at: int) -> None:
    """From the file number `at` on, half of it is written, and then there is no space."""

    def write(number: int, _: IO[bytes]) -> None:
        if number >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _write_with(write)


def _full_at_replacement(at: int) -> None:
    def replace(number: int, real: Callable[[], None]) -> None:
        if number == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real()

    _replace_with(replace)


def _limit_file_size(num_bytes: int) -> None:
    """The kernel's own refusal: EFBIG, as Python ignores the signal."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def _count_writes(path: str) -> None:
    """Leaves the number of replacements in a file."""

    def replace(number: int, real: Callable[[], None]) -> None:
        real()
        Path(path).write_text(str(number))

    _replace_with(replace)


def _output(path: str) -> None:
    """Standard output goes to this file."""
    os.dup2(os.open(path, os.O_WRONLY), 1)


def _clock_runs_back(seconds: float) -> None:
    """Each look at the time of day finds it so many seconds earlier."""
    began, looks = time.time(), 0

    def now() -> float:
        nonlocal looks
        looks += 1
        return began - seconds * looks

    time.time = now


def _interrupt_at_replacement(given: list[int]) -> None:
    """Sends itself the signal `given[1]`, `given[2]` times, at replacement number `given[0]`."""
    at, signum, times = given

    def replace(number: int, real: Callable[[], None]) -> None:
        if number == at:
            for _ in range(times):
                os.kill(os.getpid(), signum)
        real()

    _replace_with(replace)


def _interrupt_at_step(given: list[int]) -> None:
    """As `_interrupt_at_replacement`, when the training asks for the `given[0]`-th time."""
    from bninit.engines.stopping import Stop

    at, signum, times = given
    real, count = Stop.__call__, 0

    def ask(self: Stop) -> bool:
        nonlocal count
        count += 1
        if count == at:
            for _ in range(times):
                os.kill(os.getpid(), signum)
        return real(self)

    Stop.__call__ = ask  # type: ignore[method-assign]


def _replace_with(replacement: Callable[[int, Callable[[], None]], None]) -> None:
    real, count = os.replace, 0

    def replace(*paths: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        replacement(count, lambda: real(*paths, **options))

    os.replace = replace


def _write_with(between: Callable[[int, IO[bytes]], None]) -> None:
    """Calls a function between the two halves of every file that is written."""
    real, count = os.fdopen, 0

    class Halves:
        def __init__(self, file: IO[bytes], number: int) -> None:
            self._file, self._number = file, number

        def __enter__(self) -> Halves:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: bytes) -> None:
            half = len(data) // 2
            self._file.write(data[:half])
            self._file.flush()
            between(self._number, self._file)
            self._file.write(data[half:])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def fdopen(descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
        nonlocal count
        file = real(descriptor, mode, *rest, **options)
        if mode != "wb":
            return file
        count += 1
        return Halves(file, count)

    os.fdopen = fdopen


_FAULTS: dict[str, Callable[[Any], None]] = {
    "die_before_replacement": _die_before_replacement,
    "die_after_replacement": _die_after_replacement,
    "die_within_write": _die_within_write,
    "full_from_write": _full_from_write,
    "full_at_replacement": _full_at_replacement,
    "limit_file_size": _limit_file_size,
    "count_writes": _count_writes,
    "clock_runs_back": _clock_runs_back,
    "interrupt_at_replacement": _interrupt_at_replacement,
    "interrupt_at_step": _interrupt_at_step,
    "output": _output,
}

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
