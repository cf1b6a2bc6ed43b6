"""A training while it runs: a live display on a terminal, one plain line an epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bninit.show import words
from bninit.stats import EpochSpread, spread_of_epoch

if TYPE_CHECKING:
    from bninit.training.records import EpochRecord

_NARROW = 64
"""Below this width the live display has a line for each thing."""

_REFRESHES_PER_SECOND = 4

_MOST_STACKS = 4
"""Stacks in the live display; of more, their number."""


class TrainingProgress:
    """Shows the trainings of stacks, one or several at a time, on standard error.

    A `bninit.engines.interface.Progress`. On a terminal the display is renewed
    while stacks train, and each leaves one line behind when it is done. Into files, pipes and logs,
    and on terminals that cannot move the cursor, it writes a line for each epoch.

    Args:
        console: Where to; standard error by default.
        live: Whether to renew the display; by default as the console allows.
        clock: Seconds since any moment.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        live: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = Console(stderr=True) if console is None else console
        # FORCE_COLOR makes rich take a log for a terminal; colours are welcome there, a display
        # that moves the cursor is not.
        self._is_live = _can_move_cursor(self._console) if live is None else live
        self._clock = clock
        self._states: dict[int, _State] = {}
        self._live: Live | None = None

    def start(
        self,
        *,
        stack: int = 0,
        labels: Sequence[str],
        num_epochs: int,
        first_epoch: int = 0,
        steps_per_epoch: int,
    ) -> None:
        """A stack begins; one of the same number has ended.

        Args:
            stack: Its number.
            labels: The arm of each network, in order.
            num_epochs: Epochs of the whole training.
            first_epoch: Epochs that are already finished.
            steps_per_epoch: Steps of an epoch.
        """
        self.end(stack=stack)
        now = self._clock()
        state = self._states[stack] = _State(
            label=_label(labels),
            # Networks of one arm differ by their seeds alone.
            noun="seed" if len(set(labels)) == 1 else "network",
            num_replicas=len(labels),
            num_epochs=num_epochs,
            first_epoch=first_epoch,
            steps_per_epoch=steps_per_epoch,
            began=now,
            at=now,
            finished=first_epoch,
        )
        if first_epoch:
            self.note(f"{state.label}: resumes after epoch {first_epoch}")
        if self._is_live and self._live is None:
            self._live = Live(
                self,
                console=self._console,
                refresh_per_second=_REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start(refresh=True)

    def epoch(self, record: EpochRecord, *, stack: int = 0) -> None:
        """An epoch of a stack is on record.

        Raises:
            RuntimeError: The stack has not begun.
        """
        if stack not in self._states:
            raise RuntimeError("an epoch comes after the start of a stack")
        state = self._states[stack]
        seen = spread_of_epoch(record)
        now = self._clock()
        state = self._states[stack] = replace(
            state,
            seen=seen,
            num_diverged=state.num_diverged + seen.num_diverged,
            finished=seen.epoch,
            at=now,
            # What happens before the first record is not an epoch's time.
            began=now if state.seen is None and seen.epoch == 0 else state.began,
        )
        if not self._is_live:
            self._print(state.line())

    def end(self, *, stack: int = 0) -> None:
        """Nothing more comes of a stack; on a terminal, one line of it stays."""
        state = self._states.pop(stack, None)
        if state is None or not self._is_live:
            return
        if not self._states and self._live is not None:
            live, self._live = self._live, None
            live.stop()
        if state.seen is not None:
            self._print(state.line())

    def note(self, line: str) -> None:
        """Something that a user should know, in one line."""
        self._print(line)

    def close(self) -> None:
        """Nothing more comes; gives the terminal back. May be called more than once."""
        for stack in list(self._states):
            self.end(stack=stack)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live display, made anew at each refresh to the width that there is."""
        states = list(self._states.values())
        # All of it has to fit on the screen: what has scrolled away cannot be renewed.
        for state in states[:_MOST_STACKS]:
            yield from self._display(state, width=options.max_width)
        if len(states) > _MOST_STACKS:
            yield Text(f"and {words.plural(len(states) - _MOST_STACKS, 'more stack')}")

    def _display(self, state: _State, *, width: int) -> RenderResult:
        left = state.seconds_left(self._clock())
        time_left = "estimating time left" if left is None else f"{words.seconds(left)} left"
        done = state.finished - state.first_epoch
        bar = ProgressBar(total=state.num_epochs - state.first_epoch, completed=done)
        row = Table.grid(padding=(0, 1), expand=True)
        epoch = Text(f"epoch {state.count}")
        if width >= _NARROW:
            row.add_column(no_wrap=True, overflow="ellipsis", max_width=width // 4)
            row.add_column(no_wrap=True)
            row.add_column(ratio=1)
            row.add_column(no_wrap=True)
            row.add_row(Text(state.label, style="bold"), epoch, bar, Text(time_left))
            yield row
        else:
            row.add_column(no_wrap=True)
            row.add_column(ratio=1)
            row.add_row(epoch, bar)
            yield Text(state.label, style="bold", no_wrap=True, overflow="ellipsis")
            yield row
            yield Text(time_left)
        for line in words.flow(_figures(state), width=width):
            yield Text(line)
        if state.diverged:
            yield Text(state.diverged, style="yellow")

    def _print(self, line: str) -> None:
        overflow: OverflowMethod | None = "fold" if self._is_live else None
        self._console.print(Text(line), overflow=overflow, soft_wrap=not self._is_live)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What is known of a stack; replaced, never changed, as another thread displays it."""

    label: str
    noun: str
    num_replicas: int
    num_epochs: int
    first_epoch: int
    steps_per_epoch: int
    began: float
    at: float
    finished: int
    num_diverged: int = 0
    seen: EpochSpread | None = None

    def seconds_left(self, now: float) -> float | None:
        """Until the last epoch, at the pace so far; None before there is one."""
        done = self.finished - self.first_epoch
        if done <= 0:
            return None
        left = (self.at - self.began) / done * (self.num_epochs - self.finished)
        return max(left - (now - self.at), 0.0)

    @property
    def count(self) -> str:
        """``3/10``."""
        return f"{self.finished}/{self.num_epochs}"

    @property
    def diverged(self) -> str:
        """How many diverged, or nothing."""
        if not self.num_diverged:
            return ""
        return f"{words.of(self.num_diverged, self.num_replicas)} diverged"

    def speed(self, seen: EpochSpread) -> str:
        """Networks times steps per second, or nothing before training."""
        if seen.stack_seconds <= 0:
            return ""
        rate = self.steps_per_epoch / seen.stack_seconds
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        return f"{words.plural(seen.num_replicas, 'network')} x {shown} steps/s"

    def line(self) -> str:
        """The last epoch in one line."""
        head = f"{self.label}: epoch {self.count}"
        seen = self.seen
        if seen is None:
            return head
        parts = [head]
        if seen.val_accuracy is not None and seen.train_loss is not None:
            parts.append(f"train loss {words.loss(seen.train_loss.mean)}")
            parts.append(f"val loss {words.loss(seen.val_loss.mean if seen.val_loss else None)}")
            n = seen.val_accuracy.n
            num = "" if self.num_replicas == 1 else words.plural(n, self.noun)
            parts.append(f"val accuracy {words.percent_with_range(seen.val_accuracy, extra=num)}")
        if self.diverged:
            parts.append(self.diverged)
        parts.append(words.seconds(seen.stack_seconds) if seen.epoch else "before training")
        return "  ".join(parts)


def _figures(state: _State) -> list[str]:
    seen = state.seen
    if seen is None:
        return [f"{words.plural(state.num_replicas, 'network')}, before training"]
    figures = []
    if seen.batch_loss is not None:
        figures.append(f"batch loss {words.loss_with_range(seen.batch_loss)}")
    if seen.val_accuracy is not None:
        figures.append(f"val accuracy {words.percent_with_range(seen.val_accuracy)}")
    return [*figures, state.speed(seen)]


def _label(labels: Sequence[str]) -> str:
    different = list(dict.fromkeys(labels))
    if len(different) <= 2:
        return ", ".join(different)
    return f"{different[0]} and {len(different) - 1} more arms"


def _can_move_cursor(console: Console) -> bool:
    is_terminal = getattr(console.file, "isatty", lambda: False)()
    return bool(is_terminal) and console.is_terminal and not console.is_dumb_terminal
