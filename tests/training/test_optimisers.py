"""Optimisers and schedules against torch.optim's own single-tensor ones, on given gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR

from bninit.nets.parameter import Parameter, Parameters
from bninit.training.optimisers import build_optimiser, learning_rate, load_optimiser
from bninit.training.settings import (
    AdamSettings,
    AdamWSettings,
    ConstantSchedule,
    CosineSchedule,
    Optimiser,
    Schedule,
    SGDSettings,
    StepSchedule,
)

NUM_REPLICAS = 3
NUM_EPOCHS = 12
SHAPES = {"0.weight": (5, 7), "0.bias": (5,)}

SETTINGS: dict[str, Optimiser] = {
    "sgd": SGDSettings(),
    "plain sgd": SGDSettings(momentum=0.0),
    "sgd with decay": SGDSettings(momentum=0.8, weight_decay=0.02),
    "nesterov": SGDSettings(nesterov=True, weight_decay=0.02),
    "adam": AdamSettings(),
    "adam with decay": AdamSettings(weight_decay=0.02, betas=(0.8, 0.95)),
    "adamw": AdamWSettings(weight_decay=0.02, eps=1e-3),
}
every_optimiser = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())


def torchs(settings: Optimiser, parameters: list[torch.nn.Parameter]) -> Any:
    classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    options = settings.model_dump(exclude={"name", "lr", "schedule"})
    return classes[settings.name](parameters, lr=0.1, foreach=False, **options)


def gradient(step: int, name: str, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(NUM_REPLICAS, *SHAPES[name], generator=generator, dtype=dtype)


def parameters(dtype: torch.dtype = torch.float64) -> Parameters:
    return Parameters([Parameter(name, gradient(99, name, dtype)) for name in SHAPES])


def step(mine: Parameters, optimiser: Any, number: int) -> None:
    for parameter in mine:
        parameter.grad.copy_(gradient(number, parameter.name))
    optimiser.step(0.1 / number)


@every_optimiser
def test_every_network_steps_as_with_torch(settings: Optimiser) -> None:
    mine = parameters()
    optimiser = build_optimiser(mine, settings)
    theirs = [
        [torch.nn.Parameter(parameter.value[i].clone()) for parameter in mine]
        for i in range(NUM_REPLICAS)
    ]
    their_optimisers = [torchs(settings, one) for one in theirs]
    for number in range(1, 8):
        step(mine, optimiser, number)
        for i, (one, their) in enumerate(zip(theirs, their_optimisers, strict=True)):
            for parameter, value in zip(mine, one, strict=True):
                value.grad = gradient(number, parameter.name)[i]
            their.param_groups[0]["lr"] = 0.1 / number
            their.step()
            for parameter, value in zip(mine, one, strict=True):
                torch.testing.assert_close(
                    parameter.value[i], value.detach(), rtol=1e-12, atol=1e-14
                )


@every_optimiser
def test_what_was_saved_resumes_to_the_same_bits(settings: Optimiser) -> None:
    mine = parameters(torch.float32)
    optimiser = build_optimiser(mine, settings)
    for number in (1, 2, 3):
        step(mine, optimiser, number)
    order = [2, 0]
    states = [
        {name: tensor[i].clone() for name, tensor in optimiser.tensors().items()} for i in order
    ]
    again = Parameters([Parameter(p.name, p.value[order].clone()) for p in mine])
    loaded = build_optimiser(again, settings)
    load_optimiser(loaded, states)
    for number in (4, 5):
        step(mine, optimiser, number)
        for parameter in again:
            parameter.grad.copy_(gradient(number, parameter.name)[order])
        loaded.step(0.1 / number)
    for parameter, other in zip(mine, again, strict=True):
        assert torch.equal(parameter.value[order], other.value)
    for name, tensor in optimiser.tensors().items():
        assert torch.equal(tensor[order], loaded.tensors()[name])


@pytest.mark.parametrize(
    ("name", "prefixes"), [("sgd", ["momentum"]), ("adam", ["exp_avg", "exp_avg_sq"])]
)
def test_states_are_named_after_parameters_and_have_to_fit(name: str, prefixes: list[str]) -> None:
    optimiser = build_optimiser(parameters(), SETTINGS[name])
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
