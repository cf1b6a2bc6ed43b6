"""Loss and gradient along the gradient: closed forms, autograd, and nothing changed by looking."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from shapes import drawn, initial, planned, shape, vary
from torch import nn
from torch.nn import functional as F

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.settings import BiasSettings
from bninit.nets.stack import StackedMLP
from bninit.training.along_gradient import QUANTITIES, AlongGradient, measure_along_gradient
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.probing import rows_of
from bninit.training.records import EpochRecord
from bninit.training.replay import replay
from bninit.training.settings import ProbeSettings

LENGTHS = (0.05, 0.2, 0.7)
NUM_EXAMPLES = 12


def build(
    architecture: Architecture, *, seeds: Sequence[int] = (0, 1, 2), bias_sd: float = 0.3
) -> StackedMLP:
    """Networks in double precision with biases, gamma and beta that are not 0 or 1."""
    bias = BiasSettings(scheme="normal", std=bias_sd) if bias_sd else None
    network = drawn(architecture, seeds=seeds, init=initial(bias=bias))
    for norm in network.batch_norms:
        if norm.gamma is not None and norm.beta is not None:
            for place, seed in enumerate(seeds):
                stream = torch.Generator().manual_seed(seed)
                norm.gamma.value[place].uniform_(0.5, 1.5, generator=stream)
                norm.beta.value[place].uniform_(-0.5, 0.5, generator=stream)
    return network


def batch(num_replicas: int, *, num_features: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_replicas, NUM_EXAMPLES, num_features, generator=generator).double()
    y = torch.randint(0, 10, (num_replicas, NUM_EXAMPLES), generator=generator)
    return x.transpose(1, 2), y


def loss_and_gradient(
    network: nn.Module, x: torch.Tensor, y: torch.Tensor
) -> tuple[float, torch.Tensor]:
    network.zero_grad()
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(("input_norm", "affine"), [(False, True), (True, True), (True, False)])
def test_it_is_what_autograd_finds(placement: str, input_norm: bool, affine: bool) -> None:
    architecture = shape(
        widths=(6, 8, 7, 10),
        activation="tanh",
        placement=placement,
        input_norm=input_norm,
        affine=affine,
    )
    network = build(architecture)
    x, y = batch(network.num_replicas)
    found = measure_along_gradient(network, x, y, lengths=LENGTHS)
    for i in range(network.num_replicas):
        twin = build_sequential(architecture, dtype=torch.float64).train()
        twin.load_state_dict(network.state(i))
        loss, gradient = loss_and_gradient(twin, x[i].T, y[i])
        losses, changes = [], []
        for length in LENGTHS:
            moved = copy.deepcopy(twin)
            with torch.no_grad():
                for parameter, own in zip(moved.parameters(), twin.parameters(), strict=True):
                    parameter.sub_(length * own.grad)
            there, other = loss_and_gradient(moved, x[i].T, y[i])
            losses.append(there)
            changes.append((other - gradient).norm().item())
        assert found.loss[i] == pytest.approx(loss, rel=1e-10)
        assert found.gradient_norm[i] == pytest.approx(gradient.norm().item(), rel=1e-10)
        assert found.losses[i] == pytest.approx(losses, rel=1e-9)
        assert found.gradient_changes[i] == pytest.approx(changes, rel=1e-9)
        way = [loss, *losses]
        assert found.loss_range[i] == pytest.approx(max(way) - min(way), rel=1e-9)
        assert found.gradient_change[i] == pytest.approx(max(changes), rel=1e-9)
        relative = max(changes) / gradient.norm().item()
        assert found.relative_gradient_change[i] == pytest.approx(relative, rel=1e-9)
        per_distance = max(
            change / (length * gradient.norm().item())
            for change, length in zip(changes, LENGTHS, strict=True)
        )
        assert found.smoothness[i] == pytest.approx(per_distance, rel=1e-9)


def test_one_example_of_softmax_regression_in_closed_form() -> None:
    # Logits move along p - e alone: by -eta (|x|^2 + 1) (p - e), the 1 for the bias.
    architecture = shape(widths=(6, 10))
    network = build(architecture, seeds=(0,), bias_sd=0.0)
    network.parameters[0].value.zero_()
    x, y = batch(1)
    x, y = x[:, :, :1], y[:, :1]
    found = measure_along_gradient(network, x, y, lengths=LENGTHS)
    size = float(x.square().sum()) + 1
    label = np.eye(10)[int(y)]
    start = np.full(10, 0.1) - label
    assert found.loss[0] == pytest.approx(math.log(10), rel=1e-12)
    assert found.gradient_norm[0] == pytest.approx(math.sqrt(0.9 * size), rel=1e-12)
    for k, length in enumerate(LENGTHS):
        logits = -length * size * start
        p = np.exp(logits) / np.exp(logits).sum()
        assert found.losses[0, k] == pytest.approx(-math.log(p @ label), rel=1e-10)
        change = np.linalg.norm(p - 0.1) * math.sqrt(size)
        assert found.gradient_changes[0, k] == pytest.approx(change, rel=1e-10)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_over_short_lengths_it_is_the_curvature_along_the_gradient(placement: str) -> None:
    architecture = shape(widths=(6, 8, 10), activation="tanh", placement=placement)
    network = build(architecture, seeds=(4,))
    x, y = batch(1)
    found = measure_along_gradient(network, x, y, lengths=(1e-6,))
    twin = build_sequential(architecture, dtype=torch.float64).train()
    twin.load_state_dict(network.state(0))
    own = list(twin.parameters())
    gradient = torch.autograd.grad(F.cross_entropy(twin(x[0].T), y[0]), own, create_graph=True)
    along = [one.detach() for one in gradient]
    curved = torch.autograd.grad(gradient, own, grad_outputs=along)
    squares = [sum(float(one.square().sum()) for one in each) for each in (curved, along)]
    assert found.smoothness[0] == pytest.approx(math.sqrt(squares[0] / squares[1]), rel=1e-4)


def test_what_is_not_finite_is_infinitely_rough() -> None:
    found = AlongGradient(
        lengths=np.array([0.1, 0.2]),
        loss=np.array([1.0, 1.0, 1.0]),
        losses=np.array([[0.5, np.inf], [np.nan, 0.5], [1.0, 1.0]]),
        gradient_norm=np.array([2.0, 2.0, 0.0]),
        gradient_changes=np.array([[1.0, np.nan], [np.inf, 1.0], [0.0, 0.0]]),
    )
    assert found.loss_range.tolist() == [np.inf, np.inf, 0.0]
    assert found.gradient_change.tolist() == [np.inf, np.inf, 0.0]
    assert found.smoothness[:2].tolist() == [np.inf, np.inf]
    assert math.isnan(found.smoothness[2])
    assert math.isnan(found.relative_gradient_change[2])


@pytest.mark.parametrize("placement", ["none", "pre"])
def test_a_replay_is_the_training(
    placement: str, settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    architecture = shape(widths=(12, 17, 20, 10), placement=placement)
    settings = vary(settings, architecture=architecture, lr=0.05)
    plans = mixed_plans[:3]
    trained = [r for r in train_stack(settings, plans, data) if isinstance(r, EpochRecord)]
    again = list(replay(settings, plans, data, steps=(1, 3, 5)))
    assert [epoch.epoch for epoch in again] == [record.epoch for record in trained]
    for epoch, record in zip(again, trained, strict=True):
        for one in record.replicas:
            assert epoch.step_losses[one.replica].tobytes() == one.step_losses.tobytes()
    last = again[-1].parameters[2]
    for name, value in trained[-1].replicas[2].checkpoint().network.items():
        if name in last:
            assert torch.equal(last[name], value), name
    measured = [one for epoch in again for one in epoch.measured]
    assert [(one.step, one.epoch) for one in measured] == [(1, 1), (3, 1), (5, 2)]
    losses = np.concatenate([epoch.step_losses for epoch in again], axis=1)
    for one in measured:
        # Each step is measured on its own mini-batch, at the weights before it.
        assert (
            one.along.loss.astype(np.float32).tobytes()
            == losses[:, one.step - 1].astype(np.float32).tobytes()
        )
        assert one.along.lengths[[0, -1]] == pytest.approx([0.025, 0.2])


def test_chosen_lengths_hold_for_every_step(
    settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    epochs = list(replay(settings, mixed_plans[:1], data, steps=(2,), lengths=(0.01, 0.3)))
    assert epochs[1].measured[0].along.lengths.tolist() == [0.01, 0.3]


@pytest.mark.parametrize("placement", ["none", "pre"])
def test_the_probe_tells_what_a_replay_tells(
    placement: str, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    settings = planned(
        architecture=shape(widths=(12, 17, 20, 10), placement=placement),
        epochs=2,
        batch_size=40,
        last_batch="drop",
        lr=0.05,
    )
    plans = mixed_plans[:2]
    probed = vary(settings, probes=ProbeSettings(enabled=True, groups=("landscape",)))
    records = [r for r in train_stack(probed, plans, data) if isinstance(r, EpochRecord)]
    taken = [rows_of(one.checkpoint().probes) for one in records[-1].replicas]
    # Three steps an epoch; probes come after steps, a measurement before the next.
    assert sorted(set(taken[0].step.tolist())) == [0, 1, 2, 3, 4, 6]
    again = [one for epoch in replay(settings, plans, data, steps=(1, 2, 3, 4, 5))
             for one in epoch.measured]  # fmt: skip
    for place, rows in enumerate(taken):
        for one in again:
            for quantity in QUANTITIES:
                key = rows.keys.index((-1, "network", quantity, -1))
                (value,) = rows.value[(rows.key == key) & (rows.step == one.step - 1)]
                assert value == np.float32(getattr(one.along, quantity)[place])
