"""What theory expects of many equal layers, and which weights it advises for an activation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bninit.nets.architecture import NONE, POST, PRE, Architecture
from bninit.nets.laws import Law
from bninit.theory.batch_norm import gradient_growth
from bninit.theory.mean_field import chi, critical_weight, fixed_point, mean_square, next_q

_CLOSE = 0.01


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The weights with which gradients neither vanish nor explode, without batch norm.

    Attributes:
        weight: fan_in times their variance; None where no weights do it.
        scheme: A scheme that has them; None where there is none.
        gain: Of that scheme.
    """

    weight: float | None
    scheme: str | None
    gain: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Where equal hidden layers of a network's law lead.

    Attributes:
        weight: fan_in times the variance of a hidden layer's weights.
        q: Mean square of the pre-activations in the end; inf where it grows without end.
        chi: Factor on the gradient's mean square for each layer back.
        depth: Layers over which that changes by e; inf where it does not.
        large_batch_chi: The same in a large batch; None without batch norm before the activation.
    """

    weight: float
    q: float
    chi: float
    depth: float
    large_batch_chi: float | None = None

    @property
    def factor(self) -> float:
        """On the SD of the gradient, for each layer back."""
        return math.sqrt(self.chi)


def outlook_of(
    architecture: Architecture, *, weight: Law, bias: Law | None, batch_size: int
) -> Outlook | None:
    """What theory expects of equal hidden layers.

    Args:
        architecture: The shape of the network.
        weight: Law of the weights between two hidden layers.
        bias: Law of the biases there.
        batch_size: Examples that are normalized together.

    Returns:
        None where theory has nothing to say: fewer than two hidden layers, widths that differ,
        equal weights, biases with a mean.
    """
    hidden = architecture.widths[1:-1]
    if len(hidden) < 2 or len(set(hidden)) > 1 or weight.sd == 0 or (bias and bias.mean):
        return None
    activation, placement = architecture.activation, architecture.placement
    bias_variance = bias.sd**2 if bias else 0.0
    scaled = hidden[0] * weight.sd**2
    if weight.scaled_by_data:
        square = (weight.limit or 1.0) ** 2
        read = mean_square(activation, square if placement == NONE else 1.0)
        scaled = square / (1.0 if placement == POST else read)
    if placement == NONE:
        found = fixed_point(activation, weight=scaled, bias=bias_variance)
        return Outlook(weight=scaled, q=found.q, chi=found.chi, depth=found.depth)
    q = next_q(activation, 1.0, weight=scaled, bias=bias_variance, placement=placement)
    if placement == PRE:
        growth = gradient_growth(activation, batch_size=batch_size)
        limit = gradient_growth(activation)
    else:
        growth = chi(activation, q, weight=scaled, placement=POST)
        limit = None
    depth = 0.0 if math.isinf(growth) else _depth(growth)
    return Outlook(weight=scaled, q=q, chi=growth, depth=depth, large_batch_chi=limit)


def advice_for(activation: str) -> Advice:
    """The weights at which chi is 1 (Schoenholz et al. 2017), and their usual name.

    Args:
        activation: A key of `ACTIVATIONS`.
    """
    weight = critical_weight(activation)
    if weight is None:
        return Advice(weight=None, scheme=None, gain=1.0)
    for scheme, of_scheme in (("lecun_normal", 1.0), ("he_normal", 2.0)):
        if abs(weight / of_scheme - 1) < _CLOSE:
            return Advice(weight=weight, scheme=scheme, gain=1.0)
    return Advice(weight=weight, scheme="lecun_normal", gain=math.sqrt(weight))


def _depth(factor: float) -> float:
    log = abs(math.log(factor))
    return math.inf if log < 1e-10 else 1 / log
