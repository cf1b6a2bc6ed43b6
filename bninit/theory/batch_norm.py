"""How fast gradients grow under batch norm before the activation, as a function of the batch size.

Deep in a wide network of equal layers, batch norm drives every mini-batch of B examples to the same
state: any two examples have the same covariance (Yang et al. 2019, arXiv:1902.08129, section 3). A
unit's pre-activations over the batch, centred, are then a Gaussian vector without preferred
direction in the B - 1 dimensions orthogonal to (1, ..., 1), so that

- what batch norm gives out, u, is a uniform point on the sphere of radius sqrt(B) in there, and
- the variance s^2 that it divides by is independent of u, with E[1 / s^2] = B / (c (B - 3)),
  where c is the difference between an example's mean square and the product of two examples.

A gradient g, independent of u and equally strong for all examples, becomes P (f'(u) g) / s with
P = I - 1 1^T / B - u u^T / B. Before that, it was orthogonal to 1 as well. Taking the mean over u
of the squared norm gives the factor for each layer:

    growth(B) = B / (B - 3) * T / ((B - 1) c),        c = E[f(u_1)^2] - E[f(u_1) f(u_2)],
    T = sum_a E[d_a^2 (1 - 1/B - u_a^2/B)]
        - (1/B) E[sum_a d_a^2 - (sum_a d_a)^2 / B - (sum_a d_a u_a)^2 / B],    d_a = f'(u_a).

Exact in the limit of wide layers and deep networks, for every B from 4 on and eps = 0; with B = 2
or 3 the mean is infinite. Identity: (B - 2) / (B - 3). ReLU: its pair means on the sphere are those
of Gaussians of correlation -1 / (B - 1), as its degree is 1, and pi / (pi - 1) is the limit of a
large batch (theorem 8). The weights cancel, whatever the scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from bninit.theory.gaussian import Floats, function_of
from bninit.theory.mean_field import chi

SMALLEST_BATCH = 4
"""From here on the mean growth is finite."""

_NUM_NODES = 96
_GAUSSIAN_FROM = 20_000


def gradient_growth(activation: str, *, batch_size: int | None = None) -> float:
    """The factor on the squared norm of the gradient for each layer back, of equal widths.

    Args:
        activation: A key of `ACTIVATIONS`, before which batch norm stands.
        batch_size: Examples that are normalized together; None for the limit of a large batch,
            E[f'(z)^2] / Var[f(z)] with z ~ N(0, 1).

    Returns:
        The factor; inf for fewer than 4 examples.

    Raises:
        ValueError: A batch of less than two.
    """
    if batch_size is None or batch_size > _GAUSSIAN_FROM:
        return chi(activation, 1.0, weight=1.0, placement="pre")
    if batch_size < 2:
        raise ValueError(f"batch norm cannot normalize over a batch of {batch_size}")
    if batch_size < SMALLEST_BATCH:
        return math.inf
    b = batch_size
    function = function_of(activation)
    value, slope = function.value, function.slope

    def with_slope(u: Floats) -> Floats:
        return u * slope(u)

    squares = sphere_mean(lambda u: slope(u) ** 2, batch_size=b)
    own = sphere_mean(lambda u: slope(u) ** 2 * (1 - 1 / b - u**2 / b), batch_size=b)
    slopes = b * squares + b * (b - 1) * sphere_pair_mean(slope, batch_size=b)
    slopes_u = b * sphere_mean(lambda u: with_slope(u) ** 2, batch_size=b) + b * (
        b - 1
    ) * sphere_pair_mean(with_slope, batch_size=b)
    trace = b * own - (b * squares - slopes / b - slopes_u / b) / b
    between = sphere_mean(lambda u: value(u) ** 2, batch_size=b) - sphere_pair_mean(
        value, batch_size=b
    )
    return b / (b - 3) * trace / ((b - 1) * between)


def sphere_mean(f: Callable[[Floats], Floats], *, batch_size: int) -> float:
    """E[f(u_1)] for u uniform on the batch-norm sphere: |u|^2 = B, orthogonal to (1, ..., 1).

    u_1 = sqrt(B - 1) t, and t has the density of one coordinate on the unit sphere of B - 1
    dimensions, in proportion to (1 - t^2)^((B - 4) / 2).

    Args:
        f: Elementwise, smooth but for a kink or step at 0.
        batch_size: B, at least 4.
    """
    t, weight = _half_sphere_rule(batch_size)
    reach = math.sqrt(batch_size - 1)
    return float(weight @ (f(reach * t) + f(-reach * t)) / 2)


def sphere_pair_mean(f: Callable[[Floats], Floats], *, batch_size: int) -> float:
    """E[f(u_1) f(u_2)], as `sphere_mean`.

    With t as there, u_2 = -u_1 / (B - 1) + sqrt(B (B - 2) / (B - 1) (1 - t^2)) v, where v is one
    coordinate on the unit sphere of B - 2 dimensions. The integral over v is cut where u_2 is 0.
    """
    b = batch_size
    t, weight = _half_sphere_rule(b)
    first = math.sqrt(b - 1) * np.concatenate([t, -t])
    centre = -first / (b - 1)
    radius = np.sqrt(b * (b - 2) / (b - 1) * np.tile(1 - t**2, 2))
    v, inner = _sphere_rule(np.clip(-centre / radius, -1.0, 1.0), (b - 5) / 2)
    second = f(centre[:, None] + radius[:, None] * v)
    found = f(first) * (second * inner).sum(axis=1)
    return float(np.tile(weight, 2) @ found / 2)


def _half_sphere_rule(batch_size: int) -> tuple[Floats, Floats]:
    """Nodes in (0, 1) and weights, of sum 1, for t; cut where the sign of u_2 becomes certain."""
    b = batch_size
    cut = np.array([math.sqrt(b * (b - 2)) / (b - 1)])
    t, weight = _sphere_rule(cut, (b - 4) / 2, low=0.0)
    return t[0], weight[0] / weight[0].sum()


def _sphere_rule(cut: Floats, power: float, *, low: float | None = None) -> tuple[Floats, Floats]:
    """Nodes and weights for a density in proportion to (1 - t^2)^power; (row, node) each.

    In the angle whose sine is t, so that the ends are smooth for power -1/2 too, and only where the
    density is above 1e-17 of its largest.

    Args:
        cut: Of each row: where a function of t may have a kink.
        power: From -1/2 on.
        low: Where t begins; at -1 by default. It ends at 1.
    """
    nodes, steps = np.polynomial.legendre.leggauss(_NUM_NODES)
    end = min(math.pi / 2, 9.0 / math.sqrt(max(2 * power + 1, 1e-9)))
    start = -end if low is None else low
    angle_of_cut = np.clip(np.arcsin(cut), start, end)[:, None]
    nodes_of, weights_of = [], []
    for begin, stop in ((start, angle_of_cut), (angle_of_cut, end)):
        half = (stop - begin) / 2
        angle = (stop + begin) / 2 + half * nodes
        nodes_of.append(np.sin(angle))
        weights_of.append(half * steps * np.cos(angle) ** (2 * power + 1))
    weight = np.concatenate(weights_of, axis=1) / special.beta(power + 1, 0.5)
    return np.concatenate(nodes_of, axis=1), weight
