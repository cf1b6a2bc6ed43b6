"""Lines over the steps of a training: a unit's percentiles, modes, gaps, gamma and beta."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bninit.analysis.inside_tables import UNIT_PERCENTILES
from bninit.analysis.insides import Insides
from bninit.views.axes import set_log_scale
from bninit.views.inside_maps import arm_title
from bninit.views.palette import (
    BLUE,
    BLUISH_GREEN,
    GUIDE_COLOUR,
    REDDISH_PURPLE,
    VERMILLION,
    picture_style,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MODE_LOOKS: dict[str, dict[str, Any]] = {
    "train_mode": {"color": GUIDE_COLOUR, "linewidth": 3.2, "label": "each mini-batch's own"},
    "ema": {"color": VERMILLION, "linestyle": (0, (4, 1.5)), "label": "exponential average"},
    "cumulative": {"color": REDDISH_PURPLE, "linestyle": (0, (1, 1)), "label": "plain average"},
    "population": {
        "color": BLUISH_GREEN,
        "linewidth": 1.2,
        "label": "population (weights held)",
    },
    "batch": {"color": GUIDE_COLOUR, "linewidth": 3.2, "label": "a single mini-batch"},
}
_LAYER_COLOURS = "viridis"
_MOST_LAYERS = 8


def units_figure(found: Insides) -> Figure | None:
    """Draw percentiles of single units of the last hidden layer over the training.

    As in figure 1 of Ioffe & Szegedy 2015 (arXiv:1502.03167).
    """
    table = found.units
    if not len(table):
        return None
    arms = [arm for arm in found.arms if (table["arm"] == arm.label).any()]
    last = {arm.label: table.loc[table["arm"] == arm.label, "layer"].max() for arm in arms}
    shown = {arm.label: _of_layer(table, arm.label, int(last[arm.label])) for arm in arms}
    num_rows = max(part["unit"].nunique() for part in shown.values())
    with picture_style():
        figure, grid = _panels(num_rows, len(arms), "Single units: what goes into their activation")
        for column, arm in enumerate(arms):
            part = shown[arm.label]
            for row, unit in enumerate(sorted(set(part["unit"].astype(int).tolist()))):
                mine = part[part["unit"] == unit]
                axes = grid[row][column]
                low, middle, high = (f"p{percent:02d}" for percent in UNIT_PERCENTILES)
                axes.fill_between(
                    mine["step"], mine[low], mine[high], color=BLUE, alpha=0.25, linewidth=0
                )
                axes.plot(mine["step"], mine[middle], color=BLUE)
                title = f"unit {unit + 1} of layer {int(last[arm.label])}"
                axes.set_title(f"{arm_title(arm, one_seed=True)}, {title}" if row == 0 else title)
                _step_axis(axes)
        _same_limits(grid)
        for panels in grid:
            panels[0].set_ylabel("value over the examples")
        figure.supxlabel(
            "step of the training    (line: median; band: 15th to 85th percentile)", fontsize=9.5
        )
    return figure


def modes_figure(found: Insides) -> Figure | None:
    """Draw the validation accuracy with the statistics of each kind, over the training."""
    return _kinds_figure(
        found.modes,
        found,
        column="accuracy",
        by="mode",
        title="Accuracy with each kind of batch-norm statistics",
        label="validation accuracy (%)",
        scale=100.0,
    )


def gaps_figure(found: Insides) -> Figure | None:
    """Draw how far statistics are from the population's, over the training."""
    return _kinds_figure(
        found.gaps,
        found,
        column="mean_gap",
        by="statistics",
        title="How far batch norm's means are from the population's",
        label="distance of the means (SDs)",
        is_log=True,
    )


def drifts_figure(found: Insides) -> Figure | None:
    """Draw how far gamma and beta of each layer have gone from where they began."""
    table = found.drifts
    if not len(table) or not table["gamma_drift"].notna().any():
        return None
    from matplotlib import colormaps
    from matplotlib.lines import Line2D

    arms = [arm for arm in found.arms if (table["arm"] == arm.label).any()]
    layers = sorted(int(layer) for layer in table["layer"].unique())
    colours = colormaps[_LAYER_COLOURS]
    looks = {layer: colours(0.9 * i / max(1, len(layers) - 1)) for i, layer in enumerate(layers)}
    with picture_style():
        figure, grid = _panels(2, len(arms), "How far gamma and beta have gone from 1 and 0")
        for column, arm in enumerate(arms):
            mine = table[table["arm"] == arm.label]
            for row, name in enumerate(("gamma", "beta")):
                axes = grid[row][column]
                for layer in layers:
                    part = mine[mine["layer"] == layer]
                    axes.plot(part["step"], part[f"{name}_drift"], color=looks[layer])
                _step_axis(axes)
                axes.set_title(f"{arm_title(arm)}, {name}" if row == 0 else name)
        for panels, what in zip(grid, ("gamma - 1", "beta"), strict=True):
            _same_limits([panels])
            for axes in panels:
                axes.set_ylim(bottom=0.0)
            panels[0].set_ylabel(f"root mean square of {what}")
        named = layers if len(layers) <= _MOST_LAYERS else [layers[0], layers[-1]]
        for axes in grid[-1]:
            axes.set_xlabel("step of the training")
        figure.legend(
            handles=[
                Line2D([], [], color=looks[layer], label=_layer_name(layer)) for layer in named
            ],
            loc="outside lower center",
            ncols=min(4, len(named)),
        )
    return figure


def _kinds_figure(
    table: pd.DataFrame,
    found: Insides,
    *,
    column: str,
    by: str,
    title: str,
    label: str,
    scale: float = 1.0,
    is_log: bool = False,
) -> Figure | None:
    if not len(table) or not table[column].notna().any():
        return None
    arms = [arm for arm in found.arms if (table["arm"] == arm.label).any()]
    with picture_style():
        figure, grid = _panels(1, len(arms), title)
        for axes, arm in zip(grid[0], arms, strict=True):
            mine = table[table["arm"] == arm.label]
            for kind, part in mine.groupby(by, sort=False):
                look = dict(_MODE_LOOKS[str(kind)])
                if kind == arm.running:
                    look["label"] += " (its own in evaluation)"
                shown = part[(part[column] > 0) & (part["step"] > 0)] if is_log else part
                axes.plot(shown["step"], scale * shown[column], **look)
            axes.set_title(arm_title(arm))
            _step_axis(axes)
            if is_log:
                axes.set_yscale("log")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8.5)
        _same_limits(grid)
        if is_log:
            low, high = grid[0][0].get_ylim()
            for axes in grid[0]:
                set_log_scale(axes, num_decades=math.log10(high / low))
        grid[0][0].set_ylabel(label)
        for axes in grid[0]:
            axes.set_xlabel("step of the training")
    return figure


def _panels(num_rows: int, num_columns: int, title: str) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.figure import Figure

    size = (0.8 + max(3.6 * num_columns, 5.6), 1.5 + 2.5 * num_rows)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, x=0.01, horizontalalignment="left", weight="bold", wrap=True)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    return figure, [list(row) for row in grid]


def _step_axis(axes: Axes) -> None:
    """Steps on a logarithmic axis that has a place for 0."""
    from matplotlib.ticker import FuncFormatter, NullLocator, SymmetricalLogLocator

    axes.set_xscale("symlog", linthresh=1.0, linscale=0.4)
    axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10.0, linthresh=1.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(left=-0.3)


def _same_limits(grid: list[list[Axes]]) -> None:
    """One vertical scale for all panels; the axes of later columns keep their ticks' labels off."""
    every = [axes for row in grid for axes in row if axes.has_data()]
    low = min(axes.get_ylim()[0] for axes in every)
    high = max(axes.get_ylim()[1] for axes in every)
    for axes in every:
        axes.set_ylim(low, high)
    for row in grid:
        for axes in row[1:]:
            axes.tick_params(labelleft=False)
        for axes in row:
            if not axes.has_data():
                axes.set_visible(False)


def _of_layer(table: pd.DataFrame, arm: str, layer: int) -> pd.DataFrame:
    return table[(table["arm"] == arm) & (table["layer"] == layer)]


def _layer_name(layer: int) -> str:
    return "input" if layer == 0 else f"layer {layer}"
