"""The verdict of an explanation in sentences: what a student should take away."""

from __future__ import annotations

import math

from bninit.analysis.explanation import MANY_DEAD, MANY_SATURATED, Course, Explanation
from bninit.nets.initialisers import SCHEMES
from bninit.views import text

_ABOUT = 1.25
_GUESSING = math.log(10)


def verdict(found: Explanation) -> list[str]:
    """What becomes of signal and gradient, and of the units, one sentence or two each."""
    said = [_overflow(found), _units(found), _gradient(found), _signal(found), _flat(found)]
    if found.loss is not None:
        said.append(
            f"The loss before training is {text.loss(found.loss)} "
            f"(guessing among ten classes: ln 10 = {_GUESSING:.4f})."
        )
    return [sentence for sentence in said if sentence]


def outlook(found: Explanation) -> list[str]:
    """What theory expects of many such layers, and which weights it advises."""
    said = [_many_layers(found), _advice(found)]
    note = SCHEMES[found.config.model.init.scheme].note
    if note:
        said.append(f"{found.config.model.init.scheme}: {note}")
    return [sentence for sentence in said if sentence]


def change(factor: float) -> str:
    """A factor for each layer as a verb: ``shrinks by 0.58 per layer``, ``grows by 1.22 ...``."""
    if abs(factor - 1) < 0.005:
        return "keeps its size from layer to layer"
    verb = "shrinks" if factor < 1 else "grows"
    return f"{verb} by {factor:.3g} per layer"


def share(total: float) -> str:
    """A factor as a part or a multiple: ``1/230 of its size``, ``12 times its size``."""
    if 1 / _ABOUT < total < _ABOUT:
        return "about as large as before"
    if total >= 1:
        return f"{_short(total)} times its size"
    return f"1/{_short(1 / total)} of its size"


def _short(number: float) -> str:
    if number >= 1e5:
        return f"{number:.2g}"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _gradient(found: Explanation) -> str | None:
    if found.has_no_gradient:
        scheme = found.config.model.init.scheme
        return (
            f"No gradient reaches the hidden layers: with {scheme} weights every class reads the "
            "last hidden layer alike, and the gradients of the softmax add up to 0."
        )
    course = found.gradient
    if course is None or course.measured is None or course.total is None:
        return None
    theory = _by_theory(course)
    fate = {
        "vanishes": "It vanishes (N18).",
        "explodes": "It explodes (N18).",
        "holds": "It neither vanishes nor explodes over this depth.",
    }[found.gradient_fate or "holds"]
    return (
        f"On its way back the gradient {change(course.measured)}{theory}: {_passed(course)}, "
        f"at hidden {course.last}, it is {share(course.total)}. {fate}"
    )


def _signal(found: Explanation) -> str | None:
    course = found.signal
    if course is None or course.measured is None or course.total is None:
        return None
    return (
        f"On its way forward the signal (mean square of the activations) "
        f"{change(course.measured)}{_by_theory(course)}: {_passed(course)}, at hidden "
        f"{course.last}, it is {share(course.total)}."
    )


def _by_theory(course: Course) -> str:
    return "" if course.predicted is None else f" (theory: {course.predicted:.3g})"


def _passed(course: Course) -> str:
    return f"after {text.plural(course.num_layers, 'layer')}"


def _units(found: Explanation) -> str | None:
    if not found.is_symmetric:
        return None
    return (
        "All units of a hidden layer are the same unit: equal weights give equal activations and "
        "equal gradients, so that training keeps them equal and the layer acts as one unit (N17)."
    )


def _flat(found: Explanation) -> str | None:
    dead = [layer.dead_fraction for layer in found.hidden if layer.dead_fraction is not None]
    flat = [layer.saturated_fraction for layer in found.hidden if layer.saturated_fraction]
    if dead and max(dead) >= MANY_DEAD and not found.is_symmetric:
        return (
            f"Up to {text.percent(max(dead), num_digits=0)} of a layer's units give the same for "
            "every image of the batch: they are dead."
        )
    if flat and max(flat) > MANY_SATURATED and not found.is_symmetric:
        return (
            f"Up to {text.percent(max(flat), num_digits=0)} of a layer's activations are where "
            "the function is all but flat: saturated, they pass hardly any gradient."
        )
    return None


def _overflow(found: Explanation) -> str | None:
    if found.overflow is None:
        return None
    precision = found.config.train.precision
    return f"Numbers grow beyond {precision} in {found.overflow}: such a network cannot train."


def _many_layers(found: Explanation) -> str | None:
    ahead = found.outlook
    if ahead is None:
        return None
    model = found.config.model
    growth = f"chi = {ahead.chi:.4g}: the SD of the gradient {change(ahead.factor)}"
    if model.norm.placement == "pre":
        limit = ahead.large_batch_chi or math.nan
        return (
            f"Theory, many layers deep: batch norm before {model.activation} makes the scale of "
            f"the weights not matter. In batches of {found.config.train.batch_size}, "
            f"{growth} on its way back (in the limit of large batches {math.sqrt(limit):.4g})."
        )
    if model.norm.placement == "post":
        return (
            f"Theory, many layers deep, in large batches: with batch norm after {model.activation} "
            f"q = {ahead.q:.3g} and {growth} on its way back."
        )
    if math.isinf(ahead.q):
        where = "the signal grows without end"
    elif ahead.q == 0:
        where = "the signal dies out (q* = 0)"
    else:
        where = f"the mean square of the pre-activations tends to q* = {ahead.q:.3g}"
    scale = "" if math.isinf(ahead.depth) else f"; depth scale {ahead.depth:.3g} layers"
    return (
        f"Theory, many layers deep: with fan_in x variance = {ahead.weight:.3g}, {where}, and "
        f"{growth} on its way back{scale}."
    )


def _advice(found: Explanation) -> str:
    advice, activation = found.advice, found.config.model.activation
    if advice.weight is None:
        return f"For {activation} no scale of the weights keeps gradients, without batch norm."
    law = f"variance {advice.weight:.4g} / fan_in"
    scheme = advice.scheme or ""
    if advice.gain != 1:
        scheme += f" with gain {advice.gain:.4g}"
    note = ""
    if advice.scheme == "lecun_normal" and advice.gain == 1:
        note = (
            ' The lecture notes call that law "Xavier normal" (N20); Glorot\'s own, of variance '
            "2 / (fan_in + fan_out), is the same where fan_in = fan_out."
        )
    beside = "" if found.config.model.norm.placement == "none" else ", without batch norm"
    return (
        f"For {activation}{beside}, theory advises {law} ({scheme}): there chi is 1, and gradients "
        f"neither vanish nor explode.{note}"
    )
