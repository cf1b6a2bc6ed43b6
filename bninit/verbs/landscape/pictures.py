"""Contours of the loss on planes, side by side: one colour scale, and the same axes for all."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bninit.show import words as text
from bninit.show.old_charts import (
    GUIDE_COLOUR,
    ArmStyle,
    assign_styles,
    loss_limits,
    picture_style,
    set_log_scale,
)
from bninit.verbs.landscape.landscape import Landscape, LandscapeRun, arm_lines, arm_steps

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


_BAND = 0.18
_PANELS = (
    ("loss_range", "How much the loss varies", "highest minus lowest loss (nats)"),
    (
        "relative_gradient_change",
        "How far the gradient changes (grey line: by its own norm)",
        "largest change / norm of the gradient",
    ),
    (
        "smoothness",
        "How fast it changes (effective smoothness; less: smoother)",
        "largest change / distance moved",
    ),
)


def pictures(found: Landscape) -> dict[str, bytes]:
    """Draw all pictures of a landscape.

    Returns:
        The content of PNG files by their names.
    """
    styles = _styles(found)
    drawn: dict[str, bytes] = {}
    if found.steps is not None:
        drawn["gradient.png"] = _png(lambda: gradient_figure(found, styles=styles))
    if found.lines is not None:
        drawn["lines.png"] = _png(lambda: lines_figure(found, styles=styles))
    if found.planes is not None:
        drawn["planes.png"] = _png(lambda: planes_figure(found, trajectory=False))
    if found.trajectories is not None:
        drawn["trajectories.png"] = _png(lambda: planes_figure(found, trajectory=True))
    return drawn


def gradient_figure(found: Landscape, *, styles: Mapping[str, ArmStyle]) -> Figure:
    """Draw what trainings meet along their gradients, by training step.

    Args:
        found: With the table ``steps``.
        styles: Looks by arm label.
    """
    from matplotlib.figure import Figure

    steps = arm_steps(found)
    with picture_style():
        figure = Figure(figsize=(10.5, 8.0), layout="constrained")
        figure.suptitle(_gradient_title(found), x=0.01, horizontalalignment="left", weight="bold")
        grid = list(figure.subplots(2, 2).flat)
        _loss_panel(grid[0], steps, styles)
        for axes, (column, title, label) in zip(grid[1:], _PANELS, strict=True):
            for arm, style in styles.items():
                mine = steps[steps["arm"] == arm]
                axes.plot(mine["step"], mine[column], **_line(style))
            axes.set_title(title)
            axes.set_ylabel(label)
            _scale(axes, steps[column])
            if column == "relative_gradient_change":
                axes.axhline(1.0, color=GUIDE_COLOUR, linewidth=0.8, linestyle=(0, (4, 2)))
        for axes in grid:
            axes.set_xlabel("step of the training")
        _legend(figure, found, styles)
    return figure


def lines_figure(found: Landscape, *, styles: Mapping[str, ArmStyle]) -> Figure:
    """Draw the loss along random directions through each network.

    Args:
        found: With the table ``lines``.
        styles: Looks by arm label.
    """
    from matplotlib.figure import Figure

    lines = arm_lines(found)
    with picture_style():
        figure = Figure(figsize=(8.0, 5.4), layout="constrained")
        figure.suptitle(
            "The loss around each trained network, along random directions",
            x=0.01,
            horizontalalignment="left",
            weight="bold",
        )
        axes = figure.subplots()
        for arm, style in styles.items():
            mine = lines[lines["arm"] == arm]
            axes.fill_between(
                mine["position"],
                mine["low"],
                mine["high"],
                color=style.colour,
                alpha=_BAND,
                linewidth=0,
            )
            axes.plot(mine["position"], mine["median"], **_line(style))
        axes.set_xlabel("distance from the network (in the norm of each unit's incoming weights)")
        axes.set_ylabel("training loss (nats)")
        _scale(axes, lines["low"], lines["high"])
        number = found.settings["directions"]
        several = f"median of {number} directions; band: lowest to highest"
        axes.set_title(
            f"The network is at 0. {'One direction' if number == 1 else f'Line: {several}'}.",
            fontsize=9.5,
        )
        _legend(figure, found, styles)
    return figure


def _gradient_title(found: Landscape) -> str:
    lengths = found.settings["lengths"]
    if lengths is None:
        return "Moving along the gradient, by 1/2 to 4 learning rates, at steps of the training"
    few = "" if len(lengths) == 1 else f" to {lengths[-1]:g}"
    return f"Moving along the gradient, by {lengths[0]:g}{few} times it, at steps of the training"


def _loss_panel(axes: Axes, steps: pd.DataFrame, styles: Mapping[str, ArmStyle]) -> None:
    for arm, style in styles.items():
        mine = steps[steps["arm"] == arm]
        axes.fill_between(
            mine["step"],
            mine["lowest_loss"],
            mine["highest_loss"],
            color=style.colour,
            alpha=_BAND,
            linewidth=0,
        )
        axes.plot(mine["step"], mine["loss"], **_line(style))
    axes.set_title("The loss (line), and where it gets on the way (band)")
    axes.set_ylabel("loss of the step's mini-batch (nats)")
    _scale(axes, steps["lowest_loss"], steps["highest_loss"])


def _line(style: ArmStyle) -> dict[str, Any]:
    return {"color": style.colour, "linestyle": style.line_style, "linewidth": 1.6}


def _scale(axes: Axes, *columns: pd.Series) -> None:
    """Limits that hold all finite values, logarithmic where they span much."""
    values = [float(v) for column in columns for v in column if math.isfinite(v)]
    low, high, is_log = loss_limits(values)
    if is_log:
        set_log_scale(axes, num_decades=math.log10(high / low))
    axes.set_ylim(low, high)


def _styles(found: Landscape) -> dict[str, ArmStyle]:
    arms = {run.arm: run.placement for run in found.runs}
    return assign_styles(list(arms), placements=arms)


def _legend(figure: Figure, found: Landscape, styles: Mapping[str, ArmStyle]) -> None:
    from matplotlib.lines import Line2D

    counts: dict[str, list[int]] = {}
    for run in found.runs:
        counts.setdefault(run.arm, []).append(run.seed)
    figure.legend(
        handles=[
            Line2D([], [], label=_arm_label(arm, seeds), **_line(styles[arm]))
            for arm, seeds in counts.items()
        ],
        loc="outside lower center",
        ncols=min(4, len(counts)),
        handlelength=3.5,
    )


def _arm_label(arm: str, seeds: list[int]) -> str:
    return (
        f"{arm} (seed {seeds[0]})" if len(seeds) == 1 else f"{arm} (median of {len(seeds)} seeds)"
    )


def _png(draw: Callable[[], Figure]) -> bytes:
    buffer = io.BytesIO()
    with picture_style():
        draw().savefig(buffer, format="png")
    return buffer.getvalue()
