"""Learning-rate schedules, by epoch: each is one function and one entry in a dict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes over a training.

    Attributes:
        name: A key of `SCHEDULES`.
        step_epochs: Of ``step``: epochs between two reductions.
        factor: Of ``step``: what the rate is multiplied with.
        min_lr: Of ``cosine``: the rate that it would reach after the last epoch.
    """

    name: str = "constant"
    step_epochs: int | None = None
    factor: float = 0.1
    min_lr: float = 0.0


def learning_rate(schedule: Schedule, *, base_lr: float, epoch: int, num_epochs: int) -> float:
    """The rate of an epoch.

    Args:
        schedule: The law.
        base_lr: The rate of the first epoch.
        epoch: From 1.
        num_epochs: Epochs of the whole training.

    Raises:
        KeyError: The schedule is unknown.
        ValueError: ``step`` without ``step_epochs``.
    """
    return SCHEDULES[schedule.name](schedule, base_lr, epoch - 1, num_epochs)


def _constant(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    return base_lr


def _step(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    """As ``torch.optim.lr_scheduler.StepLR``, stepped once an epoch."""
    if schedule.step_epochs is None:
        raise ValueError("schedule step needs step_epochs")
    return base_lr * schedule.factor ** (done // schedule.step_epochs)


def _cosine(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    """Loshchilov & Hutter 2017, eq. 5, without restarts (arXiv:1608.03983)."""
    share = 0.5 * (1.0 + math.cos(math.pi * done / num_epochs))
    return schedule.min_lr + (base_lr - schedule.min_lr) * share


SCHEDULES: dict[str, Callable[[Schedule, float, int, int], float]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
}
