"""Slices of the loss: filter norms, the network itself in the middle, scale invariance, packing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shapes import shape
from torch.nn import functional as F

from bninit.nets.architecture import Architecture
from bninit.nets.products import BF16, FULL
from bninit.nets.reference import build_sequential
from bninit.nets.stack import StackedMLP
from bninit.training.evaluation import evaluate
from bninit.training.seeding import direction_draws
from bninit.verbs.landscape.evaluate import (
    BATCH,
    RUNNING,
    Direction,
    filter_normalized_direction,
    linear_names,
    slice_losses,
)

BuildStack = Callable[..., StackedMLP]
WIDTHS = (6, 9, 7, 10)
POINTS = torch.tensor([[a, b] for a in (-0.7, 0.0, 0.4) for b in (-0.3, 0.0, 0.9)])


def examples(size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(size, WIDTHS[0], generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 10, (size,), generator=generator)


def direction(
    architecture: Architecture, state: dict[str, torch.Tensor], *, number: int = 1
) -> Direction:
    draws = direction_draws(0, number)
    return filter_normalized_direction(architecture, state, draws=draws)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_every_filter_of_a_direction_is_as_long_as_the_networks(
    placement: str, build_stack: BuildStack
) -> None:
    architecture = shape(widths=WIDTHS, placement=placement, input_norm=True)
    network = build_stack(architecture)
    network.parameters[2].value[0, 4] = 0.0
    state = network.state(0)
    found = direction(architecture, state)
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
    directions = [direction(architecture, state, number=k) for k in (1, 2)]
    x, y = examples()
    for statistics in (BATCH, RUNNING):
        found = slice_losses(
            architecture,
            state,
            directions=directions,
            coordinates=POINTS,
            x=x,
            y=y,
            statistics=statistics,
        )
        for loss, (a, b) in zip(found.tolist(), POINTS.tolist(), strict=True):
            moved = dict(state)
            for name in directions[0]:
                moved[name] = state[name] + a * directions[0][name] + b * directions[1][name]
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
    state = network.state(2)
    found = slice_losses(
        architecture,
        state,
        directions=[direction(architecture, state)],
        coordinates=torch.tensor([[-1.0], [0.0]]),
        x=x.float(),
        y=y,
        statistics=RUNNING,
        precision=precision,
    )
    assert found[1].item() == own
    assert found[0].item() != own


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_weights_of_another_scale_have_the_same_slice(
    placement: str, build_stack: BuildStack
) -> None:
    # Batch norm right after a layer, or after its ReLU, takes a positive factor away again.
    architecture = shape(widths=WIDTHS, placement=placement, bias=False, eps=1e-14)
    network = build_stack(architecture)
    x, y = examples()
    state = network.state(0)
    scaled = dict(state)
    first, second, _ = (f"{place}.weight" for place in linear_names(architecture))
    scaled[first] = 5.0 * state[first]
    # A factor for each unit, as each has a mean and a variance of its own.
    factors = torch.linspace(0.2, 3.0, WIDTHS[2], dtype=torch.float64)
    scaled[second] = factors[:, None] * state[second]
    found = [
        slice_losses(
            architecture,
            each,
            directions=[direction(architecture, each)],
            coordinates=torch.linspace(-1, 1, 5)[:, None],
            x=x,
            y=y,
        )
        for each in (state, scaled)
    ]
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=0.0)
    kept = slice_losses(
        architecture,
        scaled,
        directions=[direction(architecture, state)],
        coordinates=torch.linspace(-1, 1, 5)[:, None],
        x=x,
        y=y,
    )
    assert not torch.allclose(kept, found[0], rtol=1e-3), "without normalization it is another"


def test_a_point_is_the_same_whatever_else_is_asked(build_stack: BuildStack) -> None:
    architecture = shape(widths=(6, 100, 33, 10), placement="pre")
    state = build_stack(architecture, dtype=torch.float32).state(0)
    x, y = examples()
    directions = [direction(architecture, state)]
    points = torch.linspace(-1, 1, 11)[:, None]

    def losses(coordinates: torch.Tensor) -> torch.Tensor:
        return slice_losses(
            architecture, state, directions=directions, coordinates=coordinates, x=x.float(), y=y
        )

    together = losses(points)
    for place in (0, 7, 8, 10):
        assert losses(points[place : place + 1]).item() == together[place].item()


def test_unknown_statistics_are_refused(build_stack: BuildStack) -> None:
    architecture = shape(widths=WIDTHS)
    state = build_stack(architecture).state(0)
    x, y = examples()
    with pytest.raises(ValueError, match="batch or running, not 'mean'"):
        slice_losses(
            architecture,
            state,
            directions=[],
            coordinates=torch.zeros(1, 0),
            x=x,
            y=y,
            statistics="mean",
        )
