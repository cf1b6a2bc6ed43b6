"""Length and slope, layer by layer: the mean-field theory of wide random networks.

In a wide layer with independent weights of mean 0 the pre-activations of one input are Gaussian
over the units. Their mean square q, and the factor chi by which the mean square of a gradient
changes on its way back through a layer, follow from the layer's laws alone (Poole et al. 2016,
arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232). Exact for infinite width; a layer of n
units departs from it by about 1 / sqrt(n).

`weight` stands for fan_in times the variance of a weight on the way forward, and for fan_out times
it on the way back; `bias` for the variance of a bias. Biases of other laws than the normal one
enter by their variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from bninit.nets.architecture import NONE, PRE
from bninit.theory.gaussian import Floats, function_of, gaussian_mean

_LARGEST = 1e12
_NUM_TRIED = 70
_CLOSE = 1e-10


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Where the recursions of equal layers end.

    Attributes:
        q: Mean square of the pre-activations, q*; 0 where signals die out, inf where they grow
            without end.
        chi: Factor on the mean square of the gradient for each layer back, at q*: below 1
            gradients vanish, above 1 they explode.
        depth: Layers over which the gradient's mean square, and the distance between two close
            inputs, change by e: 1 / |ln chi|; inf where chi is 1.
        length_depth: Layers over which the distance from q* falls to 1 / e: -1 / ln of the slope
            of q at q*; inf where it does not fall.
    """

    q: float
    chi: float
    depth: float
    length_depth: float


def mean_square(activation: str, q: float) -> float:
    """E[f(sqrt(q) z)^2]: the mean square of the activations of pre-activations of mean square q."""
    value = function_of(activation).value
    return float(gaussian_mean(lambda u: value(u) ** 2, sd=math.sqrt(q)))


def mean_value(activation: str, q: float) -> float:
    """E[f(sqrt(q) z)]: the mean of the activations."""
    return float(gaussian_mean(function_of(activation).value, sd=math.sqrt(q)))


def mean_square_slope(activation: str, q: float) -> float:
    """E[f'(sqrt(q) z)^2]: what a gradient's mean square is multiplied with by the activation."""
    slope = function_of(activation).slope
    return float(gaussian_mean(lambda u: slope(u) ** 2, sd=math.sqrt(q)))


def next_q(
    activation: str, q: float, *, weight: float, bias: float = 0.0, placement: str = NONE
) -> float:
    """The mean square of the next layer's pre-activations.

    Without batch norm q' = weight E[f(sqrt(q) z)^2] + bias (Poole et al. 2016, eq. 3). With batch
    norm before the activation, f reads values of variance 1 whatever q is; with batch norm after
    it, the next layer does. Exact for large layers and batches.

    Args:
        activation: A key of `ACTIVATIONS`.
        q: Of this layer.
        weight: Next layer's fan_in times the variance of its weights.
        bias: Variance of its biases.
        placement: Of batch norm: ``none``, ``pre`` or ``post``.
    """
    if placement == NONE:
        return weight * mean_square(activation, q) + bias
    return weight * (mean_square(activation, 1.0) if placement == PRE else 1.0) + bias


def chi(
    activation: str, q: float, *, weight: float, bias: float = 0.0, placement: str = NONE
) -> float:
    """The factor on the mean square of the gradient, from one layer's pre-activations back.

    Without batch norm chi = weight E[f'(sqrt(q) z)^2] (Schoenholz et al. 2017, eq. 5). Under batch
    norm in a large batch of uncorrelated examples, the layer that is passed divides by the variance
    over the batch of what it normalizes: E[f'(z)^2] / Var[f(z)] before the activation, whatever the
    weights (Yang et al. 2019, arXiv:1902.08129, theorem 8: pi / (pi - 1) for ReLU), times the ratio
    fan_out / fan_in; and weight E[f'(h)^2] / Var[f(h)] after it, with h ~ N(0, q).

    Args:
        activation: A key of `ACTIVATIONS`.
        q: Mean square of the pre-activations that the gradient arrives at.
        weight: fan_out times the variance of the weights it comes through; for ``pre`` at equal
            widths any value above 0 gives the same.
        bias: Variance of the biases; matters to ``pre`` nowhere.
        placement: Of batch norm.
    """
    if placement == NONE:
        return weight * mean_square_slope(activation, q)
    if placement == PRE:
        return mean_square_slope(activation, 1.0) / _variance(activation, 1.0)
    del bias
    return weight * mean_square_slope(activation, q) / _variance(activation, q)


def fixed_point(activation: str, *, weight: float, bias: float = 0.0) -> FixedPoint:
    """The fixed point of equal layers without batch norm, reached from q = 1.

    q' grows with q for every activation here, so that q moves without turning to the nearest
    solution of q' = q on its side. Where every q is a solution (He's weights and ReLU), it stays 1.

    Args:
        activation: A key of `ACTIVATIONS`.
        weight: Width times the variance of a weight.
        bias: Variance of a bias.
    """
    square = function_of(activation).value

    def growth(log_q: Floats | float) -> Floats:
        q = np.exp(log_q)
        mean = gaussian_mean(lambda u: square(u) ** 2, sd=np.sqrt(q))
        return (weight * mean + bias) / q - 1

    first = growth(0.0).item()
    q = 1.0
    if abs(first) > _CLOSE:
        ways = np.copysign(np.linspace(0.0, math.log(_LARGEST), _NUM_TRIED), first)
        passed = np.flatnonzero(growth(ways[1:]) * first <= 0)
        if passed.size:
            q = math.exp(
                optimize.brentq(
                    lambda log_q: growth(log_q).item(),
                    ways[passed[0]],
                    ways[passed[0] + 1],
                    xtol=1e-12,
                )
            )
        else:
            q = 0.0 if first < 0 else math.inf
    at = min(max(q, 1 / _LARGEST), _LARGEST)
    factor = chi(activation, at, weight=weight)
    return FixedPoint(
        q=q,
        chi=factor,
        depth=depth_scale(factor),
        length_depth=_length_depth(activation, at, weight),
    )


def depth_scale(factor: float) -> float:
    """Layers over which something that changes by a factor for each layer changes by e.

    1 / |ln factor| (Schoenholz et al. 2017, eq. 9): inf at 1, 0 at a factor of 0.
    """
    if factor == 0:
        return 0.0
    log = math.log(factor)
    return math.inf if abs(log) < _CLOSE else 1 / abs(log)


def critical_weight(activation: str, *, bias: float = 0.0) -> float | None:
    """The weight at which gradients neither vanish nor explode at the fixed point: chi = 1.

    2 for ReLU (He et al. 2015, arXiv:1502.01852), 1 for the identity and, without biases, for
    tanh: there the fixed point is q = 0 and the slope at 0 is 1.

    Args:
        activation: A key of `ACTIVATIONS`.
        bias: Variance of a bias.

    Returns:
        Width times the variance of a weight; None where no weight up to 1,000 does it.
    """
    low, high = 1e-3, 1e3
    if fixed_point(activation, weight=high, bias=bias).chi < 1:
        return None
    for _ in range(40):
        middle = math.sqrt(low * high)
        if fixed_point(activation, weight=middle, bias=bias).chi < 1:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def _length_depth(activation: str, q: float, weight: float) -> float:
    """From the slope dq'/dq = weight E[f(u) f'(u) u] / q at the fixed point, u ~ N(0, q)."""
    function = function_of(activation)
    slope = (
        weight
        / q
        * float(gaussian_mean(lambda u: function.value(u) * function.slope(u) * u, sd=math.sqrt(q)))
    )
    return math.inf if slope >= 1 - _CLOSE else depth_scale(max(slope, 0.0))


def _variance(activation: str, q: float) -> float:
    return mean_square(activation, q) - mean_value(activation, q) ** 2
