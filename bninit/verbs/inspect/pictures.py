"""Maps of a quantity by layer and moment, one beside the other on one colour scale."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bninit.show.old_charts import (
    BLUE,
    BLUISH_GREEN,
    GUIDE_COLOUR,
    REDDISH_PURPLE,
    VERMILLION,
    picture_style,
    set_log_scale,
)
from bninit.verbs.inspect.inspect import MAPS, UNIT_PERCENTILES, InsideArm, Insides

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_COLOURS = "cividis"
_NOTHING = "#E4E4E4"
_MOST_TICKS = 7
_MOST_DECADES = 12
_FEW_DECADES = 3.0


@dataclass(frozen=True)
class _Words:
    title: str
    unit: str
    scale: float = 1.0


WORDS: dict[str, _Words] = {
    "signals": _Words(
        "Signal: how far the values out of each linear layer spread", "SD of the signal"
    ),
    "gradients": _Words("Gradient at what comes out of each linear layer", "SD of the gradient"),
    "gradient_to_weight": _Words(
        "Gradient of each layer's weights, against the weights", "gradient / weights (norms)"
    ),
    "shift": _Words(
        "Shift: how far each layer's output has moved since the probe before",
        "shift of the means (SDs)",
    ),
    "dead_units": _Words("Dead units: the same output for every example", "dead units (%)", 100.0),
    "saturation": _Words(
        "Saturation: where the activation is all but flat",
        "saturated (%)",
        100.0,
    ),
    "distinct_units": _Words(
        "Distinct units: those that are no copies of another", "distinct units"
    ),
    "effective_rank": _Words(
        "Effective rank: directions that each layer's output uses", "effective rank"
    ),
}


def map_figure(found: Insides, name: str) -> Figure | None:
    """Draw a quantity by hidden layer and moment, a panel for each arm, on one colour scale.

    Args:
        found: What probes found.
        name: A key of `MAPS`.

    Returns:
        None where it was read in no arm.
    """
    from matplotlib.figure import Figure

    table = found.maps[found.maps["map"] == name]
    if not table["value"].notna().any():
        return None
    words, is_log = WORDS[name], MAPS[name].is_scale
    steps = sorted(table["step"].unique().tolist())
    layers = sorted(table["layer"].unique().tolist())
    arms = [arm for arm in found.arms if (table["arm"] == arm.label).any()]
    with picture_style():
        width = 2.3 + max(3.1 * len(arms), 4.4)
        figure = Figure(figsize=(width, 2.3 + 0.28 * min(len(layers), 16)), layout="constrained")
        figure.suptitle(words.title, x=0.01, horizontalalignment="left", weight="bold", wrap=True)
        panels = figure.subplots(1, len(arms), squeeze=False, sharey=True)[0]
        norm = _norm(table["value"] * words.scale, is_log=is_log)
        drawn = None
        for axes, arm in zip(panels, arms, strict=True):
            mine = table[table["arm"] == arm.label]
            drawn = _panel(axes, mine, steps=steps, layers=layers, norm=norm, scale=words.scale)
            axes.set_title(arm_title(arm))
        panels[0].set_ylabel("layer")
        has_gaps = table["value"].notna().sum() < len(arms) * len(layers) * len(steps)
        grey = "    (grey: no such layer, step or number)" if has_gaps else ""
        figure.supxlabel(f"step of the training{grey}", fontsize=10)
        assert drawn is not None
        bar = figure.colorbar(drawn, ax=list(panels), label=words.unit, shrink=0.95)
        if is_log:
            _plain_ticks(bar, norm)
    return figure


def arm_title(arm: InsideArm, *, one_seed: bool = False) -> str:
    """The label of an arm, and of what seeds a panel is."""
    if one_seed or len(arm.seeds) == 1:
        return f"{arm.label}\nseed {arm.seeds[0]}"
    return f"{arm.label}\nmean of {len(arm.seeds)} seeds"


def step_ticks(steps: list[int], *, most: int = _MOST_TICKS) -> list[int]:
    """Places of the steps that are written on an axis on which all are evenly spread."""
    if len(steps) <= most:
        return list(range(len(steps)))
    return sorted({round(i * (len(steps) - 1) / (most - 1)) for i in range(most)})


def _panel(
    axes: Axes,
    table: pd.DataFrame,
    *,
    steps: list[int],
    layers: list[int],
    norm: Normalize,
    scale: float,
) -> AxesImage:
    from matplotlib import colormaps

    colours = colormaps[_COLOURS].with_extremes(bad=_NOTHING)
    square = table.pivot(index="layer", columns="step", values="value")
    square = square.reindex(index=layers, columns=steps)
    # A moment that an arm has not got shows the one before it.
    square = square.ffill(axis=1).where(square.bfill(axis=1).notna())
    values = np.ma.masked_invalid(scale * square.to_numpy())
    drawn = axes.imshow(
        values, aspect="auto", cmap=colours, norm=norm, origin="upper", interpolation="nearest"
    )
    axes.grid(visible=False)
    ticks = step_ticks(steps)
    axes.set_xticks(ticks, [f"{steps[i]:,}" for i in ticks], rotation=45, ha="right", fontsize=8)
    rows = step_ticks(layers, most=12)
    axes.set_yticks(rows, [str(layers[i]) for i in rows])
    return drawn


def _plain_ticks(bar: Colorbar, norm: Normalize) -> None:
    """Plain numbers on a logarithmic scale, at 2 and 5, too, where it spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    assert norm.vmin is not None
    assert norm.vmax is not None
    decades = math.log10(norm.vmax / norm.vmin)
    bar.locator = LogLocator(subs=(1.0, 2.0, 5.0) if decades < _FEW_DECADES else (1.0,), numticks=8)
    bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.update_ticks()


def _norm(values: pd.Series, *, is_log: bool) -> Normalize:
    from matplotlib.colors import LogNorm, Normalize

    finite = [float(value) for value in values if math.isfinite(value)]
    positive = [value for value in finite if value > 0]
    if not is_log or not positive:
        return Normalize(0.0, max([*finite, 1e-12]))
    high = max(positive)
    low = max(min(positive), high / 10.0**_MOST_DECADES)
    if high / low < 2:
        middle = math.sqrt(high * low)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return LogNorm(low, high, clip=True)


_HEIGHT = 1.6
"""Of a ridge, in distances between two."""

_COLOURS_INSIDE_RIDGES = "viridis"
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
                _panel_inside_ridges(axes, part)
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


def _panel_inside_ridges(axes: Axes, table: pd.DataFrame) -> None:
    from matplotlib import colormaps

    steps = sorted(int(step) for step in table["step"].unique())
    for place, step in enumerate(steps):
        one = table[table["step"] == step]
        # The beginning lies at the bottom, in front of what comes after it.
        below = np.full(len(one), float(place))
        colour = colormaps[_COLOURS_INSIDE_RIDGES](0.15 + 0.75 * place / max(1, len(steps) - 1))
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


PICTURES: dict[str, Callable[[Insides], Figure | None]] = {
    "distributions": ridges_figure,
    "units": units_figure,
    **{name: partial(map_figure, name=name) for name in MAPS},
    "modes": modes_figure,
    "statistics": gaps_figure,
    "gamma_beta": drifts_figure,
}
"""Each draws one picture, or nothing where there is nothing to draw."""


def pictures(found: Insides) -> dict[str, bytes]:
    """Draw all that there is to draw.

    Returns:
        The content of PNG files by their names.
    """
    drawn: dict[str, bytes] = {}
    with picture_style():
        for name, draw in PICTURES.items():
            figure = draw(found)
            if figure is not None:
                buffer = io.BytesIO()
                figure.savefig(buffer, format="png")
                drawn[f"{name}.png"] = buffer.getvalue()
    return drawn
