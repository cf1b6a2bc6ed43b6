"""Contours of the loss on planes, side by side: one colour scale, and the same axes for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bninit.analysis.landscapes import Landscape, LandscapeRun
from bninit.views import text
from bninit.views.palette import picture_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_MOST_COLUMNS = 3
_LEVELS_PER_DECADE = 4
_MOST_DECADES = 4.0
_COLOURS = "cividis_r"
_MARK = "#D55E00"


def planes_figure(found: Landscape, *, trajectory: bool) -> Figure:
    """Draw the loss on a plane through each network.

    Args:
        found: With the table ``planes``, or with ``trajectories`` and ``paths``.
        trajectory: Whether on the plane of the training, with the path, or on a random plane.
    """
    from matplotlib.figure import Figure

    table = found.trajectories if trajectory else found.planes
    assert table is not None
    shown = [run for run in found.runs if (table["label"] == run.label).any()]
    num_columns = min(_MOST_COLUMNS, len(shown))
    num_rows = -(-len(shown) // num_columns)
    title = (
        "The loss on the plane in which most of each training lies, and the training's path"
        if trajectory
        else "The loss around each trained network, on the plane of two random directions"
    )
    with picture_style():
        width = 4.3 * num_columns + 1.2
        height = (3.5 * _height_over_width(table) + 1.0) * num_rows + 0.8
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle(
            title, x=0.01, horizontalalignment="left", weight="bold", wrap=True, fontsize=12
        )
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for spare in grid.flat[len(shown) :]:
            spare.remove()
        levels = _levels(table["loss"])
        drawn = None
        for axes, run in zip(grid.flat, shown, strict=False):
            drawn = _contours(axes, table[table["label"] == run.label], levels)
            axes.set_title(f"{run.arm} (seed {run.seed})")
            axes.grid(visible=False)
            axes.set_aspect("equal")
            if trajectory:
                _path(axes, found, run)
            else:
                axes.plot(0, 0, marker="P", color=_MARK, markersize=9, markeredgecolor="white")
                axes.set_xlabel("random direction 1 (filter norms)")
                axes.set_ylabel("random direction 2 (filter norms)")
        assert drawn is not None
        bar = figure.colorbar(drawn, ax=list(grid.flat[: len(shown)]), shrink=0.85)
        bar.set_label("training loss (nats)")
        ticks = [level for level in levels if _is_tick(level)]
        bar.set_ticks(ticks or levels, labels=[f"{tick:g}" for tick in ticks or levels])
        bar.minorticks_off()
        figure.supxlabel(
            "circles: after each epoch; cross: the trained network; axes: distances between weights"
            if trajectory
            else "cross: the trained network",
            fontsize=9,
        )
    return figure


def _height_over_width(table: pd.DataFrame) -> float:
    sides = [float(table[axis].max() - table[axis].min()) for axis in ("y", "x")]
    return sides[0] / sides[1]


def _contours(axes: Axes, rows: pd.DataFrame, levels: list[float]) -> ScalarMappable:
    from matplotlib.colors import LogNorm

    square = rows.pivot(index="y", columns="x", values="loss")
    inside = square.clip(lower=levels[0], upper=levels[-1]).fillna(levels[-1])
    norm = LogNorm(levels[0], levels[-1])
    filled = axes.contourf(
        square.columns, square.index, inside, levels=levels, norm=norm, cmap=_COLOURS
    )
    axes.contour(
        square.columns, square.index, inside, levels=levels, colors="white", linewidths=0.4
    )
    return filled


def _path(axes: Axes, found: Landscape, run: LandscapeRun) -> None:
    from matplotlib.patheffects import withStroke

    paths = found.paths
    assert paths is not None
    mine = paths[paths["label"] == run.label]
    axes.plot(mine["x"], mine["y"], "-", color="white", linewidth=3.0)
    axes.plot(mine["x"], mine["y"], "o-", color=_MARK, linewidth=1.3, markersize=4)
    axes.plot(0, 0, marker="P", color=_MARK, markersize=9, markeredgecolor="white")
    first = mine.iloc[0]
    axes.annotate(
        "start",
        (first["x"], first["y"]),
        xytext=(-4, 7),
        textcoords="offset points",
        ha="right",
        color=_MARK,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )
    along, across = found.explained[run.label]
    axes.set_xlabel(f"1st principal component ({text.percent(along, num_digits=0)} of variance)")
    axes.set_ylabel(f"2nd principal component ({text.percent(across, num_digits=0)})")


def _levels(losses: pd.Series) -> list[float]:
    """Steps of the colour scale, evenly spread on a logarithmic one, over all finite losses."""
    finite = [float(loss) for loss in losses if math.isfinite(loss) and loss > 0]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    low = max(low, high / 10**_MOST_DECADES)
    first = math.floor(_LEVELS_PER_DECADE * math.log10(low))
    last = max(math.ceil(_LEVELS_PER_DECADE * math.log10(high)), first + 1)
    return [10 ** (k / _LEVELS_PER_DECADE) for k in range(first, last + 1)]


def _is_tick(level: float) -> bool:
    decade = math.log10(level)
    return abs(decade - round(decade)) < 1e-9
