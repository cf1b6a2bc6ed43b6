"""Slices of the loss: filter norms, the network itself in the middle, scale invariance, packing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from shapes import shape
from torch.nn import functional as F

from bninit.nets.architecture import Architecture
from bninit.nets.products import BF16, FULL
from bninit.nets.reference import build_sequential
from bninit.nets.stack import StackedMLP
from bninit.training.evaluation import evaluate
from bninit.verbs.landscape.evaluate import (
    BATCH,
    RUNNING,
    filter_normalized_direction,
    linear_names,
    slice_losses,
)

BuildStack = Callable[..., StackedMLP]
WIDTHS = (6, 9, 7, 10)
POINTS = torch.tensor([[a, b] for a in (-0.7, 0.0, 0.4) for b in (-0.3, 0.0, 0.9)])
LINE = torch.linspace(-1, 1, 5)[:, None]


def examples(size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(size, WIDTHS[0], generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 10, (size,), generator=generator)


def losses(
    architecture: Architecture, state: dict[str, torch.Tensor], points: torch.Tensor, **more: Any
) -> torch.Tensor:
    """At points along the first random directions, on the examples in the network's precision."""
    numbers = range(1, points.shape[1] + 1)
    directions = [filter_normalized_direction(architecture, state, k) for k in numbers]
    x, y = examples()
    x = x.to(next(iter(state.values())).dtype)
    options = {"directions": directions, "coordinates": points, "x": x, "y": y, **more}
    return slice_losses(architecture, state, **options)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_every_filter_of_a_direction_is_as_long_as_the_networks(
    placement: str, build_stack: BuildStack
) -> None:
    architecture = shape(widths=WIDTHS, placement=placement, input_norm=True)
    network = build_stack(architecture)
    network.parameters[2].value[0, 4] = 0.0
    state = network.state(0)
    found = filter_normalized_direction(architecture, state, 1)
    assert set(found) == {f"{place}.weight" for place in linear_names(architecture)}
    assert len(found) == 3, "biases, gamma and beta do not move"
    for name, change in found.items():
        torch.testing.assert_close(change.norm(dim=1), state[name].norm(dim=1))
        assert abs(float((change * state[name]).sum())) < float(state[name].square().sum())
    dead = found[network.parameters[2].name][4]
    assert torch.equal(dead, torch.zeros_like(dead)), "a unit without weights stays without"


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("running", ["ema", "population"])
def test_each_point_is_the_loss_of_an_equal_sequential(
    placement: str, running: str, build_stack: BuildStack
) -> None:
    architecture = shape(
        widths=WIDTHS, activation="elu", placement=placement, input_norm=True, running=running
    )
    state = build_stack(architecture).state(1)
    before = {name: value.clone() for name, value in state.items()}
    one, other = (filter_normalized_direction(architecture, state, k) for k in (1, 2))
    x, y = examples()
    for statistics in (BATCH, RUNNING):
        found = losses(architecture, state, POINTS, statistics=statistics)
        for loss, (a, b) in zip(found.tolist(), POINTS.tolist(), strict=True):
            moved = state | {name: state[name] + a * one[name] + b * other[name] for name in one}
            twin = build_sequential(architecture, dtype=torch.float64)
            twin.load_state_dict(moved)
            twin.train(statistics == BATCH)
            with torch.no_grad():
                assert loss == pytest.approx(F.cross_entropy(twin(x), y).item(), rel=1e-10)
    for name, value in state.items():
        assert torch.equal(value, before[name]), "the network itself is only read"


@pytest.mark.parametrize("precision", [FULL, BF16])
@pytest.mark.parametrize("placement", ["none", "pre"])
def test_the_middle_is_the_network_itself(
    placement: str, precision: str, build_stack: BuildStack
) -> None:
    architecture = shape(widths=WIDTHS, placement=placement)
    drawn = build_stack(architecture, dtype=torch.float32)
    names, tensors = linear_names(architecture), drawn.tensors()
    network = StackedMLP(
        architecture,
        weights=[tensors[f"{name}.weight"] for name in names],
        biases=[tensors.get(f"{name}.bias") for name in names],
        precision=precision,
    )
    network.load([drawn.state(i) for i in range(drawn.num_replicas)])
    x, y = examples()
    own = evaluate(network, x.float(), y)[2].loss
    points = torch.tensor([[-1.0], [0.0]])
    found = losses(architecture, network.state(2), points, statistics=RUNNING, precision=precision)
    assert found[1].item() == own != found[0].item()


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_weights_of_another_scale_have_the_same_slice(
    placement: str, build_stack: BuildStack
) -> None:
    # Batch norm right after a layer, or after its ReLU, takes a positive factor away again.
    architecture = shape(widths=WIDTHS, placement=placement, bias=False, eps=1e-14)
    state = build_stack(architecture).state(0)
    first, second, _ = (f"{place}.weight" for place in linear_names(architecture))
    # A factor for each unit, as each has a mean and a variance of its own.
    factors = torch.linspace(0.2, 3.0, WIDTHS[2], dtype=torch.float64)
    scaled = state | {first: 5.0 * state[first], second: factors[:, None] * state[second]}
    found = losses(architecture, state, LINE)
    torch.testing.assert_close(losses(architecture, scaled, LINE), found, rtol=1e-8, atol=0.0)
    unscaled = [filter_normalized_direction(architecture, state, 1)]
    kept = losses(architecture, scaled, LINE, directions=unscaled)
    assert not torch.allclose(kept, found, rtol=1e-3), "without normalization it is another"


def test_a_point_is_the_same_whatever_else_is_computed(build_stack: BuildStack) -> None:
    architecture = shape(widths=(6, 100, 33, 10), placement="pre")
    state = build_stack(architecture, dtype=torch.float32).state(0)
    points = torch.linspace(-1, 1, 11)[:, None]
    together = losses(architecture, state, points)
    for place in (0, 7, 8, 10):
        alone = losses(architecture, state, points[place : place + 1])
        assert alone.item() == together[place].item()


def test_unknown_statistics_are_refused(build_stack: BuildStack) -> None:
    architecture = shape(widths=WIDTHS)
    with pytest.raises(ValueError, match="batch or running, not 'mean'"):
        losses(architecture, build_stack(architecture).state(0), LINE, statistics="mean")
