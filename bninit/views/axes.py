"""Axes of pictures: honest limits, labels of guide lines that do not overlap, whole epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bninit.views.palette import GUIDE_COLOUR

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LOG_FROM_RATIO = 10
_HIGHEST_LOSS = 1e4
_ACCURACY_BOTTOMS = (98, 95, 90, 80, 50)
_DECADES_WITH_FEW_TICKS = 3.5
_FEWEST_EPOCHS = 3
_LABEL_DISTANCE = 0.052


def loss_limits(values: Sequence[float]) -> tuple[float, float, bool]:
    """Limits of an axis of losses, and whether it is a logarithmic one.

    Losses that span more than a factor of 10 get a logarithmic axis, others a linear one from 0.
    What is above 10,000 nats, as just before a divergence, does not squeeze the rest.

    Args:
        values: All finite losses, in nats.
    """
    positive = [value for value in values if value > 0]
    if not positive:
        return 0.0, 1.0, False
    low, high = min(positive), max(positive)
    high = min(high, max(_HIGHEST_LOSS, low))
    if high / low < _LOG_FROM_RATIO:
        return 0.0, 1.1 * high, False
    margin = (high / low) ** 0.05
    return low / margin, high * margin, True


def set_log_scale(axes: Axes, *, num_decades: float) -> None:
    """Make the vertical axis logarithmic, with plain numbers at its ticks.

    Args:
        axes: Which.
        num_decades: How many it spans; few get ticks at 2 and 5, too.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if num_decades < _DECADES_WITH_FEW_TICKS else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def accuracy_bottom(bands: Sequence[pd.DataFrame], *, targets: Sequence[float]) -> float:
    """Where an axis of accuracies that ends at 100 % begins, in percent.

    It shows all targets, and all seeds in the second half of the epochs; what happens before may
    lie below. With less than three epochs it begins at 0.

    Args:
        bands: One table per arm with the columns epoch and low, in percent.
        targets: In (0, 1].
    """
    lows = [100 * target for target in targets]
    for band in bands:
        last = int(band["epoch"].max()) if len(band) else 0
        if last < _FEWEST_EPOCHS:
            return 0.0
        lows += list(band.loc[band["epoch"] >= last / 2, "low"])
    lowest = min(lows, default=0.0)
    lowest -= 0.1 * (100 - lowest)
    return next((float(bottom) for bottom in _ACCURACY_BOTTOMS if bottom <= lowest), 0.0)


def label_lines(axes: Axes, labels: Mapping[float, str], *, line_style: Any) -> None:
    """Draw thin horizontal lines, with their labels right of the axes.

    The limits of the axes have to be final. Labels are pushed apart where lines are close.

    Args:
        axes: Where.
        labels: Of the lines, by their height in data units.
        line_style: As matplotlib takes it.
    """
    for height in labels:
        axes.axhline(height, color=GUIDE_COLOUR, linestyle=line_style, linewidth=0.8, zorder=1)
    to_fraction = axes.transData + axes.transAxes.inverted()
    heights = sorted(labels)
    fractions = [float(to_fraction.transform((0, height))[1]) for height in heights]
    for height, fraction, place in zip(heights, fractions, spread_apart(fractions), strict=True):
        axes.annotate(
            labels[height],
            xy=(1.0, fraction),
            xytext=(1.03, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=GUIDE_COLOUR,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": GUIDE_COLOUR, "linewidth": 0.6, "shrinkB": 0},
        )


def spread_apart(places: Sequence[float], *, distance: float = _LABEL_DISTANCE) -> list[float]:
    """Move places as little as needed so that neighbours are a distance apart.

    Args:
        places: Rising.
        distance: The least one between two places.
    """
    # Groups of labels that touch are centred on the places they belong to.
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while (
            len(groups) > 1
            and _first(groups[-1], distance) < _last(groups[-2], distance) + distance
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_first(group, distance) + i * distance for group in groups for i in range(len(group))]


def mark_epochs(axes: Axes, *, last_epoch: int) -> None:
    """Whole epochs on the horizontal axis, from 0, and what they are.

    Args:
        axes: Where.
        last_epoch: The last one that there is.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epochs of training (0: before training)")
    margin = 0.02 * max(last_epoch, 1)
    axes.set_xlim(-margin, max(last_epoch, 1) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))


def _first(group: Sequence[float], distance: float) -> float:
    return math.fsum(group) / len(group) - distance * (len(group) - 1) / 2


def _last(group: Sequence[float], distance: float) -> float:
    return math.fsum(group) / len(group) + distance * (len(group) - 1) / 2
