"""States of optimisers, and schedules against torch's; steps are tested in `test_step`."""

from __future__ import annotations

import pytest
import torch
from shapes import OPTIM
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR

from bninit.nets.parameter import Parameter, Parameters
from bninit.training.optimisers import build_optimiser, learning_rate, load_optimiser
from bninit.training.settings import (
    AdamSettings,
    ConstantSchedule,
    CosineSchedule,
    Schedule,
    StepSchedule,
)

NUM_EPOCHS = 12
SHAPES = {"0.weight": (5, 7), "0.bias": (5,)}


@pytest.mark.parametrize(
    ("name", "prefixes"), [("sgd", ["momentum"]), ("adam", ["exp_avg", "exp_avg_sq"])]
)
def test_states_are_named_after_parameters_and_have_to_fit(name: str, prefixes: list[str]) -> None:
    parameters = Parameters([Parameter(key, torch.ones(3, *size)) for key, size in SHAPES.items()])
    optimiser = build_optimiser(parameters, OPTIM[name])
    names = {f"{prefix}.{parameter}" for prefix in prefixes for parameter in SHAPES}
    assert set(optimiser.tensors()) - {"steps"} == names
    good = {key: tensor[0].clone() for key, tensor in optimiser.tensors().items()}
    first = next(key for key in good if key.endswith("0.weight"))
    for bad in ({key: t for key, t in good.items() if key != first}, good | {first: good[first].T}):
        with pytest.raises(ValueError, match=first):
            load_optimiser(optimiser, [bad])


def scheduler_of(schedule: Schedule, optimiser: torch.optim.Optimizer) -> LRScheduler:
    if isinstance(schedule, StepSchedule):
        return StepLR(optimiser, step_size=schedule.step_epochs, gamma=schedule.factor)
    if isinstance(schedule, CosineSchedule):
        return CosineAnnealingLR(optimiser, T_max=NUM_EPOCHS, eta_min=schedule.min_lr)
    return ConstantLR(optimiser, factor=1.0)


@pytest.mark.parametrize(
    "schedule",
    [
        ConstantSchedule(),
        StepSchedule(step_epochs=1, factor=0.5),
        StepSchedule(step_epochs=5),
        StepSchedule(step_epochs=100),
        CosineSchedule(),
        CosineSchedule(min_lr=0.01),
    ],
    ids=repr,
)
def test_every_epoch_has_torchs_rate(schedule: Schedule) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = scheduler_of(schedule, optimiser)
    settings = AdamSettings(lr=0.3, schedule=schedule)
    for epoch in range(1, NUM_EPOCHS + 1):
        found = learning_rate(settings, epoch=epoch, num_epochs=NUM_EPOCHS)
        assert found == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-12)
        optimiser.step()
        scheduler.step()
