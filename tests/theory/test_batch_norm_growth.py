"""The growth of gradients under batch norm, by batch size: closed forms, draws, wide networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapes import drawn, initial, shape

from bninit.nets.activations import ACTIVATIONS
from bninit.nets.signals import read_signals
from bninit.theory.batch_norm import gradient_growth, sphere_mean, sphere_pair_mean
from bninit.theory.gaussian import function_of


def relu_growth(b: int) -> float:
    """Worked out by hand: all pair means on the sphere are arc-cosine kernels at r = -1/(B-1)."""
    r = -1 / (b - 1)
    both_on = 0.25 + math.asin(r) / (2 * math.pi)
    product = (math.sqrt(1 - r * r) + r * (math.pi - math.acos(r))) / (2 * math.pi)
    own = b / 2 * (1 - 2 / b)
    number_on = b / 2 + b * (b - 1) * both_on
    sum_on = b / 2 + b * (b - 1) * product
    trace = own - (b / 2 - number_on / b - sum_on / b) / b
    return b / (b - 3) * trace / ((b - 1) * (0.5 - product))


@pytest.mark.parametrize("b", [4, 5, 8, 60, 128, 4000])
def test_closed_forms(b: int) -> None:
    assert gradient_growth("identity", batch_size=b) == pytest.approx((b - 2) / (b - 3), rel=1e-8)
    assert gradient_growth("relu", batch_size=b) == pytest.approx(relu_growth(b), rel=1e-7)


def test_limits() -> None:
    assert gradient_growth("relu") == pytest.approx(math.pi / (math.pi - 1), rel=1e-12)
    assert math.isinf(gradient_growth("relu", batch_size=3))
    with pytest.raises(ValueError, match="batch of 1"):
        gradient_growth("relu", batch_size=1)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_large_batch_tends_to_the_limit(activation: str) -> None:
    limit = gradient_growth(activation)
    away = [gradient_growth(activation, batch_size=b) - limit for b in (200, 2000)]
    assert away[0] > away[1] > 0
    assert away[0] / away[1] == pytest.approx(10, rel=0.03), "it falls as 1 / B"
    assert gradient_growth(activation, batch_size=10**6) == limit


@pytest.mark.parametrize("b", [4, 7, 30])
def test_means_on_the_sphere_are_those_of_draws(b: int) -> None:
    drawn = np.random.default_rng(b).standard_normal((100_000, b))
    drawn -= drawn.mean(axis=1, keepdims=True)
    u = drawn * math.sqrt(b) / np.linalg.norm(drawn, axis=1, keepdims=True)
    for f in (function_of("selu").value, function_of("tanh").slope, function_of("relu").slope):
        values = f(u[:, :2])
        assert sphere_mean(f, batch_size=b) == pytest.approx(values.mean(), abs=0.01)
        pairs = values[:, 0] * values[:, 1]
        spread = 5 * pairs.std() / math.sqrt(len(pairs))
        assert sphere_pair_mean(f, batch_size=b) == pytest.approx(pairs.mean(), abs=spread)


@pytest.mark.parametrize(
    ("activation", "b"),
    [
        ("relu", 8),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("identity", 8), ("relu", 32), ("tanh", 12), ("selu", 16)]
        ),
    ],
)
def test_wide_networks(activation: str, b: int) -> None:
    """The squared norm of the gradient from layer to layer, deep in networks in float64.

    Tolerance 4 %: seven layers of 1,000 units; where B is 8, 1 / variance has 7 degrees of
    freedom, and its mean over 1,000 units a relative SD of 2.6 % in each layer.
    """
    width, depth = 1000, 13
    architecture = shape(
        widths=(40, *[width] * depth, 10), activation=activation, placement="pre", eps=1e-14
    )
    network = drawn(architecture, seeds=[5], init=initial("lecun_uniform"))
    generator = torch.Generator().manual_seed(b)
    x = torch.randn(1, 40, b, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 10, (1, b), generator=generator)
    signals = read_signals(network, x, labels)
    norms = [float((each.linear_grad**2).sum()) for each in signals]
    measured = (norms[4] / norms[11]) ** (1 / 7)
    assert measured == pytest.approx(gradient_growth(activation, batch_size=b), rel=0.04)
