"""Stacks: selected networks, states that fit; passes are tested with steps in training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shapes import shape
from torch import nn

from bninit.nets.layers import cross_entropy
from bninit.nets.reference import build_sequential, load_sequential
from bninit.nets.stack import StackedMLP

BuildStack = Callable[..., StackedMLP]

WIDTHS = (6, 9, 7, 10)


def batch(num_replicas: int, size: int = 8, num_features: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(num_replicas, size, num_features, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 10, (num_replicas, size), generator=generator)


def test_selected_networks_and_states_are_copies_in_the_given_order(
    build_stack: BuildStack,
) -> None:
    network = build_stack(shape(widths=WIDTHS, placement="post"), seeds=(0, 1, 2, 3))
    states, chosen = [network.state(3), network.state(1)], network.select([3, 1])
    kept = [{name: value.clone() for name, value in state.items()} for state in states]
    for value in network.tensors().values():
        value.zero_()
    for place, one in enumerate(kept):
        for name, value in one.items():
            assert torch.equal(states[place][name], value)
            assert torch.equal(chosen.state(place)[name], value)
    assert not torch.equal(kept[0]["0.weight"], kept[1]["0.weight"])


def test_states_that_do_not_fit_are_refused(build_stack: BuildStack) -> None:
    network = build_stack(shape(widths=WIDTHS, placement="pre"), seeds=(0, 1))
    good = [network.state(0), network.state(1)]
    with pytest.raises(ValueError, match=r"names differ.*0\.weight"):
        network.load([{n: v for n, v in good[0].items() if n != "0.weight"}, good[1]])
    with pytest.raises(ValueError, match=r"0\.weight: \(6, 9\)"):
        network.load([good[0], good[1] | {"0.weight": good[1]["0.weight"].T}])
    with pytest.raises(ValueError, match="num_batches_tracked differs"):
        network.load([good[0], good[1] | {"1.num_batches_tracked": torch.tensor(3)}])


def test_tensors_that_do_not_fit_are_refused() -> None:
    architecture = shape(widths=(6, 9, 10), placement="pre")
    weights = [torch.zeros(2, 9, 6), torch.zeros(2, 10, 9)]
    bias = torch.zeros(2, 10)
    StackedMLP(architecture, weights=weights, biases=[None, bias])
    with pytest.raises(ValueError, match=r"weight of layer 2 is \(2, 9, 10\), not \(2, 10, 9\)"):
        StackedMLP(architecture, weights=[weights[0], weights[1].mT], biases=[None, bias])
    with pytest.raises(ValueError, match="layer 1: a bias is not due"):
        StackedMLP(architecture, weights=weights, biases=[torch.zeros(2, 9), bias])
    with pytest.raises(ValueError, match="layer 2: a bias is due"):
        StackedMLP(architecture, weights=weights, biases=[None, None])
    with pytest.raises(ValueError, match=r"bias of layer 2 is \(10,\)"):
        StackedMLP(architecture, weights=weights, biases=[None, bias[0]])


def test_evaluation_between_forward_and_backward_is_harmless(build_stack: BuildStack) -> None:
    architecture = shape(widths=WIDTHS, placement="pre")
    x, y = batch(3)
    found = []
    for disturbed in (False, True):
        network = build_stack(architecture)
        logits = network.forward(x.transpose(1, 2), training=True)
        if disturbed:
            network.forward(torch.zeros(3, 6, 8, dtype=torch.float64), training=False)
        network.backward(cross_entropy(logits, y)[1])
        found.append([parameter.grad.clone() for parameter in network.parameters])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_the_modules_are_plain_ones_with_the_names_of_the_stack(build_stack: BuildStack) -> None:
    architecture = shape(
        widths=(6, 9, 10), placement="pre", input_norm=True, affine=False, eps=0.2, momentum=0.3
    )
    plain = build_sequential(architecture)
    assert [type(module) for module in plain] == [
        nn.BatchNorm1d,
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
    assert plain[1].bias is None
    assert plain[2].eps == 0.2
    assert plain[2].momentum == 0.3
    assert not plain[2].affine
    assert set(plain.state_dict()) == set(build_stack(architecture).state(0))


def test_a_state_of_another_shape_is_refused(build_stack: BuildStack) -> None:
    state = build_stack(shape(widths=(6, 9, 10))).state(0)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_sequential(shape(widths=(6, 8, 10)), state)
