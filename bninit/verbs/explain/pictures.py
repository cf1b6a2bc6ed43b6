"""The picture of explanations: signal and gradient by layer, theory as lines, measured as dots."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bninit.show.old_charts import (
    GUIDE_COLOUR,
    ArmStyle,
    assign_styles,
    picture_style,
    set_log_scale,
)
from bninit.verbs.compare.tables import join
from bninit.verbs.explain.measure import Explanation, Layer, Quantity

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMED = 4
_MOST_DOTS = 16
_LEAST_DECADES = 0.7

_EVERY_LAYER = "layer (1: first hidden, last: output)"
_PANELS: tuple[tuple[str, str, str, Callable[[Layer], Quantity | None]], ...] = (
    (
        "Signal, forward",
        "mean square of the activations",
        "hidden layer",
        lambda layer: layer.activation,
    ),
    (
        "Gradient, backward: to pre-activations",
        "SD, for one image's loss",
        _EVERY_LAYER,
        lambda layer: layer.gradient,
    ),
    (
        "Gradient to weights",
        "SD, for the mean loss of the batch",
        _EVERY_LAYER,
        lambda layer: layer.weight_gradient,
    ),
)


def explanations_png(found: Sequence[Explanation]) -> bytes:
    """The picture as the content of a PNG file; see `explanations_figure`."""
    buffer = io.BytesIO()
    with picture_style():
        explanations_figure(found).savefig(buffer, format="png")
    return buffer.getvalue()


def explanations_figure(found: Sequence[Explanation]) -> Figure:
    """Draw signal and gradients by layer, one colour for each config.

    Args:
        found: At least one.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    styles = assign_styles(
        [one.name for one in found],
        placements={one.name: one.config.model.norm.placement for one in found},
    )
    with picture_style():
        height = 4.6 + 0.2 * math.ceil(len(found) / 3)
        figure = Figure(figsize=(12.5, height), layout="constrained")
        figure.suptitle(_title(found), x=0.01, horizontalalignment="left", weight="bold", wrap=True)
        for axes, (title, label, where, quantity) in zip(
            figure.subplots(1, 3), _PANELS, strict=True
        ):
            shown = [
                value for one in found for value in _draw(axes, one, styles[one.name], quantity)
            ]
            axes.set_title(title)
            axes.set_ylabel(label)
            axes.set_xlabel(where)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
            axes.margins(x=0.06)
            _limit(axes, shown)
        _legend(figure, found, styles)
    return figure


def _title(found: Sequence[Explanation]) -> str:
    named = [one.name for one in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"{len(found) - _MOST_NAMED} more")
    return f"Before training: signal and gradient, layer by layer ({join(named)})"


def _draw(
    axes: Axes,
    one: Explanation,
    style: ArmStyle,
    quantity: Callable[[Layer], Quantity | None],
) -> list[float]:
    """Draws one config; returns what is shown."""
    is_gradient = quantity(one.layers[-1]) is not None
    layers = list(enumerate(one.layers, start=1))
    if is_gradient and one.has_no_gradient:
        # What is measured there is rounding, and 0 has no place on the axis.
        layers = layers[-1:]
    found = [(number, value) for number, layer in layers if (value := quantity(layer)) is not None]
    lines = [(x, value.predicted) for x, value in found if value.predicted]
    dots = [(x, value) for x, value in found if value.measured]
    if lines:
        axes.plot(*zip(*lines, strict=True), color=style.colour, linestyle=style.line_style)
    every = max(1, len(dots) // _MOST_DOTS)
    shown = [value for _, value in lines if value]
    for x, value in dots[::every]:
        assert value.measured is not None
        axes.plot([x], [value.measured], color=style.colour, marker=style.marker, linestyle="")
        if value.low and value.high and value.low < value.high:
            axes.plot([x, x], [value.low, value.high], color=style.colour, linewidth=1.0)
        shown += [end for end in (value.measured, value.low, value.high) if end]
    return shown


def _limit(axes: Axes, shown: Sequence[float]) -> None:
    if not shown:
        axes.text(
            *(0.5, 0.5, "0 or not finite"),
            transform=axes.transAxes,
            horizontalalignment="center",
            color=GUIDE_COLOUR,
        )
        axes.set_yticks([])
        return
    low, high = math.log10(min(shown)), math.log10(max(shown))
    spare = max(0.08 * (high - low), (_LEAST_DECADES - (high - low)) / 2)
    set_log_scale(axes, num_decades=high - low + 2 * spare)
    axes.set_ylim(10 ** (low - spare), 10 ** (high + spare))


def _legend(figure: Figure, found: Sequence[Explanation], styles: Mapping[str, ArmStyle]) -> None:
    from matplotlib.lines import Line2D

    num_seeds = len(found[0].seeds)
    measured = "measured"
    if num_seeds > 1:
        measured += f", {num_seeds} seeds (bar: lowest to highest)"
    handles: list[Artist] = []
    for one in found:
        style = styles[one.name]
        remark = ": no gradient in hidden layers" if one.has_no_gradient else ""
        look: dict[str, Any] = {"marker": style.marker, "linestyle": style.line_style}
        handles.append(Line2D([], [], color=style.colour, label=f"{one.name}{remark}", **look))
    handles.append(Line2D([], [], color=GUIDE_COLOUR, label="line: theory of wide layers"))
    handles.append(
        Line2D([], [], color=GUIDE_COLOUR, marker="o", linestyle="", label=f"marker: {measured}")
    )
    columns = min(4, len(handles))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, handlelength=3.5)
