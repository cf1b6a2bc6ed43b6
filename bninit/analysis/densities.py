"""From a few percentiles of a distribution to its density, for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NUM_POINTS = 121

_SMOOTHNESS = 0.3
"""Standard deviation of the kernel, as a share of the distribution's."""


def density(percents: Sequence[int], values: Floats) -> tuple[Floats, Floats]:
    """The density that belongs to some percentiles, smoothed.

    Numbers are laid along a monotone cubic through the percentiles (Fritsch & Carlson 1980, SIAM
    J. Numer. Anal. 17, 238), and each becomes a Gaussian. What lies beyond the outermost
    percentiles is not seen.

    Args:
        percents: Rising, within (0, 100).
        values: The percentiles, rising.

    Returns:
        Points x, and the density there, its largest value 1. Where all percentiles are equal, the
        one point where everything is, three times, with the heights 0, 1 and 0; nothing where
        they are not finite.
    """
    from scipy.interpolate import PchipInterpolator

    if not np.isfinite(values).all():
        return np.empty(0), np.empty(0)
    at = np.asarray(values, dtype=np.float64)
    if at[-1] <= at[0]:
        return np.repeat(at[:1], 3), np.array([0.0, 1.0, 0.0])
    shares = np.linspace(percents[0], percents[-1], 2 * NUM_POINTS)
    numbers = PchipInterpolator(percents, at)(shares)
    width = _SMOOTHNESS * float(numbers.std())
    x = np.linspace(at[0] - 3 * width, at[-1] + 3 * width, NUM_POINTS)
    height = np.exp(-0.5 * ((x[:, None] - numbers) / width) ** 2).sum(axis=1)
    return x, height / height.max()
