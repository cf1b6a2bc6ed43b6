"""What is measured over the levels of an axis, within a seed: spread and trend."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bninit.analysis.inference import Floats
from bninit.analysis.statistics import subtract


def gini_mean_difference(values: Floats) -> Floats:
    """Mean absolute difference of two distinct entries of the last axis.

    For k sorted values the sum of (2i - k - 1) x_(i), times 2 / (k (k - 1)) (Gini 1912; David
    1968, Biometrika 55, 573-575). Infinite as soon as one value is.

    Args:
        values: Shape (..., level) with at least two levels.
    """
    weights = gini_weights(values.shape[-1])
    with np.errstate(invalid="ignore"):
        spread = np.asarray((np.sort(values, axis=-1) * weights).sum(axis=-1))
    return np.where(np.isinf(values).any(axis=-1), np.inf, spread)


def slope(values: Floats, *, scores: ArrayLike) -> Floats:
    """Least-squares slope along the last axis: change of the value per unit of the score.

    Args:
        values: Shape (..., level); with an infinite value (a run that ranks as the worst) the
            slope is infinite, with the sign of Kendall's score, or 0 if that is 0.
        scores: Position of each level, shape (level,).
    """
    position = np.asarray(scores, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        finite = np.asarray((values * slope_weights(position)).sum(axis=-1))
        steps = np.sign(subtract(values[..., :, None], values[..., None, :]))
    order = np.sign(position[:, None] - position[None, :])
    kendall = (steps * order).sum(axis=(-2, -1))
    ranked = np.where(kendall == 0, 0.0, np.copysign(np.inf, kendall))
    return np.where(np.isinf(values).any(axis=-1), ranked, finite)


def gini_weights(num_levels: int) -> Floats:
    """Weights of the sorted values in Gini's mean difference, shape (level,)."""
    ranks = np.arange(1, num_levels + 1)
    return np.asarray(2 * (2 * ranks - num_levels - 1) / (num_levels * (num_levels - 1)))


def slope_weights(position: Floats) -> Floats:
    """Weights of the values in the least-squares slope along `position`, shape (level,)."""
    centred = position - position.mean()
    return np.asarray(centred / (centred**2).sum())
