"""Ending a training between two steps when the user, or the machine, asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as shells know it."""


class Stop:
    """Whether a training is to end after the step that it is at; called, it tells.

    Handed to `bninit.training.loop.train_stack`, which asks it, and to whoever sets it.
    """

    def __init__(self) -> None:
        self._signal: int | None = None

    def __call__(self) -> bool:
        """Tells whether to stop."""
        return self._signal is not None

    def set(self, signum: int = signal.SIGINT) -> None:
        """Asks for the end, for the sake of a signal."""
        self._signal = signum

    def check(self) -> None:
        """Does what the signal would have done at once.

        Raises:
            KeyboardInterrupt: It was SIGINT.
            SystemExit: It was SIGTERM.
        """
        if self._signal is not None:
            _leave(self._signal, None)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within this, the first SIGINT (Ctrl-C) or SIGTERM asks to stop, and the second one leaves.

    Signals that the process ignores stay ignored. In a thread that gets no signals, nothing
    changes but that the `Stop` can be set.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former: dict[int, Any] = {}

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        stop.set(signum)
        for number in former:
            signal.signal(number, _leave)

    for number in (int(signal.SIGINT), int(signal.SIGTERM)):
        # None is a handler that Python did not install, and cannot restore.
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            former[number] = signal.getsignal(number)
    try:
        for number in former:
            signal.signal(number, ask)
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _leave(signum: int, frame: FrameType | None) -> None:
    del frame
    if signum == signal.SIGTERM:
        raise SystemExit(TERMINATED)
    raise KeyboardInterrupt
