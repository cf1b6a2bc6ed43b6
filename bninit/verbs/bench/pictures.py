"""The picture of a growth: time per network and memory, against what makes them grow."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bninit.show.old_charts import BLUE, GUIDE_COLOUR, VERMILLION, picture_style
from bninit.verbs.bench.tables import machine_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bninit.verbs.bench.measure import Record

_MARGIN = 1.5
"""Factor above and below, so that the axis has at least two labels."""


def scaling_png(found: Record) -> bytes:
    """Return the picture as the content of a PNG file; see `scaling_figure`."""
    buffer = io.BytesIO()
    with picture_style():
        scaling_figure(found).savefig(buffer, format="png")
    return buffer.getvalue()


def scaling_figure(found: Record) -> Figure:
    """Draw seconds per epoch and network, and memory, each against one size.

    Bars are from the lowest to the highest of the repeats. A dotted line is what would be seen if
    nothing were gained or lost.

    Args:
        found: From `bninit.verbs.bench.bench.scaling`.
    """
    from matplotlib.figure import Figure

    grid = found["grid"]
    base = f"{grid['base_depth']} x {grid['base_width']}"
    with picture_style():
        figure = Figure(figsize=(12.5, 7.4), layout="constrained")
        figure.suptitle(
            "How the cost of training grows", x=0.01, horizontalalignment="left", weight="bold"
        )
        panels = figure.subplots(2, 3, gridspec_kw={"hspace": 0.08})
        by_axis = {
            axis: [point for point in found["points"] if point["axis"] == axis]
            for axis in ("stack", "width", "depth", "epochs")
        }
        _time_panel(panels[0, 0], by_axis["stack"], power=0)
        _words(panels[0, 0], f"More networks in a stack ({base})", "networks in the stack")
        _time_panel(panels[0, 1], by_axis["width"], power=None)
        _words(
            panels[0, 1],
            f"Wider networks (stack of {grid['base_stack']}, {grid['base_depth']} layers)",
            "units of each hidden layer",
        )
        _time_panel(panels[0, 2], by_axis["depth"], power=None)
        _words(
            panels[0, 2],
            f"Deeper networks (stack of {grid['base_stack']}, {grid['base_width']} units)",
            "hidden layers",
        )
        _memory_panel(panels[1, 0], by_axis["stack"])
        _words(panels[1, 0], f"Memory of the stack ({base})", "networks in the stack")
        _time_panel(panels[1, 1], by_axis["epochs"], power=1)
        _words(panels[1, 1], f"More epochs (stack of {grid['base_stack']}, {base})", "epochs")
        panels[1, 1].set_ylabel("seconds for all epochs, per network")
        panels[1, 2].axis("off")
        panels[1, 2].text(0, 1, _remarks(found), va="top", fontsize=9.5, wrap=True)
    return figure


def _time_panel(axes: Axes, points: Sequence[Record], *, power: int | None) -> None:
    _points(
        axes,
        [point["value"] for point in points],
        [point["seconds"]["median"] for point in points],
        colour=BLUE,
        marker="o",
        errors=(
            [point["seconds"]["median"] - point["seconds"]["low"] for point in points],
            [point["seconds"]["high"] - point["seconds"]["median"] for point in points],
        ),
        power=power,
    )
    axes.set_ylabel("seconds per epoch and network")


def _memory_panel(axes: Axes, points: Sequence[Record]) -> None:
    _points(
        axes,
        [point["value"] for point in points],
        [point["held_bytes"] / 1e6 for point in points],
        colour=VERMILLION,
        marker="s",
        errors=None,
        power=1,
    )
    axes.set_ylabel("megabytes")


def _points(
    axes: Axes,
    values: Sequence[int],
    heights: Sequence[float],
    *,
    colour: str,
    marker: str,
    errors: tuple[Sequence[float], Sequence[float]] | None,
    power: int | None,
) -> None:
    from matplotlib.ticker import (
        FixedLocator,
        FuncFormatter,
        LogLocator,
        NullFormatter,
        NullLocator,
    )

    if power is not None:
        guide = [heights[0] * (value / values[0]) ** power for value in values]
        axes.plot(values, guide, linestyle=":", color=GUIDE_COLOUR, zorder=1)
    axes.errorbar(values, heights, yerr=errors, color=colour, marker=marker, capsize=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = axes.get_ylim()
    axes.set_ylim(low / _MARGIN, high * _MARGIN)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _words(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(below)


def _remarks(found: Record) -> str:
    grid = found["grid"]
    parts = [
        machine_line(found["machine"]),
        f"Batches of {grid['batch_size']}, batch norm: {grid['placement']}, on {found['data']}. "
        "An epoch is 60,000 images; seconds are scaled to it from the steps that were timed.",
        "Both axes are logarithmic. Bars: lowest to highest repeat. Dotted: no gain and no loss "
        "per network (above), and growth in proportion (below).",
    ]
    return "\n\n".join(textwrap.fill(part, 52) for part in parts)
