"""From a few percentiles of a distribution to its density, for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NUM_POINTS = 121


def density(percents: Sequence[int], values: Floats) -> tuple[Floats, Floats]:
    """The density that belongs to some percentiles.

    The distribution function goes through the percentiles along a monotone cubic (Fritsch &
    Carlson 1980, SIAM J. Numer. Anal. 17, 238), and on to 0 and 1 by as much as lies between the
    two outermost percentiles on each side.

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
    shares = np.asarray(percents, dtype=np.float64) / 100
    spread = float(values[-1] - values[0])
    if spread <= 0:
        return np.repeat(values[:1].astype(np.float64), 3), np.array([0.0, 1.0, 0.0])
    knots = np.concatenate(
        [[values[0] - (values[1] - values[0])], values, [2 * values[-1] - values[-2]]]
    ).astype(np.float64)
    shares = np.concatenate([[0.0], shares, [1.0]])
    # Many equal numbers make percentiles equal: a steep rise instead of a jump.
    knots = knots + np.arange(knots.size) * 1e-6 * spread
    curve = PchipInterpolator(knots, shares).derivative()
    x = np.linspace(knots[0], knots[-1], NUM_POINTS)
    height = np.clip(curve(x), 0.0, None)
    return x, height / height.max()
