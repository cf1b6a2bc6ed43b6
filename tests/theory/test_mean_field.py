"""Length, slope and depth scales against the published predictions and scipy's integrator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate
from shapes import initial

from bninit.nets.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from bninit.nets.initialisers import weight_law
from bninit.theory.gaussian import pair_means
from bninit.theory.mean_field import (
    chi,
    critical_weight,
    depth_scale,
    fixed_point,
    mean_square,
    mean_square_slope,
    next_q,
)

FAN = 400


def tanh_mean(power: int, *, q: float, of_slope: bool) -> float:
    def density(z: float) -> float:
        value = math.tanh(math.sqrt(q) * z)
        return float((1 - value**2) ** power if of_slope else value**power) * math.exp(-(z**2) / 2)

    return integrate.quad(density, -10, 10, epsrel=1e-11)[0] / math.sqrt(2 * math.pi)


def weight_of(scheme: str) -> float:
    return FAN * weight_law(initial(scheme), fan_in=FAN, fan_out=FAN).sd ** 2


def test_relu_halves_the_mean_square_under_xavier_and_keeps_it_under_he() -> None:
    for scheme, factor in (("xavier_normal", 0.5), ("xavier_uniform", 0.5), ("he_normal", 1.0)):
        q = 3.7
        assert next_q("relu", q, weight=weight_of(scheme)) == pytest.approx(factor * q, rel=1e-12)
        assert chi("relu", q, weight=weight_of(scheme)) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(("activation", "q"), [("identity", 1.0), ("tanh", 1e-10)])
def test_the_gradient_falls_by_a_root_of_three_under_torchs_default(
    activation: str, q: float
) -> None:
    shrinks = math.sqrt(chi(activation, q, weight=weight_of("torch_default")))
    assert shrinks == pytest.approx(1 / math.sqrt(3), rel=1e-9)
    assert chi(activation, q, weight=weight_of("xavier_normal")) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(("weight", "bias"), [(1.5, 0.05), (4.0, 0.0), (2.25, 0.3)])
def test_tanh_fixed_point_and_slope(weight: float, bias: float) -> None:
    """Poole et al. 2016, Schoenholz et al. 2017: iterate, with scipy's integrals."""
    q = 1.0
    for _ in range(400):
        q = weight * tanh_mean(2, q=q, of_slope=False) + bias
    found = fixed_point("tanh", weight=weight, bias=bias)
    assert found.q == pytest.approx(q, rel=1e-6)
    slope = weight * tanh_mean(2, q=q, of_slope=True)
    assert found.chi == pytest.approx(slope, rel=1e-6)
    assert found.depth == pytest.approx(1 / abs(math.log(slope)), rel=1e-5)
    further = q * 1.001
    ratio = (weight * tanh_mean(2, q=further, of_slope=False) + bias - q) / (further - q)
    assert found.length_depth == pytest.approx(-1 / math.log(ratio), rel=1e-2)


def test_where_the_fixed_point_is_nothing_or_everything() -> None:
    vanishing = fixed_point("tanh", weight=0.5)
    assert (vanishing.q, vanishing.chi) == (0.0, pytest.approx(0.5, rel=1e-9))
    assert vanishing.depth == pytest.approx(1 / math.log(2), rel=1e-9)
    exploding = fixed_point("relu", weight=4.0)
    assert (exploding.q, exploding.chi) == (math.inf, pytest.approx(2.0))
    he = fixed_point("relu", weight=2.0)
    assert (he.q, he.depth, he.length_depth) == (1.0, math.inf, math.inf)


def test_selu_keeps_mean_0_and_variance_1() -> None:
    """Klambauer et al. 2017 (arXiv:1706.02515): the fixed point of LeCun's weights is q = 1."""
    found = fixed_point("selu", weight=1.0)
    assert found.q == pytest.approx(1.0, abs=1e-6)
    left = SELU_ALPHA**2 * math.exp(2) * (1 - 0.5 * (1 + math.erf(math.sqrt(2))))
    assert found.chi == pytest.approx(SELU_SCALE**2 * (0.5 + left), rel=1e-9)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_every_activation_at_its_critical_weight(activation: str) -> None:
    weight = critical_weight(activation)
    known = {"relu": 2.0, "identity": 1.0, "tanh": 1.0, "leaky_relu": 2 / (1 + 0.01**2)}
    assert weight is not None
    assert weight == pytest.approx(known.get(activation, weight), rel=1e-5)
    below = fixed_point(activation, weight=0.98 * weight).chi
    above = fixed_point(activation, weight=1.02 * weight).chi
    assert below < 1 < above


def test_batch_norm_makes_the_weights_not_matter() -> None:
    """Yang et al. 2019, theorem 8, and what variance 1 does to the length."""
    for q in (1e-3, 7.0):
        assert next_q("relu", q, weight=2.0, placement="pre") == pytest.approx(1.0)
        assert next_q("relu", q, weight=2.0, placement="post") == pytest.approx(2.0)
    for weight in (0.01, 2.0):
        expected = math.pi / (math.pi - 1)
        found = chi("relu", 1.0, weight=weight, placement="pre")
        assert found == pytest.approx(expected, rel=1e-12)
        after = chi("relu", weight, weight=weight, placement="post")
        assert after == pytest.approx(expected, rel=1e-12)
    assert chi("identity", 1.0, weight=5.0, placement="pre") == pytest.approx(1.0)


def test_close_inputs_part_as_fast_as_gradients_grow() -> None:
    """Schoenholz et al. 2017: chi is the slope of the correlation map at 1."""
    weight, bias, near = 1.8, 0.1, 1 - 1e-4
    found = fixed_point("tanh", weight=weight, bias=bias)
    covariance = found.q * np.array([[1.0, near], [near, 1.0]])
    # Poole et al. 2016, eq. 5.
    both = pair_means(np.tanh, mean=np.zeros(2), covariance=covariance)[0, 1]
    after = (weight * both + bias) / found.q
    assert (1 - after) / (1 - near) == pytest.approx(found.chi, rel=1e-3)


def test_scales() -> None:
    assert depth_scale(math.exp(-0.25)) == pytest.approx(4.0)
    assert depth_scale(math.exp(0.5)) == pytest.approx(2.0)
    assert (depth_scale(1.0), depth_scale(0.0)) == (math.inf, 0.0)
    assert mean_square("tanh", 1.0) == pytest.approx(0.394294, abs=1e-5)
    assert mean_square_slope("relu", 3.0) == pytest.approx(0.5, rel=1e-12)
