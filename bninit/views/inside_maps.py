"""Maps of a quantity by layer and moment, one beside the other on one colour scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.inside_tables import MAPS
from bninit.analysis.insides import InsideArm, Insides
from bninit.views.palette import picture_style

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
