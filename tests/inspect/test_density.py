"""Densities from percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from bninit.training.signal_statistics import PERCENTILES
from bninit.verbs.inspect.inspect import density


def test_the_density_of_a_normal_distribution() -> None:
    values = norm.ppf(np.array(PERCENTILES) / 100, loc=3.0, scale=2.0)
    x, height = density(PERCENTILES, values)
    assert x[np.argmax(height)] == pytest.approx(3.0, abs=0.1)
    np.testing.assert_allclose(height, height[::-1], atol=1e-9)
    # Smoothed by a kernel of 0.3 SD, and without what lies beyond the 1st and 99th percentile.
    expected = norm.pdf(x, loc=3.0, scale=2.0 * math.sqrt(1.09))
    np.testing.assert_allclose(height, expected / expected.max(), atol=0.06)


def test_scale_and_place_change_nothing() -> None:
    values = np.array([0.0, 1.0, 1.5, 1.6, 2.0, 4.0, 4.5, 7.0, 20.0])
    x, height = density(PERCENTILES, values)
    far, same = density(PERCENTILES, 1e-8 * values - 3.0)
    np.testing.assert_allclose(same, height, atol=1e-6)
    np.testing.assert_allclose((far + 3.0) * 1e8, x, atol=1e-4)


def test_ties_a_single_point_and_nothing() -> None:
    x, height = density(PERCENTILES, np.array([0.0] * 5 + [0.1, 0.5, 1.0, 2.0]))
    assert np.isfinite(height).all()
    assert x[np.argmax(height)] == pytest.approx(0.0, abs=0.1)
    x, height = density(PERCENTILES, np.full(9, 2.0))
    assert (x.tolist(), height.tolist()) == ([2.0] * 3, [0.0, 1.0, 0.0])
    x, height = density(PERCENTILES, np.full(9, np.nan))
    assert x.size == height.size == 0
