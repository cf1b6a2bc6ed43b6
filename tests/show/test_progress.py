"""Progress: what stands in a log, on a terminal, and what is left behind."""

from __future__ import annotations

import io
import math
import re
from contextlib import closing

import numpy as np
import pytest
from rich.console import Console

from bninit.show.progress import TrainingProgress
from bninit.training.records import Checkpoint, EpochMetrics, EpochRecord, ReplicaEpoch

NAN = math.nan
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(
    epoch: int, *accuracies: float, diverged: tuple[int, ...] = (), stack_seconds: float = 2.1
) -> EpochRecord:
    """An epoch; the training loss is 0.08, the validation loss 0.1, the batch loss 0.09."""

    def no_checkpoint() -> Checkpoint:
        raise AssertionError("showing takes no checkpoint")

    return EpochRecord(
        epoch=epoch,
        stack_seconds=stack_seconds if epoch else 0.0,
        replicas=tuple(
            ReplicaEpoch(
                replica=i,
                metrics=EpochMetrics(
                    epoch=epoch,
                    step=20 * epoch,
                    learning_rate=0.1,
                    batch_loss=0.09 if epoch else None,
                    train_loss=NAN if i in diverged else 0.08,
                    train_accuracy=accuracy,
                    val_loss=NAN if i in diverged else 0.1,
                    val_accuracy=accuracy,
                    seconds=1.0,
                ),
                step_losses=np.zeros(20),
                diverged_step=5 if i in diverged else None,
                checkpoint=no_checkpoint,
            )
            for i, accuracy in enumerate(accuracies)
        ),
    )


def start(progress: TrainingProgress, *labels: str, first_epoch: int = 0) -> None:
    progress.start(labels=list(labels), num_epochs=10, first_epoch=first_epoch, steps_per_epoch=420)


def log(width: int = 40) -> tuple[TrainingProgress, io.StringIO]:
    out = io.StringIO()
    return TrainingProgress(Console(file=out, width=width)), out


@pytest.mark.parametrize("width", [40, 200])
def test_a_log_has_one_line_for_each_epoch_whatever_its_width(width: int) -> None:
    progress, out = log(width)
    with closing(progress):
        start(progress, "bn-pre", "bn-pre", "bn-pre")
        progress.epoch(record(0, 0.1, 0.11, 0.12))
        progress.epoch(record(1, 0.968, 0.971, 0.973))
    assert out.getvalue().splitlines() == [
        "bn-pre: epoch 0/10  train loss 0.0800  val loss 0.1000  "
        "val accuracy 11.0 % (10.0 to 12.0, 3 seeds)  before training",
        "bn-pre: epoch 1/10  train loss 0.0800  val loss 0.1000  "
        "val accuracy 97.1 % (96.8 to 97.3, 3 seeds)  2.1 s",
    ]


def test_one_network_has_no_range() -> None:
    progress, out = log()
    start(progress, "x")
    progress.epoch(record(1, 0.9))
    assert "val accuracy 90.0 %  2.1 s" in out.getvalue()


def test_diverged_networks_are_counted_to_the_end() -> None:
    progress, out = log()
    start(progress, "x", "x", "x")
    progress.epoch(record(1, 0.9, 0.1, 0.92, diverged=(1,)))
    progress.epoch(record(2, 0.93, 0.95))
    progress.epoch(record(3, 0.1, 0.1, diverged=(0, 1)))
    first, second, third = out.getvalue().splitlines()
    assert "91.0 % (90.0 to 92.0, 2 seeds)  1 of 3 diverged" in first
    assert "94.0 % (93.0 to 95.0, 2 seeds)  1 of 3 diverged" in second
    assert third == "x: epoch 3/10  all 3 diverged  2.1 s"


def test_a_new_stack_starts_anew_and_a_resumed_one_says_so() -> None:
    progress, out = log()
    start(progress, "a", "a")
    progress.epoch(record(1, 0.1, 0.1, diverged=(0, 1)))
    start(progress, "b", "c", "d", first_epoch=4)
    progress.epoch(record(5, 0.9, 0.9, 0.9))
    _, resumed, last = out.getvalue().splitlines()
    assert resumed == "b and 2 more arms: resumes after epoch 4"
    assert last.startswith("b and 2 more arms: epoch 5/10")
    assert "3 networks)" in last
    assert "diverged" not in last


def test_notes_are_printed_as_they_are() -> None:
    progress, out = log()
    progress.note("seed 1: [red]checkpoint[/red] damaged at 17:30 of /tmp/x, and a long story")
    assert out.getvalue() == (
        "seed 1: [red]checkpoint[/red] damaged at 17:30 of /tmp/x, and a long story\n"
    )


def test_an_epoch_without_a_stack_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="start"):
        log()[0].epoch(record(0, 0.1))


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"FORCE_COLOR": "1"}, {"CI": "true", "TERM": "xterm"}]
)
def test_nothing_moves_the_cursor_where_it_cannot_be_moved(environment: dict[str, str]) -> None:
    out = io.StringIO()
    with closing(TrainingProgress(Console(file=out, _environ=environment))) as progress:
        start(progress, "x")
        progress.epoch(record(1, 0.9))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(
    width: int, *, clock: Clock | None = None, **environment: str
) -> tuple[TrainingProgress, Terminal]:
    out = Terminal()
    console = Console(file=out, width=width, _environ={"TERM": "xterm-256color", **environment})
    return TrainingProgress(console, clock=clock or Clock()), out


def last_display(out: Terminal) -> list[str]:
    """What the terminal showed last: the text after the last time the cursor moved up."""
    return ESCAPE.sub("", re.split(r"\x1b\[1A\x1b\[2K|\r", out.getvalue())[-1]).splitlines()


@pytest.mark.parametrize("width", [40, 64, 80, 200])
def test_the_display_fits_the_terminal_and_says_all(width: int) -> None:
    clock = Clock()
    progress, out = terminal(width, clock=clock)
    start(progress, *["bn-pre"] * 5)
    progress.epoch(record(0, *[0.1] * 5))
    clock.now += 3.0
    progress.epoch(record(1, 0.968, 0.97, 0.971, 0.972, 0.1, diverged=(4,), stack_seconds=2.0))
    assert progress._live is not None
    progress._live.refresh()
    shown = last_display(out)
    progress.close()
    assert all(len(line) <= width for line in shown)
    text = " ".join(" ".join(shown).split())
    assert "bn-pre" in text
    assert "epoch 1/10" in text
    assert "batch loss 0.0900 (0.0900 to 0.0900)" in text
    assert "val accuracy 97.0 % (96.8 to 97.2)" in text
    assert "5 networks x 210 steps/s" in text  # 420 steps in 2 seconds
    assert "1 of 5 diverged" in text
    assert "27 s left" in text  # 9 epochs of 3 seconds, evaluation included


def test_the_time_left_runs_down_between_epochs_and_stops_at_zero() -> None:
    clock = Clock()
    progress, out = terminal(80, clock=clock)
    start(progress, "x")
    progress.epoch(record(0, 0.1))
    assert progress._live is not None
    progress._live.refresh()
    assert "estimating time left" in " ".join(last_display(out))
    clock.now += 10
    progress.epoch(record(1, 0.9))
    for seconds, left in ((0, "1 min 30 s"), (20, "1 min 10 s"), (500, "0 s")):
        clock.now += seconds
        progress._live.refresh()
        assert f" {left} left" in " ".join(last_display(out))
    progress.close()


def test_a_stack_leaves_one_line_and_the_cursor_behind() -> None:
    progress, out = terminal(200)
    start(progress, "x", "x")
    progress.epoch(record(10, 0.97, 0.99))
    progress.close()
    progress.close()
    left = ESCAPE.sub("", out.getvalue().rsplit("\x1b[2K", 1)[-1]).strip("\r\n")
    assert left.splitlines() == [
        "x: epoch 10/10  train loss 0.0800  val loss 0.1000  "
        "val accuracy 98.0 % (97.0 to 99.0, 2 seeds)  2.1 s"
    ]
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1


def test_the_terminal_is_given_back_after_an_error() -> None:
    progress, out = terminal(80)

    def interrupted() -> None:
        with closing(progress):
            start(progress, "x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1
    assert progress._live is None


def test_no_color_leaves_no_colour() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")

    def shown(**environment: str) -> str:
        progress, out = terminal(80, clock=None, **environment)
        with closing(progress):
            start(progress, "x", "x")
            progress.epoch(record(1, 0.9, 0.1, diverged=(1,)))
            assert progress._live is not None
            progress._live.refresh()
        return out.getvalue()

    assert coloured.search(shown())
    assert not coloured.search(shown(NO_COLOR="1"))
