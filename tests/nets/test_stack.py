"""Every network of a stack against a plain nn.Sequential: one forward and one backward pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from shapes import shape
from torch import nn
from torch.nn import functional as F

from bninit.nets.activations import ACTIVATIONS
from bninit.nets.layers import cross_entropy
from bninit.nets.reference import build_sequential, load_sequential
from bninit.nets.stack import StackedMLP

BuildStack = Callable[..., StackedMLP]

WIDTHS = (6, 9, 7, 10)
PLACEMENTS = ("none", "pre", "post")


def batch(num_replicas: int, size: int = 8, num_features: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(num_replicas, size, num_features, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 10, (num_replicas, size), generator=generator)


def assert_equals_sequentials(network: StackedMLP) -> None:
    x, y = batch(network.num_replicas)
    theirs = []
    for i in range(network.num_replicas):
        one = build_sequential(network.architecture, dtype=torch.float64)
        one.load_state_dict(network.state(i))
        theirs.append(one)
    evaluated = network.forward(x.transpose(1, 2), training=False)
    logits = network.forward(x.transpose(1, 2), training=True)
    loss, dlogits = cross_entropy(logits, y)
    network.backward(dlogits)
    for i, one in enumerate(theirs):
        torch.testing.assert_close(evaluated[i].T, one.eval()(x[i]).detach())
        expected = one.train()(x[i])
        torch.testing.assert_close(logits[i].T, expected.detach(), rtol=1e-11, atol=1e-12)
        one_loss = F.cross_entropy(expected, y[i])
        one_loss.backward()
        torch.testing.assert_close(loss[i], one_loss.detach(), rtol=1e-12, atol=1e-12)
        found = {parameter.name: parameter.grad[i] for parameter in network.parameters}
        named = dict(one.named_parameters())
        assert list(found) == list(named)
        for name, parameter in named.items():
            assert parameter.grad is not None
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-12)
        assert set(network.state(i)) == set(one.state_dict())
        for name, value in one.state_dict().items():
            torch.testing.assert_close(network.state(i)[name], value)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_activation_at_every_placement(
    activation: str, placement: str, build_stack: BuildStack
) -> None:
    assert_equals_sequentials(
        build_stack(shape(widths=WIDTHS, activation=activation, placement=placement))
    )


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    ("input_norm", "affine", "bias"), list(itertools.product((False, True), repeat=3))
)
@pytest.mark.parametrize("hidden", [(), (9, 7)])
def test_every_shape(
    placement: str,
    input_norm: bool,
    affine: bool,
    bias: bool,
    hidden: tuple[int, ...],
    build_stack: BuildStack,
) -> None:
    architecture = shape(
        widths=(6, *hidden, 10),
        activation="tanh",
        placement=placement,
        input_norm=input_norm,
        affine=affine,
        bias=bias,
        eps=0.01,
        momentum=0.3,
        running="cumulative",
    )
    assert_equals_sequentials(build_stack(architecture))


def test_a_bias_before_batch_norm_is_dropped_and_no_other() -> None:
    for placement, expected in [
        ("none", [True] * 3),
        ("pre", [False, False, True]),
        ("post", [True] * 3),
    ]:
        architecture = shape(widths=WIDTHS, placement=placement)
        assert [architecture.has_bias(layer) for layer in (1, 2, 3)] == expected
    assert not any(shape(widths=WIDTHS, bias=False).has_bias(layer) for layer in (1, 2, 3))


def test_the_networks_are_the_given_ones_in_order(build_stack: BuildStack) -> None:
    architecture = shape(widths=WIDTHS, placement="pre", input_norm=True)
    network = build_stack(architecture, seeds=(0, 1, 2, 3))
    chosen = network.select([3, 1])
    for place, replica in enumerate((3, 1)):
        for name, value in network.state(replica).items():
            assert torch.equal(chosen.state(place)[name], value)
    assert not torch.equal(chosen.state(0)["1.weight"], chosen.state(1)["1.weight"])


def test_selected_networks_and_states_are_copies(build_stack: BuildStack) -> None:
    network = build_stack(shape(widths=WIDTHS, placement="post"))
    state, chosen = network.state(1), network.select([1])
    kept = {name: value.clone() for name, value in state.items()}
    for value in network.tensors().values():
        value.zero_()
    for name, value in kept.items():
        assert torch.equal(state[name], value)
        assert torch.equal(chosen.state(0)[name], value)


def test_loading_takes_every_tensor_of_every_network(build_stack: BuildStack) -> None:
    architecture = shape(widths=WIDTHS, placement="post", running="cumulative")
    source = build_stack(architecture, seeds=(0, 1, 2))
    x, _ = batch(3)
    for _ in range(3):
        source.forward(x.transpose(1, 2), training=True)
    target = build_stack(architecture, seeds=(5, 6, 7))
    target.load([source.state(i) for i in range(3)])
    for network in (source, target):
        network.forward(x.transpose(1, 2), training=True)  # the count goes on where it was
    for i in range(3):
        for name, value in source.state(i).items():
            assert torch.equal(target.state(i)[name], value)


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


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_state_gives_the_outputs_of_the_stack(
    placement: str, running: str, dtype: torch.dtype, build_stack: BuildStack
) -> None:
    architecture = shape(
        widths=(6, 9, 7, 10), placement=placement, running=running, input_norm=True, eps=0.1
    )
    network = build_stack(architecture, dtype=dtype)
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    logits = network.forward(x.T.expand(3, -1, -1), training=False)
    for i in range(3):
        loaded = load_sequential(architecture, network.state(i), dtype=dtype)
        assert not loaded.training
        torch.testing.assert_close(loaded(x).detach(), logits[i].T)


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
