"""Pictures of a landscape: along the gradient, along lines, on planes, and where training went."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bninit.analysis.landscapes import Landscape, arm_lines, arm_steps
from bninit.views.axes import loss_limits, set_log_scale
from bninit.views.landscape_planes import planes_figure
from bninit.views.palette import GUIDE_COLOUR, ArmStyle, assign_styles, picture_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
