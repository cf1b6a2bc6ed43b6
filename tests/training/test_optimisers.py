"""Optimisers against torch.optim's own single-tensor ones, on given gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bninit.nets.parameter import Parameter, Parameters
from bninit.training.optimisers import (
    OPTIMISERS,
    OptimiserSettings,
    build_optimiser,
    load_optimiser,
)

NUM_REPLICAS = 3
SHAPES = {"0.weight": (5, 7), "0.bias": (5,)}

SETTINGS = {
    "sgd": OptimiserSettings(name="sgd"),
    "plain sgd": OptimiserSettings(name="sgd", momentum=0.0),
    "sgd with decay": OptimiserSettings(name="sgd", momentum=0.8, weight_decay=0.02),
    "nesterov": OptimiserSettings(name="sgd", nesterov=True, weight_decay=0.02),
    "adam": OptimiserSettings(name="adam"),
    "adam with decay": OptimiserSettings(name="adam", weight_decay=0.02, betas=(0.8, 0.95)),
    "adamw": OptimiserSettings(name="adamw", weight_decay=0.02, eps=1e-3),
}


def torchs(settings: OptimiserSettings, parameters: list[torch.nn.Parameter]) -> Any:
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=0.1,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
            foreach=False,
        )
    cls = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return cls(
        parameters,
        lr=0.1,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        foreach=False,
    )


def gradient(step: int, name: str, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(NUM_REPLICAS, *SHAPES[name], generator=generator, dtype=dtype)


def parameters(dtype: torch.dtype = torch.float64) -> Parameters:
    return Parameters([Parameter(name, gradient(99, name, dtype)) for name in SHAPES])


def step(mine: Parameters, optimiser: Any, number: int) -> None:
    for parameter in mine:
        parameter.grad.copy_(gradient(number, parameter.name))
    optimiser.step(0.1 / number)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_network_steps_as_with_torch(settings: OptimiserSettings) -> None:
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


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_what_was_saved_goes_on_to_the_same_bits(settings: OptimiserSettings) -> None:
    mine = parameters(torch.float32)
    optimiser = build_optimiser(mine, settings)
    for number in (1, 2, 3):
        step(mine, optimiser, number)
    order = (2, 0)
    states = [
        {name: tensor[i].clone() for name, tensor in optimiser.tensors().items()} for i in order
    ]
    again = Parameters([Parameter(p.name, p.value[list(order)].clone()) for p in mine])
    loaded = build_optimiser(again, settings)
    load_optimiser(loaded, states)
    for number in (4, 5):
        step(mine, optimiser, number)
        for parameter in again:
            parameter.grad.copy_(gradient(number, parameter.name, torch.float64)[list(order)])
        loaded.step(0.1 / number)
    for parameter, other in zip(mine, again, strict=True):
        assert torch.equal(parameter.value[list(order)], other.value)
    for name, tensor in optimiser.tensors().items():
        assert torch.equal(tensor[list(order)], loaded.tensors()[name])


def test_what_is_saved_is_named_after_the_parameters() -> None:
    sgd = build_optimiser(parameters(), SETTINGS["sgd"])
    assert set(sgd.tensors()) == {"momentum.0.weight", "momentum.0.bias"}
    adam = build_optimiser(parameters(), SETTINGS["adam"])
    assert set(adam.tensors()) == {
        "steps",
        "exp_avg.0.weight",
        "exp_avg.0.bias",
        "exp_avg_sq.0.weight",
        "exp_avg_sq.0.bias",
    }
    assert all(len(tensor) == NUM_REPLICAS for tensor in adam.tensors().values())


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_states_that_do_not_fit_are_refused(name: str) -> None:
    optimiser = build_optimiser(parameters(), SETTINGS[name])
    good = {key: tensor[0].clone() for key, tensor in optimiser.tensors().items()}
    first = next(key for key in good if key.endswith("0.weight"))
    with pytest.raises(ValueError, match=first):
        load_optimiser(optimiser, [{key: t for key, t in good.items() if key != first}])
    with pytest.raises(ValueError, match=first):
        load_optimiser(optimiser, [good | {first: good[first].T}])


def test_the_optimisers_of_the_config_are_there() -> None:
    assert set(OPTIMISERS) == {"sgd", "adam", "adamw"}
