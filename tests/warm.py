"""``bninit`` as real processes that start in a moment, and can be made to fail at a chosen write.

One process imports everything and then forks a child for each command; what a child does from
then on is what ``bninit`` does. Python and torch take two seconds to start, which two hundred
killed processes would pay for again and again.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

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
            env={**os.environ, "COLUMNS": "100"},
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
        where = {"cwd": str(cwd), "out": str(out), "err": str(err)}
        pid = self.ask({"arguments": arguments, "fault": fault or {}, **where})
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


def _no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _limit_file_size(num_bytes: int) -> None:
    """The kernel's own refusal: EFBIG, as Python ignores the signal."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def _count_writes(path: str) -> None:
    """Leaves the number of replacements in a file."""
    _replace_with(lambda _: None, lambda number: Path(path).write_text(str(number)))


def _output(path: str) -> None:
    """Standard output goes to this file."""
    os.dup2(os.open(path, os.O_WRONLY), 1)


def _clock_runs_back(seconds: float) -> None:
    """Each look at the time of day finds it so many seconds earlier."""
    times = itertools.count(time.time() - seconds, -seconds)
    time.time = lambda: next(times)


def _interrupt_at_replacement(given: list[int]) -> None:
    """Sends itself the signal `given[1]`, `given[2]` times, at replacement number `given[0]`."""
    _replace_with(_at(given[0], partial(_send, *given[1:])))


def _interrupt_at_step(given: list[int]) -> None:
    """As `_interrupt_at_replacement`, when the training asks for the `given[0]`-th time."""
    from bninit.engines.stopping import Stop

    real, count = Stop.__call__, itertools.count(1)
    send = _at(given[0], partial(_send, *given[1:]))

    def ask(self: Stop) -> bool:
        send(next(count))
        return real(self)

    Stop.__call__ = ask  # type: ignore[method-assign]


def _send(signum: int, times: int) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signum)


def _at(at: int, happens: Callable[[], None]) -> Callable[[int], None]:
    return lambda number: happens() if number == at else None


def _replace_with(
    before: Callable[[int], object], after: Callable[[int], object] = lambda _: None
) -> None:
    """Calls functions around each replacement, with its number."""
    real, count = os.replace, itertools.count(1)

    def replace(*paths: Any, **options: Any) -> None:
        number = next(count)
        before(number)
        real(*paths, **options)
        after(number)

    os.replace = replace


def _from_write(at: int, happens: Callable[[], None]) -> None:
    """From file number `at` on, something happens when half of it is written."""
    real, count = os.fdopen, itertools.count(1)

    class Halves(io.BufferedWriter):
        def write(self, data: Any) -> int:
            half = len(data) // 2
            super().write(data[:half])
            self.flush()
            happens()
            return half + super().write(data[half:])

    def fdopen(descriptor: int, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode != "wb" or next(count) < at:
            return real(descriptor, mode, *rest, **options)
        return Halves(io.FileIO(descriptor, mode))

    os.fdopen = fdopen


_FAULTS: dict[str, Callable[[Any], None]] = {
    "die_before_replacement": lambda at: _replace_with(_at(at, _die)),
    "die_after_replacement": lambda at: _replace_with(lambda _: None, _at(at, _die)),
    "die_within_write": lambda at: _from_write(at, _die),
    "full_from_write": lambda at: _from_write(at, _no_space),
    "full_at_replacement": lambda at: _replace_with(_at(at, _no_space)),
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
