"""Tables and sentences of ``bninit explain`` on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from rich.console import Console
from rich.text import Text

from bninit.show import words as text
from bninit.show.old_tables import Column, Grid, parameter_table
from bninit.verbs.explain.measure import Explanation, Layer, Quantity, Trend
from bninit.verbs.explain.words import theory, verdict
from bninit.verbs.train.train import describe

_Entry: TypeAlias = "tuple[Column, Callable[[Any], str]]"

_REMARK = (
    "theory: for wide layers, from the laws of the weights and the second moments of the images; "
    "gradients start from the measured gradient at the output. measured: geometric mean over "
    "seeds. SDs of gradients are about 0. Gradients to pre-activations are of one image's loss, "
    "gradients to weights of the batch's mean loss."
)


def print_explanations(found: Sequence[Explanation], *, console: Console | None = None) -> None:
    """Print what is known of each config, and of several a summary side by side.

    Args:
        found: At least one.
        console: Standard output by default.
    """
    console = console or Console()
    for place, one in enumerate(found):
        if place:
            console.print()
        tables = (_laws(one), _forward(one), _backward(one), Text(_REMARK, style="dim"))
        for part in (Text(heading(one)), parameter_table(one.parameters), *tables):
            console.print(part)
            console.print()
        _print_lines(console, "Verdict", verdict(one))
        console.print()
        _print_lines(console, "Theory", theory(one))
    if len(found) > 1:
        console.print()
        console.print(_side_by_side(found))


def heading(found: Explanation) -> str:
    """The config and the mini-batch, in two lines."""
    seeds = ", ".join(map(str, found.seeds[:5])) + (" ..." if len(found.seeds) > 5 else "")
    return (
        f"{describe(found.config)}\n"
        f"before training, seed{'' if len(found.seeds) == 1 else 's'} {seeds}, on the first "
        f"{found.num_examples} training images of {found.config.data.name} (mean square of the "
        f"first layer's input: {number(found.input_mean_square)})"
    )


def number(value: float | None) -> str:
    """Three digits; a dash where there is none."""
    return text.MISSING if value is None else f"{value:.3g}"


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"- {line}"))


def _column(header: str, cell: Callable[[Any], str], *, rank: int = 0) -> _Entry:
    return Column(header=header, numeric=True, rank=rank), cell


def _pair(
    header: str, of: Callable[[Any], Quantity | Trend | None], *, rank: int = 0, missing: str = ""
) -> list[_Entry]:
    """Theory beside measurement."""

    def predicted(row: Any) -> str:
        value = of(row)
        return missing if value is None else number(value.predicted)

    def measured(row: Any) -> str:
        value = of(row)
        return missing if value is None else number(value.measured)

    return [
        _column(f"{header}theory", predicted, rank=rank),
        _column("\nmeasured", measured, rank=rank),
    ]


def _grid(title: str, rows: Sequence[Any], name: str, columns: Sequence[_Entry]) -> Grid:
    first = Column(header=name, style="bold" if name == "config" else "")
    cells = [[row.name, *(cell(row) for _, cell in columns)] for row in rows]
    return Grid([first, *(column for column, _ in columns)], cells, title=title)


def _laws(found: Explanation) -> Grid:
    columns = [
        _column("fan-in -> out", lambda layer: f"{layer.fan_in} -> {layer.fan_out}"),
        (Column(header="weights"), lambda layer: layer.weights.law),
        _column("SD by\nthe law", lambda layer: number(layer.weights.sd)),
        _column("drawn\nSD", lambda layer: number(layer.weights.drawn_sd)),
        _column("drawn\nmean", lambda layer: number(layer.weights.drawn_mean), rank=2),
        (
            Column(header="biases", rank=1),
            lambda layer: "none" if layer.biases is None else layer.biases.law,
        ),
    ]
    return _grid("Initial distributions", found.layers, "layer", columns)


def _forward(found: Explanation) -> Grid:
    def units(cell: Callable[[Layer], str]) -> Callable[[Layer], str]:
        return lambda layer: "" if layer.activation is None else cell(layer)

    has_norm = any(layer.norm for layer in found.layers)
    columns = [
        *_pair("pre-act.\n", attrgetter("linear")),
        *(_pair("batch norm\n", attrgetter("norm"), rank=3) if has_norm else []),
        *_pair("activation\n", attrgetter("activation")),
        _column("distinct\nunits", units(lambda x: f"{x.distinct_units} of {x.fan_out}"), rank=1),
        _column("dead", units(lambda x: text.percent(x.dead_fraction, num_digits=0)), rank=2),
        _column(
            "saturated", units(lambda x: text.percent(x.saturated_fraction, num_digits=0)), rank=2
        ),
    ]
    title = "Forward: mean squares over units and images"
    return _grid(title, found.layers, "layer", columns)


def _backward(found: Explanation) -> Grid:
    columns = [
        *_pair("to pre-activations\n", attrgetter("gradient")),
        *_pair("to weights\n", attrgetter("weight_gradient")),
    ]
    return _grid("Backward: SD of the gradient", found.layers, "layer", columns)


def _side_by_side(found: Sequence[Explanation]) -> Grid:
    def gradient(one: Explanation) -> Trend | None:
        return None if one.has_no_gradient else one.gradient_per_layer

    def total(one: Explanation) -> str:
        trend = gradient(one)
        return number(trend.total if trend else None)

    def distinct(one: Explanation) -> str:
        units = [layer.distinct_units for layer in one.hidden if layer.distinct_units is not None]
        return text.count(min(units)) if units else text.MISSING

    signal = attrgetter("signal_per_layer")
    columns = [
        *_pair("gradient per\nlayer, ", gradient, missing=text.MISSING),
        _column("over all\nlayers", total),
        *_pair("signal per\nlayer, ", signal, rank=2, missing=text.MISSING),
        _column("fewest\ndistinct", distinct, rank=3),
        _column("loss", lambda one: text.loss(one.loss), rank=1),
    ]
    return _grid("Side by side", found, "config", columns)
