"""Gaussian means against scipy's integrator, dense grids and closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special

from bninit.nets.activations import ACTIVATIONS
from bninit.theory.gaussian import (
    Floats,
    along_kernel,
    function_of,
    gaussian_mean,
    kernel,
    pair_means,
    slope_kernel,
)


def integrated(f: Callable[[Floats], Floats], *, sd: float, mean: float) -> float:
    """E[f(u)] by scipy, in pieces of u that are small near 0, where kinks and bends lie."""

    def density(u: float) -> float:
        at = f(np.array([u]))[0]
        return float(at) * math.exp(-(((u - mean) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))

    low, high = mean - 9 * sd, mean + 9 * sd
    cuts = sorted({low, high, *(cut for cut in (-8.0, -1.0, 0.0, 1.0, 8.0) if low < cut < high)})
    pieces = (
        integrate.quad(density, a, b, epsabs=1e-13, epsrel=1e-10, limit=200)[0]
        for a, b in itertools.pairwise(cuts)
    )
    return float(sum(pieces))


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize(("sd", "mean"), [(0.05, 0.0), (1.0, -0.7), (25.0, 0.0)])
def test_every_activation_and_its_slope(activation: str, sd: float, mean: float) -> None:
    function = function_of(activation)
    for f in (lambda u: function.value(u) ** 2, lambda u: function.slope(u) ** 2, function.value):
        found = float(gaussian_mean(f, sd=sd, mean=mean))
        assert found == pytest.approx(integrated(f, sd=sd, mean=mean), rel=1e-8, abs=1e-12)


def test_many_standard_deviations_at_once_and_none() -> None:
    sds = np.array([[0.0, 1e-6], [3.0, 1e6]])
    found = gaussian_mean(lambda u: np.maximum(u, 0.0) ** 2, sd=sds)
    np.testing.assert_allclose(found, sds**2 / 2, rtol=1e-12)
    steps = gaussian_mean(lambda u: (u > 0).astype(float), sd=2.0, mean=np.array([-3.0, 0.0, 9.0]))
    np.testing.assert_allclose(steps, special.ndtr(np.array([-1.5, 0.0, 4.5])), rtol=1e-10)


def test_a_step_is_resolved_however_narrow_it_is() -> None:
    sd = 1e4
    slope = function_of("tanh").slope
    # The density is flat where tanh bends: E[tanh'^2] = (4 / 3) / (sd sqrt(2 pi)).
    expected = 4 / 3 / (sd * math.sqrt(2 * math.pi))
    assert float(gaussian_mean(lambda u: slope(u) ** 2, sd=sd)) == pytest.approx(expected, rel=1e-6)


def on_a_grid(
    f: object, *, sds: tuple[float, float], r: float, means: tuple[float, float]
) -> float:
    """E[f(u) f(v)] on a dense grid of independent z and w."""
    z, step = np.linspace(-8, 8, 700, retstep=True)
    density = np.exp(-(z**2) / 2) * step / math.sqrt(2 * math.pi)
    u = means[0] + sds[0] * z
    v = means[1] + sds[1] * (r * z[:, None] + math.sqrt(1 - r**2) * z)
    values: Floats = f(u) * (f(v) @ density)
    return float(values @ density)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("r", [-0.6, 0.3, 0.97])
def test_pairs_against_a_grid(activation: str, r: float) -> None:
    function = function_of(activation)
    sds = (0.8, 1.7)
    covariance = np.array([[sds[0] ** 2, r * sds[0] * sds[1]], [r * sds[0] * sds[1], sds[1] ** 2]])
    cases = (
        (kernel, function.value),
        (slope_kernel, function.slope),
        (along_kernel, lambda u: u * function.slope(u)),
    )
    for of, f in cases:
        found = of(function, mean=np.zeros(2), covariance=covariance)
        np.testing.assert_allclose(found, found.T, rtol=1e-12)
        assert found[0, 1] == pytest.approx(on_a_grid(f, sds=sds, r=r, means=(0, 0)), rel=3e-3)
        for place in (0, 1):
            own = gaussian_mean(lambda u, f=f: f(u) ** 2, sd=sds[place])  # type: ignore[misc]
            assert found[place, place] == pytest.approx(float(own), rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "silu", "selu"])
def test_pairs_with_means(activation: str) -> None:
    function = function_of(activation)
    covariance = np.array([[1.0, 0.5], [0.5, 2.25]])
    mean = np.array([-0.5, 1.0])
    for of, f in ((kernel, function.value), (slope_kernel, function.slope)):
        expected = on_a_grid(f, sds=(1.0, 1.5), r=1 / 3, means=(-0.5, 1.0))
        found = of(function, mean=mean, covariance=covariance)[0, 1]
        assert found == pytest.approx(expected, rel=1e-2)


def test_closed_forms_of_relu_agree_with_the_series() -> None:
    function = function_of("relu")
    covariance = np.array([[1.0, -0.4], [-0.4, 3.0]])
    zero = np.zeros(2)
    angle = math.acos(-0.4 / math.sqrt(3))
    # Cho and Saul 2009: sqrt(3) (sin a + (pi - a) cos a) / (2 pi), and (pi - a) / (2 pi).
    first = math.sqrt(3) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    values = kernel(function, mean=zero, covariance=covariance)
    slopes = slope_kernel(function, mean=zero, covariance=covariance)
    assert values[0, 1] == pytest.approx(first, rel=1e-12)
    assert slopes[0, 1] == pytest.approx((math.pi - angle) / (2 * math.pi), rel=1e-12)
    for f, exact in ((function.value, values), (function.slope, slopes)):
        series = pair_means(f, mean=zero, covariance=covariance)
        np.testing.assert_allclose(series, exact, rtol=1e-4)


def test_functions_are_those_of_the_networks() -> None:
    u = np.array([[-2.0, -0.1], [0.3, 4.0]])
    np.testing.assert_allclose(function_of("lecun_tanh").value(u), 1.7159 * np.tanh(2 * u / 3))
    np.testing.assert_array_equal(function_of("relu").slope(u), [[0, 0], [1, 1]])
    assert function_of("relu").slopes == (0.0, 1.0)
    assert function_of("leaky_relu").slopes == (pytest.approx(0.01), 1.0)
    assert function_of("identity").slopes == (1.0, 1.0)
    assert {name for name in ACTIVATIONS if function_of(name).slopes} == {
        "relu",
        "leaky_relu",
        "identity",
    }
    assert function_of("selu").jump == pytest.approx(1.0507009873554805 * (1 - 1.6732632423543772))
    assert function_of("elu").jump == function_of("gelu").jump == 0
