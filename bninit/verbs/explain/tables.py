"""Tables and sentences of ``bninit explain`` on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from bninit.show import words
from bninit.show.tables import Column, Table, parameter_table
from bninit.show.words import describe
from bninit.verbs.explain.measure import Explanation, Layer
from bninit.verbs.explain.words import theory, verdict

_REMARK = (
    "theory: for wide layers, from the laws of the weights and the second moments of the images; "
    "gradients start from the measured gradient at the output. measured: geometric mean over "
    "seeds. SDs of gradients are about 0. Gradients to pre-activations are of one image's loss, "
    "gradients to weights of the batch's mean loss."
)


def print_explanations(found: Sequence[Explanation], *, console: Console | None = None) -> None:
    """Print what is known of each config, and of several a summary side by side."""
    console = console or Console()
    for place, one in enumerate(found):
        if place:
            console.print()
        for part in (Text(heading(one)), parameter_table(one.parameters), *_tables(one)):
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
    return words.MISSING if value is None else f"{value:.3g}"


def _print_lines(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"- {line}"))


def _flat(record: Layer | Explanation, **more: Any) -> dict[str, Any]:
    """The values of a record in one row; those of a record within it as ``gradient.measured``."""
    row: dict[str, Any] = {}
    for key, value in vars(record).items():
        inner = vars(value).items() if is_dataclass(value) else ()
        row |= {key: value, **{f"{key}.{name}": each for name, each in inner}}
    return row | more


def _column(key: str, title: str, *, write: Callable[[Any], str] = number, rank: int = 0) -> Column:
    return Column(key=key, title=title, write=write, numeric=True, rank=rank)


def _pair(key: str, title: str, *, rank: int = 0) -> list[Column]:
    return [
        _column(f"{key}.predicted", f"{title}theory", rank=rank),
        _column(f"{key}.measured", "\nmeasured", rank=rank),
    ]


def _percent(fraction: float | None) -> str:
    return words.percent(fraction, num_digits=0)


_NAME = Column(key="name", title="layer")
_LAWS = (
    _NAME,
    _column("fans", "fan-in -> out", write=str, rank=2),
    Column(key="weights.law", title="weights"),
    _column("weights.sd", "SD by\nthe law", rank=1),
    _column("weights.drawn_sd", "drawn\nSD"),
    _column("weights.drawn_mean", "drawn\nmean", rank=4),
    Column(key="biases.law", title="biases", write=lambda law: law or "none", rank=3),
)
_FORWARD = (
    _NAME,
    *_pair("linear", "pre-act.\n"),
    *_pair("norm", "batch norm\n", rank=3),
    *_pair("activation", "activation\n"),
    _column("distinct", "distinct\nunits", write=str, rank=1),
    _column("dead_fraction", "dead", write=_percent, rank=2),
    _column("saturated_fraction", "saturated", write=_percent, rank=2),
)
_BACKWARD = (
    _NAME,
    *_pair("gradient", "pre-act.\n"),
    *_pair("weight_gradient", "weights\n"),
)
_SIDE_BY_SIDE = (
    Column(key="name", title="config", style="bold"),
    *_pair("gradient_per_layer", "gradient per\nlayer, "),
    _column("gradient_per_layer.total", "over all\nlayers"),
    *_pair("signal_per_layer", "signal per\nlayer, ", rank=2),
    _column("distinct", "fewest\ndistinct", write=words.count, rank=3),
    _column("loss", "loss", write=words.loss, rank=1),
)


def _tables(found: Explanation) -> list[Table | Text]:
    rows = []
    for layer in found.layers:
        fans = f"{layer.fan_in} -> {layer.fan_out}"
        units = layer.distinct_units
        distinct = words.MISSING if units is None else f"{units} of {layer.fan_out}"
        rows.append(_flat(layer, fans=fans, distinct=distinct))
    has_norm = any(layer.norm for layer in found.layers)
    forward = [column for column in _FORWARD if has_norm or not column.key.startswith("norm.")]
    return [
        Table(_LAWS, rows, title="Initial distributions"),
        Table(forward, rows, title="Forward: mean squares over units and images"),
        Table(
            _BACKWARD, rows, title="Backward: SD of the gradient to pre-activations and to weights"
        ),
        Text(_REMARK, style="dim"),
    ]


def _side_by_side(found: Sequence[Explanation]) -> Table:
    rows = []
    for one in found:
        units = [layer.distinct_units for layer in one.hidden if layer.distinct_units is not None]
        row = _flat(one, distinct=min(units, default=None))
        if one.has_no_gradient:  # what is measured there is rounding
            row = {key: row[key] for key in row if not key.startswith("gradient_per_layer")}
        rows.append(row)
    return Table(_SIDE_BY_SIDE, rows, title="Side by side")
