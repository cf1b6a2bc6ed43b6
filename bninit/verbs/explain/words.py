"""The verdict of an explanation in sentences, and what theory predicts."""

from __future__ import annotations

import math

from bninit.nets.initialisers import SCHEMES
from bninit.show.words import loss, percent, plural
from bninit.verbs.explain.measure import Explanation, Trend

MANY_DEAD = 0.1
MANY_SATURATED = 0.7
"""Half of a ReLU layer is flat by nature."""

_ABOUT = 1.25

_FATES = {
    "vanishes": "It vanishes (N18).",
    "explodes": "It explodes (N18).",
    "holds": "It neither vanishes nor explodes over this depth.",
}
_SYMMETRIC = (
    "All units of a hidden layer are duplicates: equal weights give equal activations and equal "
    "gradients, so training keeps them equal and the layer acts as one unit (N17)."
)
_NOTES_XAVIER = (
    ' The lecture notes call this law "Xavier normal" (N20); Glorot\'s own, with variance '
    "2 / (fan_in + fan_out), is the same where fan_in = fan_out."
)


def verdict(found: Explanation) -> list[str]:
    """What happens to signal, gradient and units."""
    said = []
    if found.overflow is not None:
        precision = found.config.train.precision
        said.append(f"Numbers overflow {precision} in {found.overflow}: the network cannot train.")
    if found.is_symmetric:
        said.append(_SYMMETRIC)
    if found.has_no_gradient:
        said.append(
            f"No gradient reaches the hidden layers: with {found.config.model.init.scheme} weights "
            "every class reads the last hidden layer alike, and softmax gradients sum to 0."
        )
    elif gradient := _trend("Backward, the gradient", found.gradient_per_layer):
        said.append(f"{gradient} {_FATES[found.gradient_fate or 'holds']}")
    signal = "Forward, the signal (mean square of the activations)"
    said += filter(None, [_trend(signal, found.signal_per_layer), _inactive_units(found)])
    if found.loss is not None:
        said.append(
            f"The loss before training is {loss(found.loss)} "
            f"(guessing among ten classes: ln 10 = {math.log(10):.4f})."
        )
    return said


def theory(found: Explanation) -> list[str]:
    """The prediction for many such layers, and the critical initialisation."""
    scheme = SCHEMES[found.config.model.init.scheme]
    note = f"{scheme.name}: {scheme.note}" if scheme.note else ""
    return [said for said in (_many_layers(found), _advice(found), note) if said]


def _trend(subject: str, trend: Trend | None) -> str | None:
    if trend is None or trend.measured is None or trend.total is None:
        return None
    predicted = "" if trend.predicted is None else f" (theory: {trend.predicted:.3g})"
    return (
        f"{subject} {change(trend.measured)}{predicted}; after {plural(trend.num_layers, 'layer')},"
        f" at hidden {trend.last}, it is {relative_size(trend.total)}."
    )


def change(factor: float) -> str:
    """A factor per layer: ``is multiplied by 0.58 per layer``."""
    if abs(factor - 1) < 0.005:
        return "keeps its size from layer to layer"
    return f"is multiplied by {factor:.3g} per layer"


def relative_size(total: float) -> str:
    """A factor as a fraction or a multiple: ``1/230 of its size``, ``12 times its size``."""
    if 1 / _ABOUT < total < _ABOUT:
        return "about as large as before"
    size = max(total, 1 / total)
    digits = f"{size:,.0f}" if 10 <= size < 1e5 else f"{size:.2g}"
    return f"{digits} times its size" if total >= 1 else f"1/{digits} of its size"


def _inactive_units(found: Explanation) -> str | None:
    if found.is_symmetric:
        return None
    dead = max((layer.dead_fraction or 0.0 for layer in found.hidden), default=0.0)
    saturated = max((layer.saturated_fraction or 0.0 for layer in found.hidden), default=0.0)
    if dead >= MANY_DEAD:
        return (
            f"Up to {percent(dead, num_digits=0)} of a layer's units are dead: they give the same "
            "output for every image of the batch."
        )
    if saturated > MANY_SATURATED:
        return (
            f"Up to {percent(saturated, num_digits=0)} of a layer's activations are saturated: "
            "the slope there is almost 0 and passes hardly any gradient."
        )
    return None


def _many_layers(found: Explanation) -> str | None:
    ahead, model = found.outlook, found.config.model
    if ahead is None:
        return None
    growth = f"chi = {ahead.chi:.4g}: backward, the SD of the gradient {change(ahead.chi**0.5)}"
    if model.norm.placement == "pre":
        limit = math.sqrt(ahead.large_batch_chi or math.nan)
        return (
            f"Many layers deep: with batch norm before {model.activation}, the scale of the "
            f"weights does not matter. In batches of {found.config.train.batch_size}, {growth} "
            f"(in the limit of large batches {limit:.4g})."
        )
    if model.norm.placement == "post":
        return (
            f"Many layers deep, in large batches: with batch norm after {model.activation}, "
            f"q = {ahead.q:.3g} and {growth}."
        )
    where = f"the mean square of the pre-activations tends to q* = {ahead.q:.3g}"
    if math.isinf(ahead.q):
        where = "the signal grows without bound"
    elif ahead.q == 0:
        where = "the signal dies out (q* = 0)"
    scale = "" if math.isinf(ahead.depth) else f"; depth scale {ahead.depth:.3g} layers"
    return (
        f"Many layers deep: with fan_in x variance = {ahead.weight:.3g}, {where}, and "
        f"{growth}{scale}."
    )


def _advice(found: Explanation) -> str:
    advice, activation = found.advice, found.config.model.activation
    if advice.weight is None:
        return f"For {activation} without batch norm, no scale of the weights preserves gradients."
    without = "" if found.config.model.norm.placement == "none" else " without batch norm"
    gain = "" if advice.gain == 1 else f" with gain {advice.gain:.4g}"
    note = _NOTES_XAVIER if advice.scheme == "lecun_normal" and advice.gain == 1 else ""
    return (
        f"For {activation}{without}, the critical variance of the weights is "
        f"{advice.weight:.4g} / fan_in ({advice.scheme}{gain}): there chi is 1, and gradients "
        f"neither vanish nor explode.{note}"
    )
