"""The verdict of an explanation in sentences: what a student should take away."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.config import leaf_values
from bninit.nets.initialisers import SCHEMES
from bninit.show import words as text
from bninit.show.old_tables import Column, Grid, parameter_table
from bninit.verbs.explain.explain import (
    MANY_DEAD,
    MANY_SATURATED,
    Course,
    DrawnLaw,
    Explanation,
    LayerExplanation,
    Quantity,
)

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


def print_explanations(
    found: Sequence[Explanation], *, as_json: bool = False, console: Console | None = None
) -> None:
    """Prints what was found of each config, and of several a table side by side at the end.

    Args:
        found: At least one.
        as_json: As `json_text` has it, and nothing else.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if as_json:
        console.file.write(json_text(found))
        return
    for place, one in enumerate(found):
        if place:
            console.print()
        for part in _parts(one):
            console.print(part)
            console.print()
        _print_lines(console, "Verdict", verdict(one))
        console.print()
        _print_lines(console, "What theory says", outlook(one))
    if len(found) > 1:
        console.print()
        console.print(_side_by_side(found))


def heading(found: Explanation) -> str:
    """A config and what was looked at, in two lines."""
    seeds = ", ".join(map(str, found.seeds[:5])) + (" ..." if len(found.seeds) > 5 else "")
    return (
        f"{found.description}\n"
        f"before training, seed{'' if len(found.seeds) == 1 else 's'} {seeds}, on the first "
        f"{found.num_examples} training images of {found.config.data.name} (mean square of "
        f"what the first layer reads: {number(found.input_mean_square)})"
    )


def number(value: float | None) -> str:
    """Write a number with three digits; a dash where there is none."""
    return text.MISSING if value is None else f"{value:.3g}"


def _parts(found: Explanation) -> list[RenderableType]:
    return [
        Text(heading(found)),
        parameter_table(found.parameters),
        _laws(found),
        _forward(found),
        _backward(found),
        Text(_REMARK, style="dim"),
    ]


_REMARK = (
    "theory: for wide layers, from the laws alone; it starts from the images' own second moments "
    "and, for gradients, from the measured gradient at the output. Measured: geometric mean over "
    "the seeds. SDs of gradients are about 0; those with respect to pre-activations are of one "
    "image's loss, those with respect to weights of the batch's mean loss."
)


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"- {line}"))


def _laws(found: Explanation) -> Grid:
    columns = [
        Column(header="layer"),
        Column(header="fan-in -> out", numeric=True),
        Column(header="law of the weights"),
        Column(header="SD by\nthe law", numeric=True),
        Column(header="drawn\nSD", numeric=True),
        Column(header="drawn\nmean", numeric=True, rank=2),
        Column(header="law of the\nbiases", rank=1),
    ]
    rows = [
        (
            layer.name,
            f"{layer.fan_in} -> {layer.fan_out}",
            layer.weights.law.text,
            number(layer.weights.law.sd),
            number(layer.weights.sd),
            number(layer.weights.mean),
            "none" if layer.biases is None else layer.biases.law.text,
        )
        for layer in found.layers
    ]
    return Grid(columns, rows, title="Weights")


def _forward(found: Explanation) -> Grid:
    has_norm = any(layer.norm is not None for layer in found.layers)
    columns = [
        Column(header="layer"),
        Column(header="pre-act.\ntheory", numeric=True),
        Column(header="\nmeasured", numeric=True),
        Column(header="batch norm\ntheory", numeric=True, rank=3),
        Column(header="\nmeasured", numeric=True, rank=3),
        Column(header="activation\ntheory", numeric=True),
        Column(header="\nmeasured", numeric=True),
        Column(header="distinct\nunits", numeric=True, rank=1),
        Column(header="dead", numeric=True, rank=2),
        Column(header="saturated", numeric=True, rank=2),
    ]
    rows = []
    for layer in found.layers:
        rows.append(
            (
                layer.name,
                *_pair(layer.linear),
                *_pair(layer.norm),
                *_pair(layer.activation),
                "" if layer.distinct_units is None else _distinct(layer),
                _fraction(layer, layer.dead_fraction),
                _fraction(layer, layer.saturated_fraction),
            )
        )
    title = "Forward: mean squares over units and images"
    if has_norm:
        return Grid(columns, rows, title=title)
    keep = [place for place in range(len(columns)) if place not in (3, 4)]
    return Grid([columns[i] for i in keep], [[row[i] for i in keep] for row in rows], title=title)


def _backward(found: Explanation) -> Grid:
    columns = [
        Column(header="layer"),
        Column(header="to pre-activations\ntheory", numeric=True),
        Column(header="\nmeasured", numeric=True),
        Column(header="to weights\ntheory", numeric=True),
        Column(header="\nmeasured", numeric=True),
    ]
    rows = [
        (layer.name, *_pair(layer.gradient), *_pair(layer.weight_gradient))
        for layer in found.layers
    ]
    return Grid(columns, rows, title="Backward: SD of the gradient, with respect")


def _side_by_side(found: Sequence[Explanation]) -> Grid:
    columns = [
        Column(header="config", style="bold"),
        Column(header="gradient per\nlayer, theory", numeric=True),
        Column(header="\nmeasured", numeric=True),
        Column(header="over all\nlayers", numeric=True),
        Column(header="signal per\nlayer, theory", numeric=True, rank=2),
        Column(header="\nmeasured", numeric=True, rank=2),
        Column(header="fewest\ndistinct", numeric=True, rank=3),
        Column(header="loss", numeric=True, rank=1),
    ]
    rows = []
    for one in found:
        distinct = [
            layer.distinct_units for layer in one.hidden if layer.distinct_units is not None
        ]
        gradient = None if one.has_no_gradient else one.gradient
        signal = one.signal
        rows.append(
            (
                one.label,
                number(gradient.predicted if gradient else None),
                number(gradient.measured if gradient else None),
                number(gradient.total if gradient else None),
                number(signal.predicted if signal else None),
                number(signal.measured if signal else None),
                text.count(min(distinct)) if distinct else text.MISSING,
                text.loss(one.loss),
            )
        )
    return Grid(columns, rows, title="Side by side")


def _pair(quantity: Quantity | None) -> tuple[str, str]:
    if quantity is None:
        return "", ""
    return number(quantity.predicted), number(quantity.measured)


def _distinct(layer: LayerExplanation) -> str:
    return f"{layer.distinct_units} of {layer.fan_out}"


def _fraction(layer: LayerExplanation, value: float | None) -> str:
    if layer.activation is None:
        return ""
    return text.percent(value, num_digits=0)


def json_text(found: Sequence[Explanation]) -> str:
    """All figures of some explanations; what is not a finite number is null."""
    value = [_plain(one) for one in found]
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(found: Explanation) -> dict[str, Any]:
    return {
        "name": found.label,
        "config": leaf_values(found.config),
        "seeds": list(found.seeds),
        "num_examples": found.num_examples,
        "input_mean_square": found.input_mean_square,
        "loss": found.loss,
        "layers": [
            {
                **_finite(asdict(layer)),
                "weights": _law(layer.weights),
                "biases": None if layer.biases is None else _law(layer.biases),
            }
            for layer in found.layers
        ],
        "parameters": [asdict(row) for row in found.parameters],
        "gradient_per_layer": _course(found.gradient),
        "signal_per_layer": _course(found.signal),
        "outlook": _finite(asdict(found.outlook)) if found.outlook else None,
        "advice": _finite(asdict(found.advice)),
        "is_symmetric": found.is_symmetric,
        "has_no_gradient": found.has_no_gradient,
        "gradient_fate": found.gradient_fate,
        "overflow": found.overflow,
        "verdict": verdict(found),
        "theory": outlook(found),
    }


def _law(drawn: DrawnLaw) -> dict[str, Any]:
    law = drawn.law
    return {
        "law": law.text,
        "mean": law.mean,
        "sd": law.sd,
        "limit": law.limit,
        "drawn_mean": drawn.mean,
        "drawn_sd": drawn.sd,
    }


def _course(course: Course | None) -> dict[str, Any] | None:
    if course is None:
        return None
    return {**_finite(asdict(course)), "num_layers": course.num_layers, "total": course.total}


def _finite(value: Any) -> Any:
    """The same with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    assert not is_dataclass(value)
    return value
