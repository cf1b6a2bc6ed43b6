"""Explanations on the terminal: tables layer by layer, and a verdict at the end."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.text import Text

from bninit.analysis.explanation import Explanation, LayerExplanation, Quantity
from bninit.views import text
from bninit.views.explanation_json import json_text
from bninit.views.explanation_words import outlook, verdict
from bninit.views.layout import Column, Grid
from bninit.views.tables import parameter_table


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
