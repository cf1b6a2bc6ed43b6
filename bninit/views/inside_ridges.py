"""Ridges: how the distribution of what goes into each layer's activation changes in training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.insides import Insides
from bninit.views.inside_maps import arm_title
from bninit.views.palette import GUIDE_COLOUR, picture_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEIGHT = 1.6
"""Of a ridge, in distances between two."""

_COLOURS = "viridis"
_LOG_FROM_RATIO = 30.0
_FAR_DECADES = 10


def ridges_figure(found: Insides) -> Figure | None:
    """Draw the distribution of what goes into the activation, by hidden layer and moment.

    Panels of a layer share an axis; it is logarithmic away from 0 where one arm's distribution is
    so wide that the others' would be a line.
    """
    from matplotlib.figure import Figure

    table = found.ridges
    if not len(table):
        return None
    arms = [arm for arm in found.arms if (table["arm"] == arm.label).any()]
    layers = sorted(int(layer) for layer in table["layer"].unique())
    with picture_style():
        size = (1.0 + max(3.1 * len(arms), 5.6), 1.4 + 2.2 * len(layers))
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(
            "What goes into the activations, over the training",
            x=0.01,
            horizontalalignment="left",
            weight="bold",
            wrap=True,
        )
        grid = figure.subplots(len(layers), len(arms), squeeze=False)
        for row, layer in enumerate(layers):
            mine = table[table["layer"] == layer]
            for column, arm in enumerate(arms):
                axes = grid[row][column]
                part = mine[mine["arm"] == arm.label]
                if not len(part):
                    axes.set_visible(False)
                    continue
                _panel(axes, part)
                _x_axis(axes, mine)
                if row == 0:
                    axes.set_title(arm_title(arm, one_seed=True))
                if column == 0:
                    axes.set_ylabel(f"layer {layer}\nstep")
        figure.supxlabel(
            "value over units and examples (each ridge: the density, scaled to one height)",
            fontsize=9.5,
        )
    return figure


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    from matplotlib import colormaps

    steps = sorted(int(step) for step in table["step"].unique())
    for place, step in enumerate(steps):
        one = table[table["step"] == step]
        # The beginning lies at the bottom, in front of what comes after it.
        below = np.full(len(one), float(place))
        colour = colormaps[_COLOURS](0.15 + 0.75 * place / max(1, len(steps) - 1))
        order = 2 * (len(steps) - place)
        if one["x"].min() == one["x"].max():
            # All units and examples have one value.
            axes.vlines(
                one["x"].iloc[0], place, place + _HEIGHT, color=colour, linewidth=2.5, zorder=order
            )
            continue
        axes.fill_between(
            one["x"],
            below,
            below + _HEIGHT * one["density"],
            color=colour,
            alpha=0.75,
            linewidth=0,
            zorder=order,
        )
        axes.plot(
            one["x"], below + _HEIGHT * one["density"], color="white", linewidth=0.8, zorder=order
        )
    axes.axvline(0.0, color=GUIDE_COLOUR, linewidth=0.7, linestyle=(0, (4, 2)), zorder=100)
    axes.set_yticks(range(len(steps)), [f"{step:,}" for step in steps], fontsize=8)
    axes.set_ylim(-0.2, len(steps) - 1 + _HEIGHT + 0.2)


def _ticks(high: float, *, linear: float) -> list[float]:
    """Few powers of ten on both sides of 0, on an axis that is linear up to a number."""
    last = math.floor(math.log10(high))
    first = math.ceil(math.log10(linear)) + 1
    between = [10.0 ** round((first + last) / 2)] if last - first >= _FAR_DECADES else []
    above = [*between, 10.0**last]
    return [*(-tick for tick in reversed(above)), 0.0, *above]


def _x_axis(axes: Axes, table: pd.DataFrame) -> None:
    """One axis for all panels of a layer."""
    low, high = float(table["x"].min()), float(table["x"].max())
    widths = table.groupby(["arm", "step"])["x"].agg(lambda x: x.max() - x.min())
    positive = widths[widths > 0]
    if len(positive) and positive.max() / positive.min() > _LOG_FROM_RATIO:
        linear = float(positive.min())
        axes.set_xscale("symlog", linthresh=linear)
        ticks = _ticks(max(-low, high), linear=linear)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
        axes.minorticks_off()
    margin = 0.02 * (high - low) or 1.0
    axes.set_xlim(low - margin, high + margin)
