"""Hidden layers with batch norm: small batches, and units that differ by their mean."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import shape

from bninit.nets.initialisers import weight_law
from bninit.nets.settings import InitSettings, NormSettings
from bninit.theory.batch_norm import gradient_growth
from bninit.theory.gaussian import function_of
from bninit.theory.layers import Signal, back, hidden_kinds, norm_of
from bninit.theory.prediction import LayerLaws, predict


@pytest.mark.parametrize("batch_size", [6, 16])
def test_deep_relu_layers_grow_the_gradient_as_the_sphere_says(batch_size: int) -> None:
    """Two ways to the same number: layer by layer, and in the limit of `gradient_growth`."""
    architecture = shape(widths=(40, *[100] * 30, 10), placement="pre", eps=1e-14)
    laws = [
        LayerLaws(
            fan_in=a, fan_out=b, weight=weight_law(InitSettings(), fan_in=a, fan_out=b), bias=None
        )
        for a, b in architecture.fans()
    ]
    x = np.random.default_rng(0).standard_normal((40, batch_size))
    found = predict(
        architecture,
        laws,
        inputs=Signal(x.mean(axis=0), x.T @ x / 40),
        output_gradient=np.eye(batch_size),
    )
    growth = found[10].gradient / found[11].gradient
    assert growth == pytest.approx(gradient_growth("relu", batch_size=batch_size), rel=2e-3)


def test_units_that_are_low_for_the_whole_batch_count_apart() -> None:
    """Batch norm after GELU of pre-activations with a common part, against draws of units.

    Tolerance 15 %: within a kind of units, activations count as Gaussian. Taken for one kind, they
    are off by a fifth.
    """
    generator = np.random.default_rng(1)
    size, eps = 24, 1e-5
    norm_settings = NormSettings(placement="post", eps=eps)
    covariance = 0.6 * np.ones((size, size)) + 0.4 * np.eye(size)
    function = function_of("gelu")
    kinds = hidden_kinds(function, Signal(np.zeros(size), covariance), norm_settings)
    h = generator.multivariate_normal(np.zeros(size), covariance, size=40_000)
    a = function.value(h)
    centred = a - a.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True) + eps
    out = centred / np.sqrt(variance)
    gradient = generator.standard_normal(h.shape)
    centred_gradient = gradient - gradient.mean(axis=1, keepdims=True)
    along = (out * gradient).mean(axis=1, keepdims=True)
    before = function.slope(h) * (centred_gradient - out * along) / np.sqrt(variance)
    said = back(kinds, np.eye(size), norm_settings)
    assert float(np.trace(said)) / size == pytest.approx((before**2).mean(), rel=0.15)
    norm = norm_of(kinds)
    assert norm is not None
    assert norm.mean_square == pytest.approx((out**2).mean(), rel=0.02)
