"""How long the stacks to come will take, from how long those before took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bninit.engines.plan import Job
from bninit.store.networks import architecture_of


class Clock:
    """Tells the time that is left.

    Args:
        total: Work of all networks together, as `work_of` tells.
        now: Seconds since any moment.
    """

    def __init__(self, total: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._total = total
        self._done = 0.0

    def done(self, work: float) -> None:
        """Some networks are trained, or left out."""
        self._done += work

    def time_left(self) -> str:
        """In words, for a line that goes on; empty at the beginning."""
        if not self._done:
            return ""
        seconds = (self._now() - self._began) * (self._total - self._done) / self._done
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        return f", about {seconds / 60:.0f} min left"


def work_of(stack: Sequence[Job]) -> float:
    """Multiplications of a stack's training, up to a factor, with something for each step."""
    config = stack[0].config
    weights = sum(fan_in * fan_out for fan_in, fan_out in architecture_of(config).fans())
    steps = config.train.epochs * config.iterations_per_epoch
    return steps * (len(stack) * weights * config.train.batch_size + 5_000_000.0)
