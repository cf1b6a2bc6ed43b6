"""Signals and gradients at each place, against autograd through a plain nn.Sequential."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shapes import shape
from torch.nn import functional as F

from bninit.nets.layers import cross_entropy
from bninit.nets.reference import build_sequential
from bninit.nets.signals import distinct_units, read_signals
from bninit.nets.stack import StackedMLP

BuildStack = Callable[..., StackedMLP]
WIDTHS = (6, 9, 7, 10)
BATCH = 8


def batch(num_replicas: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(num_replicas, BATCH, WIDTHS[0], generator=generator, dtype=torch.float64)
    return x.transpose(1, 2), torch.randint(0, 10, (num_replicas, BATCH), generator=generator)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(("input_norm", "affine"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("hidden", [(), (9, 7)])
def test_each_place_is_what_autograd_finds(
    placement: str, input_norm: bool, affine: bool, hidden: tuple[int, ...], build_stack: BuildStack
) -> None:
    architecture = shape(
        widths=(6, *hidden, 10),
        activation="softsign",
        placement=placement,
        input_norm=input_norm,
        affine=affine,
    )
    network = build_stack(architecture)
    x, labels = batch(network.num_replicas)
    found = read_signals(network, x, labels)
    assert [signals.layer for signals in found] == list(range(1, len(hidden) + 2))
    for replica in range(network.num_replicas):
        twin = build_sequential(architecture, dtype=torch.float64)
        twin.load_state_dict(network.state(replica))
        values = [x[replica].T]
        for module in twin.train():
            values.append(module(values[-1]))
            if values[-1].requires_grad:
                values[-1].retain_grad()
        F.cross_entropy(values[-1], labels[replica]).backward()
        for place, (kind, number) in enumerate(architecture.kinds()):
            if number == 0:
                continue
            signals, value = found[number - 1], values[place + 1]
            own = {
                "linear": signals.linear_out,
                "norm": signals.norm_out,
                "activation": signals.activation_out,
            }[kind]
            assert own is not None
            torch.testing.assert_close(own[replica].T, value.detach())
            if kind == "linear":
                torch.testing.assert_close(signals.linear_in[replica].T, values[place].detach())
                torch.testing.assert_close(signals.linear_grad[replica].T, value.grad)
                weight = next(iter(twin[place].parameters()))
                torch.testing.assert_close(signals.weight_grad[replica], weight.grad)
    assert found[-1].activation_out is None
    assert (found[0].norm_out is None) == (placement == "none" or not hidden)


@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
def test_nothing_of_the_network_changes(running: str, build_stack: BuildStack) -> None:
    network = build_stack(shape(widths=WIDTHS, placement="pre", input_norm=True, running=running))
    x, labels = batch(network.num_replicas)
    _, dlogits = cross_entropy(network.forward(x, training=True), labels)
    network.backward(dlogits)
    state = [network.state(replica) for replica in range(network.num_replicas)]
    gradients = [parameter.grad.clone() for parameter in network.parameters]
    read_signals(network, 2 * x, labels.flip(0))
    for replica, before in enumerate(state):
        for name, value in network.state(replica).items():
            assert torch.equal(value, before[name]), name
    for parameter, before_gradient in zip(network.parameters, gradients, strict=True):
        assert torch.equal(parameter.grad, before_gradient)
    network.backward(dlogits)
    for parameter, before_gradient in zip(network.parameters, gradients, strict=True):
        assert torch.equal(parameter.grad, before_gradient), "its own last pass is kept"


def _state(hidden: torch.Tensor, bias: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    state = {"0.weight": hidden, "2.weight": torch.randn(10, hidden.size(0))}
    if bias is not None:
        state["0.bias"] = bias
    return state


@pytest.mark.parametrize("num_kinds", [1, 2, 7, 64])
def test_repeated_rows_count_once(num_kinds: int) -> None:
    torch.manual_seed(num_kinds)
    kinds = torch.randn(num_kinds, 30)
    rows = kinds[torch.arange(64) % num_kinds][torch.randperm(64)]
    assert distinct_units(_state(rows)) == [num_kinds]


def test_last_bits_do_not_count_and_real_differences_do() -> None:
    rows = torch.ones(8, 20)
    rows[3] *= 1 + 1e-6
    assert distinct_units(_state(rows)) == [1]
    rows[3] *= 1.01
    assert distinct_units(_state(rows)) == [2]


def test_biases_tell_units_apart() -> None:
    bias = torch.zeros(8)
    assert distinct_units(_state(torch.ones(8, 20), bias)) == [1]
    bias[5] = 1.0
    assert distinct_units(_state(torch.ones(8, 20), bias)) == [2]


def test_zeros_are_one_unit_and_nan_is_none() -> None:
    assert distinct_units(_state(torch.zeros(8, 20))) == [1]
    assert distinct_units(_state(torch.full((8, 20), torch.nan))) == [0]


def test_softmax_regression_has_no_hidden_layer() -> None:
    assert distinct_units({"0.weight": torch.randn(10, 20), "0.bias": torch.zeros(10)}) == []
