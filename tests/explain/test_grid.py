"""Theory against measurement over schemes, depths and placements, on networks as studies have them.

What is compared: the geometric mean over `SEEDS` networks of a layer's SD (root of the mean square)
with the prediction for infinite width. Tolerances are on |ln(measured / predicted)|, by quantity:

- signals (activations), and gradients to pre-activations and weights, after l of the layers that
  they have passed: `EACH` for the approximations in one layer (batch norm and biases count as
  Gaussian, few directions in real images), and what a width of n does. ln of the mean square of a
  ReLU network is about normal with variance v = 5 l / n and mean -v / 2 (Hanin and Nica 2018,
  arXiv:1812.05994, theorem 1), so ln of the geometric mean of SDs is off by v / 4 = 1.25 l / n, and
  scatters with sqrt(v) / 2 / sqrt(k) over k networks, of which 3.5 are allowed. Other activations
  scatter less.
- The first layer's gradients under batch norm after the activation get `FIRST` more: units that are
  low for the whole batch.
- The factor for each layer of a gradient, over a whole network: the same divided by the layers.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

import bninit
from bninit.verbs.explain.measure import Explanation, Quantity

WIDTH = 128
DEPTHS = (2, 10, 30)
SEEDS = 4
EACH = 0.12
FIRST = 0.25

RANDOM: tuple[dict[str, Any], ...] = (
    {"scheme": "small_normal"},
    {"scheme": "large_normal"},
    {"scheme": "uniform", "limit": 0.1},
    {"scheme": "notes_xavier_normal"},
    {"scheme": "lecun_uniform"},
    {"scheme": "xavier_normal"},
    {"scheme": "xavier_uniform"},
    {"scheme": "he_normal", "truncated": True},
    {"scheme": "he_uniform"},
    {"scheme": "orthogonal", "gain": 1.2},
    {"scheme": "lsuv"},
    {"scheme": "torch_default"},
)
EQUAL: tuple[dict[str, Any], ...] = (
    {"scheme": "zeros"},
    {"scheme": "constant", "value": 0.01},
)


def explained(activation: str, placement: str, init: dict[str, Any], depth: int) -> Explanation:
    config = {
        "name": "grid",
        "model": {
            "hidden": [WIDTH] * depth,
            "activation": activation,
            "norm": {"placement": placement},
            "init": init,
        },
        "train": {"batch_size": 32},
    }
    return bninit.explain(config, seeds=range(SEEDS))[0]


def width_tolerance(num_layers: int) -> float:
    share = num_layers / WIDTH
    return 1.25 * share + 3.5 * math.sqrt(5 * share) / 2 / math.sqrt(SEEDS)


def away(quantity: Quantity, *, of_squares: bool = False) -> float:
    """|ln(measured / predicted)| of SDs."""
    assert quantity.measured
    assert quantity.predicted
    return abs(math.log(quantity.measured / quantity.predicted)) / (2 if of_squares else 1)


def faults(one: Explanation, placement: str) -> list[str]:
    found = []
    depth = len(one.hidden)
    for number, layer in enumerate(one.hidden, start=1):
        assert layer.activation is not None
        back = EACH + width_tolerance(depth - number + 2)
        if placement == "post" and number == 1:
            back += FIRST
        for name, quantity, tolerance, of_squares in (
            ("activation", layer.activation, EACH + width_tolerance(number), True),
            ("gradient", layer.gradient, back, False),
            ("weight gradient", layer.weight_gradient, back + width_tolerance(number), False),
        ):
            off = away(quantity, of_squares=of_squares)
            if not off <= tolerance:
                found.append(f"{layer.name}, {name}: {off:.3f} > {tolerance:.3f}")
    trend = one.gradient_per_layer
    if trend is not None and trend.num_layers > 1:
        assert trend.measured
        assert trend.predicted
        off = abs(math.log(trend.measured / trend.predicted))
        tolerance = (EACH + width_tolerance(trend.num_layers)) / trend.num_layers
        if not off <= tolerance:
            found.append(f"gradient per layer: {off:.4f} > {tolerance:.4f}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_scheme_at_every_depth(activation: str, placement: str, depth: int) -> None:
    for init in RANDOM:
        found = faults(explained(activation, placement, init, depth), placement)
        assert not found, f"{init}: {found}"


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(
    "activation",
    ["leaky_relu", "elu", "selu", "gelu", "silu", "lecun_tanh", "sigmoid", "softsign", "identity"],
)
def test_every_activation(activation: str, placement: str) -> None:
    found = faults(explained(activation, placement, {"scheme": "torch_default"}, 10), placement)
    assert not found


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equal_weights_at_every_depth(activation: str, placement: str) -> None:
    for depth in DEPTHS:
        for init in EQUAL:
            one = explained(activation, placement, init, depth)
            assert one.is_symmetric
            assert one.has_no_gradient
            for layer in one.hidden:
                assert layer.activation is not None
                assert layer.activation.measured == pytest.approx(
                    layer.activation.predicted, rel=1e-3, abs=1e-12
                )
