"""Statistics of one layer's signal, network by network: moments, percentiles, rank, dead units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from bninit.nets.activations import ACTIVATIONS

PERCENTILES = (1, 5, 15, 30, 50, 70, 85, 95, 99)
"""Of a layer's signal, all units and examples together."""

UNIT_PERCENTILES = (15, 50, 85)
"""Of one unit over the examples, as in figure 1 of Ioffe & Szegedy 2015 (arXiv:1502.03167)."""

RANK_EXAMPLES = 128
"""Examples of the probe batch of which the effective rank is taken, and so its upper bound."""

SATURATED = 0.01
"""A unit is saturated where its slope is below this share of the activation's steepest."""


def per_network(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Applies a function of (replica, ...) tensors to each network by itself; on CUDA to all.

    On the CPU a network's numbers then do not depend on the others of its stack.
    """
    if tensors[0].is_cuda:
        return function(*tensors)
    parts = zip(*(torch.split(tensor, 1) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


def moments(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each unit over the examples.

    Args:
        signal: (replica, unit, example).

    Returns:
        (replica, unit) each, in float64.
    """
    mean = signal.mean(dim=2, keepdim=True)
    var = (signal - mean).square_().mean(dim=2)
    return mean.squeeze(2).double(), var.double()


def pooled(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and SD over units and examples together, from those of each unit, (replica,) each.

    The law of total variance: the mean of the units' variances, plus the variance of their means.
    """
    centre = mean.mean(dim=1)
    spread = (mean - centre.unsqueeze(1)).square().mean(dim=1)
    return centre, (var.mean(dim=1) + spread).sqrt()


def percentiles(values: Tensor, which: Sequence[int]) -> Tensor:
    """Percentiles along the last dimension, with linear interpolation between order statistics.

    Args:
        values: (..., number), contiguous.
        which: From 0 to 100.

    Returns:
        (..., percentile), NaN where a number is NaN, or both of those around it are infinite.
    """
    ordered = _sorted(values)
    below, above, share = _between(values.size(-1), tuple(which), ordered.device)
    lower = ordered.index_select(-1, below).double()
    found = lower + (ordered.index_select(-1, above).double() - lower) * share
    # NaN is sorted to the end.
    return found.masked_fill_(ordered[..., -1:].isnan(), torch.nan)


def effective_rank(matrix: Tensor) -> Tensor:
    """Effective rank: exp of the entropy of the singular values, normalized to a sum of 1.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", EUSIPCO,
    definition 1. The matrix is taken as it is, its mean not subtracted: 1 when all columns have
    one direction, the number of rows or columns when all singular values are equal.

    Args:
        matrix: (replica, unit, example).

    Returns:
        (replica,); NaN for a matrix of zeros, which has none, or one that is not finite.
    """
    wide = matrix.double()
    is_finite = wide.isfinite().flatten(1).all(dim=1)
    # A scale changes nothing, and keeps squares from underflowing.
    largest = wide.abs().flatten(1).amax(dim=1)
    usable = is_finite & (largest > 0)
    wide = torch.where(usable[:, None, None], wide / largest[:, None, None], 1.0)
    tall = wide if wide.size(1) <= wide.size(2) else wide.transpose(1, 2)
    squares = torch.linalg.eigvalsh(tall @ tall.transpose(1, 2)).clamp_(min=0.0)
    # Rounding leaves the squares of zeros this far from 0.
    noise = squares.amax(dim=1, keepdim=True) * squares.size(1) * torch.finfo(wide.dtype).eps
    singular = torch.where(squares > noise, squares, 0.0).sqrt_()
    shares = singular / singular.sum(dim=1, keepdim=True)
    entropy = -torch.special.xlogy(shares, shares).sum(dim=1)
    return torch.where(usable, entropy.exp(), torch.nan)


def dead_fraction(outputs: Tensor) -> Tensor:
    """Fraction of units whose output is the same for every example, (replica,).

    Args:
        outputs: What comes out of the activation, (replica, unit, example).
    """
    low, high = torch.aminmax(outputs, dim=2)
    is_finite = low.isfinite().all(dim=1) & high.isfinite().all(dim=1)
    dead = (low == high).double().mean(dim=1)
    return torch.where(is_finite, dead, torch.nan)


def saturated_fraction(inputs: Tensor, outputs: Tensor, *, activation: str) -> Tensor:
    """Fraction of units and examples where the activation is all but flat, (replica,).

    Flat is a slope below `SATURATED` of the steepest that the function has: |x| > 2.99 for tanh,
    |x| > 5.99 for the logistic sigmoid (Glorot & Bengio 2010 call that saturated), x <= 0 for
    ReLU (hard saturation at 0, Glorot, Bordes & Bengio 2011).

    Args:
        inputs: What goes into the activation, (replica, unit, example).
        outputs: What comes out of it.
        activation: A name of `ACTIVATIONS`.
    """
    slope = _slope(activation, inputs, outputs)
    flat = (slope.abs_() < SATURATED * steepest_slope(activation)).double().mean(dim=(1, 2))
    return torch.where(inputs.isfinite().all(dim=(1, 2)), flat, torch.nan)


def steepest_slope(activation: str) -> float:
    """The largest slope of an activation, looked up on a grid from -8 to 8."""
    forward, _ = ACTIVATIONS[activation].passes()
    x = torch.linspace(-8.0, 8.0, 1601, dtype=torch.float64)
    y = torch.empty_like(x)
    forward(x, out=y)
    return float(_slope(activation, x, y).abs().max())


def _slope(activation: str, x: Tensor, y: Tensor) -> Tensor:
    _, backward = ACTIVATIONS[activation].passes()
    slope = torch.empty_like(x)
    backward(torch.ones_like(x), x=x, y=y, out=slope)
    return slope


def root_mean_square(values: Tensor) -> Tensor:
    """Root of the mean square over all but the first dimension, (replica,), in float64."""
    return values.double().flatten(1).square().mean(dim=1).sqrt()


def euclidean_norm(values: Tensor) -> Tensor:
    """Euclidean (Frobenius) norm over all but the first dimension, (replica,), in float64."""
    return values.double().flatten(1).square().sum(dim=1).sqrt()


@lru_cache(maxsize=64)
def _between(
    size: int, which: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """For each percentile the order statistics around it, and how far it is from the lower one."""
    at = torch.tensor([(size - 1) * percent / 100 for percent in which], dtype=torch.float64)
    below = at.floor().long()
    above = (below + 1).clamp(max=size - 1)
    return below.to(device), above.to(device), (at - below).to(device)


def _sorted(values: Tensor) -> Tensor:
    if values.is_cuda:
        return values.sort(dim=-1).values
    # numpy sorts ten times as fast as torch on the CPU.
    return torch.from_numpy(np.sort(values.numpy(), axis=-1))
