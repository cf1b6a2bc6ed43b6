"""An activation and its slope as functions of numpy arrays, made of the passes that networks use.

So there is one definition of each activation, and a new one is known here at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bninit.nets.activations import ACTIVATIONS

Floats = npt.NDArray[np.float64]

_NEAR = 1e-9


@dataclass(frozen=True)
class Function:
    """A function of one real variable.

    Attributes:
        value: Elementwise, float64 arrays of any shape.
        slope: Its derivative, likewise.
        slopes: (left, right) where the function is linear on both sides of 0 and 0 there.
        jump: How much larger the slope is right of 0 than left of it; 0 without a kink.
    """

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    slopes: tuple[float, float] | None
    jump: float


@cache
def function_of(activation: str) -> Function:
    """An activation as a function of numpy arrays; imports torch.

    Args:
        activation: A key of `bninit.nets.activations.ACTIVATIONS`.
    """
    import torch

    forward, backward = ACTIVATIONS[activation].passes()

    def value(u: Floats) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(u))
        out = torch.empty_like(x)
        forward(x, out=out)
        found: Floats = out.numpy()
        return found

    def slope(u: Floats) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(u))
        y, out = torch.empty_like(x), torch.empty_like(x)
        forward(x, out=y)
        backward(torch.ones_like(x), x=x, y=y, out=out)
        found: Floats = out.numpy()
        return found

    near = slope(np.array([-_NEAR, _NEAR]))
    jump = float(near[1] - near[0])
    return Function(value, slope, _slopes(value), jump if abs(jump) > 1e3 * _NEAR else 0.0)


def _slopes(value: Callable[[Floats], Floats]) -> tuple[float, float] | None:
    """Both slopes of a function that consists of two rays from the origin, else None."""
    reach = np.logspace(-4, 4, 33)
    left, right = value(-reach) / -reach, value(reach) / reach
    bent = np.ptp(left) > 1e-12 or np.ptp(right) > 1e-12 or value(np.zeros(1))[0] != 0
    return None if bent else (float(left[0]) + 0.0, float(right[0]) + 0.0)


FARTHEST = 10.0
"""Standard deviations that count: beyond them lies a probability of 2e-23."""

_PIECES = np.linspace(-FARTHEST, FARTHEST, 11)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_FINEST = 0.25
_WIDEST = 1e12
_MOST_COEFFICIENTS = 96
_ENOUGH = 1e-5


def gaussian_mean(
    f: Callable[[Floats], Floats], *, sd: Floats | float, mean: Floats | float = 0.0
) -> Floats:
    """E[f(mean + sd z)] for z ~ N(0, 1).

    Args:
        f: Elementwise; smooth but for a kink or a step at 0, of scale about 1, and growing no
            faster than a polynomial.
        sd: Standard deviations, of any shape; not negative, finite.
        mean: Broadcasts against ``sd``.
    """
    flat_mean, flat_sd = _flat(mean, sd)
    z, weight = _rule(flat_mean, flat_sd)
    values = f(flat_mean[:, None] + flat_sd[:, None] * z)
    found: Floats = (values * weight).sum(axis=1)
    return found.reshape(np.broadcast_shapes(np.shape(mean), np.shape(sd)))


def pair_means(
    f: Callable[[Floats], Floats],
    *,
    mean: Floats,
    covariance: Floats,
    rough: Callable[[Floats], Floats] | None = None,
    rough_pairs: Floats | None = None,
) -> Floats:
    """E[f(u_a) f(u_b)] for each pair of the Gaussian variables u.

    By Mehler's formula (1866): with f(mean_a + sd_a z) = sum_k c_ak h_k(z) in normalised Hermite
    polynomials, the mean is sum_k c_ak c_bk r_ab^k, r being the correlation. A kink or a step in f
    makes the series slow; where its part of f and that part's pair means are known, only the rest
    is summed. What the sum lacks on the diagonal, where the result is known, is added to the other
    pairs with the next power of r.

    Args:
        f: As in `gaussian_mean`.
        mean: (variable,).
        covariance: (variable, variable).
        rough: A function with the same kink or step.
        rough_pairs: Its pair means.

    Returns:
        (variable, variable).
    """
    sd, r = _scales(covariance)
    z, weight = _rule(mean, sd)
    u = mean[:, None] + sd[:, None] * z
    values = f(u)
    exact = (values**2 * weight).sum(axis=1)
    parts = [values * weight]
    found = np.zeros_like(covariance)
    missing = exact.copy()
    if rough is not None and rough_pairs is not None:
        parts.append(rough(u) * weight)
        found += rough_pairs
        missing -= np.diagonal(rough_pairs)
    before, polynomial = np.zeros_like(z), np.ones_like(z)
    power = np.ones_like(r)
    closest = float(np.abs(r - np.eye(len(r))).max(initial=0.0))
    for k in range(_MOST_COEFFICIENTS):
        coefficients = [np.einsum("ij,ij->i", part, polynomial) for part in parts]
        term = np.outer(coefficients[0], coefficients[0])
        missing -= coefficients[0] ** 2
        if len(parts) > 1:
            term -= np.outer(coefficients[1], coefficients[1])
            missing += coefficients[1] ** 2
        term *= power
        found += term
        power *= r
        if (np.abs(missing) * closest ** (k + 1) <= _ENOUGH * exact).all():
            break
        before *= -math.sqrt(k)
        before += z * polynomial
        before /= math.sqrt(k + 1)
        before, polynomial = polynomial, before
    found += power * (missing[:, None] + missing) / 2
    return found


def kernel(function: Function, *, mean: Floats, covariance: Floats) -> Floats:
    """E[f(u_a) f(u_b)] of an activation for each pair of Gaussian variables; see `pair_means`.

    In closed form where the activation consists of two rays and the means are 0: then f(u) is
    a u + b |u| and E|u v| = 2 / pi s_u s_v (sqrt(1 - r^2) + r asin r), the arc-cosine kernel of
    degree 1 (Cho and Saul 2009, eq. 6).
    """
    sd, r = _scales(covariance)
    if np.any(mean):
        return pair_means(function.value, mean=mean, covariance=covariance)
    bent = np.outer(sd, sd) * (np.sqrt(1 - r**2) + r * np.arcsin(r)) * 2 / math.pi
    if function.slopes is not None:
        odd, even = _odd_and_even(function.slopes)
        found: Floats = odd**2 * covariance + even**2 * bent
        return found
    jump = function.jump
    return pair_means(
        function.value,
        mean=mean,
        covariance=covariance,
        rough=lambda u: jump / 2 * np.abs(u),
        rough_pairs=(jump / 2) ** 2 * bent,
    )


def slope_kernel(function: Function, *, mean: Floats, covariance: Floats) -> Floats:
    """E[f'(u_a) f'(u_b)] of an activation for each pair of Gaussian variables; as `kernel`.

    In closed form E[sign u sign v] = 2 / pi asin r, the arc-cosine kernel of degree 0 (Cho and
    Saul 2009, eq. 5). The slope at 0 itself is that of the activation's code.
    """
    sd, r = _scales(covariance)
    if np.any(mean) or not sd.all():
        return pair_means(function.slope, mean=mean, covariance=covariance)
    signs = np.arcsin(r) * 2 / math.pi
    if function.slopes is not None:
        odd, even = _odd_and_even(function.slopes)
        found: Floats = odd**2 + even**2 * signs
        return found
    jump = function.jump
    return pair_means(
        function.slope,
        mean=mean,
        covariance=covariance,
        rough=lambda u: jump / 2 * np.sign(u),
        rough_pairs=(jump / 2) ** 2 * signs,
    )


def along_kernel(function: Function, *, mean: Floats, covariance: Floats) -> Floats:
    """E[u_a f'(u_a) u_b f'(u_b)] for each pair of Gaussian variables; as `kernel`.

    Of two rays, u f'(u) is f(u).
    """
    if function.slopes is not None:
        return kernel(function, mean=mean, covariance=covariance)
    along = Function(lambda u: u * function.slope(u), function.slope, None, function.jump)
    return kernel(along, mean=mean, covariance=covariance)


def _odd_and_even(slopes: tuple[float, float]) -> tuple[float, float]:
    left, right = slopes
    return (right + left) / 2, (right - left) / 2


def _scales(covariance: Floats) -> tuple[Floats, Floats]:
    """Standard deviations and correlations."""
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    return sd, _correlations(covariance, sd)


def _correlations(covariance: Floats, sd: Floats) -> Floats:
    product = np.outer(sd, sd)
    r = np.divide(covariance, product, out=np.zeros_like(product), where=product > 0)
    np.fill_diagonal(r, 1.0)
    clipped: Floats = np.clip(r, -1.0, 1.0)
    return clipped


def _flat(mean: Floats | float, sd: Floats | float) -> tuple[Floats, Floats]:
    means, sds = np.broadcast_arrays(np.float64(mean), np.float64(sd))
    return means.reshape(-1), sds.reshape(-1)


def _rule(mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Nodes in z and their weights, the density of N(0, 1) included; (variable, node) each."""
    scale = np.where(sd > 0, sd, 1.0)
    widest = min(float(scale.max(initial=1.0)), _WIDEST)
    num_fine = max(1, math.ceil(math.log2(max(1.0, 8 * widest))))
    reach = _FINEST * 2.0 ** np.arange(num_fine)
    around = np.concatenate([-reach[::-1], [0.0], reach])
    cuts = np.clip((around - mean[:, None]) / scale[:, None], -FARTHEST, FARTHEST)
    edges = np.sort(np.concatenate([cuts, np.tile(_PIECES, (len(mean), 1))], axis=1), axis=1)
    half = np.diff(edges, axis=1)[:, :, None] / 2
    z = edges[:, :-1, None] + half * (1 + _NODES)
    weight = half * _WEIGHTS * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z.reshape(len(mean), -1), weight.reshape(len(mean), -1)
