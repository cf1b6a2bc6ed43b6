"""Schedules against torch.optim.lr_scheduler, stepped once an epoch."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR

from bninit.training.optimisers import SCHEDULES, Schedule, learning_rate

NUM_EPOCHS = 12


def torchs(schedule: Schedule, optimiser: torch.optim.Optimizer) -> LRScheduler:
    if schedule.name == "step":
        assert schedule.step_epochs is not None
        return StepLR(optimiser, step_size=schedule.step_epochs, gamma=schedule.factor)
    if schedule.name == "cosine":
        return CosineAnnealingLR(optimiser, T_max=NUM_EPOCHS, eta_min=schedule.min_lr)
    return ConstantLR(optimiser, factor=1.0)


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        Schedule(name="step", step_epochs=1, factor=0.5),
        Schedule(name="step", step_epochs=5),
        Schedule(name="step", step_epochs=100),
        Schedule(name="cosine"),
        Schedule(name="cosine", min_lr=0.01),
    ],
    ids=lambda schedule: f"{schedule.name}-{schedule.step_epochs}-{schedule.min_lr}",
)
def test_every_epoch_has_torchs_rate(schedule: Schedule) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torchs(schedule, optimiser)
    for epoch in range(1, NUM_EPOCHS + 1):
        found = learning_rate(schedule, base_lr=0.3, epoch=epoch, num_epochs=NUM_EPOCHS)
        assert found == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-12)
        optimiser.step()
        scheduler.step()


def test_the_schedules_of_the_config_are_there() -> None:
    assert set(SCHEDULES) == {"constant", "step", "cosine"}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="step_epochs"):
        learning_rate(Schedule(name="step"), base_lr=0.1, epoch=1, num_epochs=2)
    with pytest.raises(KeyError):
        learning_rate(Schedule(name="warm"), base_lr=0.1, epoch=1, num_epochs=2)
