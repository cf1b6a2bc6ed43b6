"""Pictures of a comparison: curves and time to each target; differences see their own module."""

from __future__ import annotations

import io
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bninit.arms import TargetSummary
from bninit.metrics import Metric
from bninit.show import words as text
from bninit.show.old_charts import (
    GUIDE_COLOUR,
    ArmStyle,
    assign_styles,
    curves_png,
    picture_style,
)
from bninit.verbs.compare.compare import Comparison, Difference
from bninit.verbs.compare.tables import (
    difference_text,
    direction_word,
    interval_level,
    interval_text,
    join,
    metric_title,
    reached_text,
    shown_differences,
    unit_of_difference,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMED = 6
_WIDEST_LINE = 3.5


def pictures(comparison: Comparison) -> dict[str, bytes]:
    """Draw all pictures of a comparison.

    Returns:
        The content of PNG files by their names.
    """
    styles = styles_of(comparison)
    named = [arm.label for arm in comparison.arms[:_MOST_NAMED]]
    if len(comparison.arms) > _MOST_NAMED:
        named.append(f"{len(comparison.arms) - _MOST_NAMED} more")
    found = {
        "curves.png": curves_png(
            comparison.epochs,
            targets=comparison.targets,
            title=f"Training of {join(named)}",
            styles=styles,
        )
    }
    if comparison.targets:
        found["time_to_accuracy.png"] = _png(lambda: times_figure(comparison, styles=styles))
    found["differences.png"] = _png(lambda: differences_figure(comparison, styles=styles))
    return found


def styles_of(comparison: Comparison) -> dict[str, ArmStyle]:
    """The looks of the arms, the same in all pictures."""
    arms = comparison.arms
    return assign_styles(
        [arm.label for arm in arms], placements={arm.label: arm.placement for arm in arms}
    )


def times_figure(comparison: Comparison, *, styles: Mapping[str, ArmStyle]) -> Figure:
    """Draw, for each target, the share of networks that have reached it by each epoch.

    Args:
        comparison: With at least one target.
        styles: Looks by arm label.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    num_columns = min(3, len(comparison.targets))
    num_rows = -(-len(comparison.targets) // num_columns)
    height = num_rows * (3.3 + 0.24 * len(comparison.arms)) + 0.6
    with picture_style():
        figure = Figure(figsize=(4.1 * num_columns + 0.3, height), layout="constrained")
        figure.suptitle(
            "Time to each validation accuracy: the earlier a line rises, the better",
            x=0.01,
            horizontalalignment="left",
            weight="bold",
            wrap=True,
        )
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for spare in grid.flat[len(comparison.targets) :]:
            spare.remove()
        for place, target in enumerate(comparison.targets):
            axes = grid.flat[place]
            _times_panel(axes, comparison, place, styles)
            axes.set_title(f"{text.target_percent(target)} validation accuracy")
            axes.set_xlabel("epochs of training")
            axes.set_ylim(-3, 103)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
            if place % num_columns == 0:
                axes.set_ylabel("networks that have reached it (%)")
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), handlelength=4)
    return figure


def _times_panel(
    axes: Axes, comparison: Comparison, place: int, styles: Mapping[str, ArmStyle]
) -> None:
    num_arms = len(comparison.arms)
    for i, arm in enumerate(comparison.arms):
        at = arm.targets[place]
        epochs = [0.0, *at.curve.times.tolist(), float(at.watched_epochs)]
        shares = [0.0, *at.curve.share.tolist()]
        style = styles[arm.label]
        # Lines that lie on each other all show: the later ones are thinner.
        axes.plot(
            epochs,
            [100 * share for share in (*shares, shares[-1])],
            drawstyle="steps-post",
            color=style.colour,
            linestyle=style.line_style,
            linewidth=_WIDEST_LINE - (_WIDEST_LINE - 1.6) * i / (num_arms - 1),
            label=f"{arm.label}: {_times_label(at)}",
            solid_capstyle="butt",
        )


def _times_label(at: TargetSummary) -> str:
    said = f"{reached_text(at)} reached it"
    median = at.medians["epochs_to_accuracy"]
    return said if median is None else f"{said}, median {text.count(median)}"


def _png(draw: Callable[[], Figure]) -> bytes:
    buffer = io.BytesIO()
    with picture_style():
        draw().savefig(buffer, format="png")
    return buffer.getvalue()


_OFF_SCALE = 15
"""An arm whose difference is so many times that of the middle arm does not squeeze the others."""

_MOST_WITH_NUMBERS = 20
_LONGEST_BESIDE = 24
"""With longer names, panels stand below each other."""


def differences_figure(comparison: Comparison, *, styles: Mapping[str, ArmStyle]) -> Figure:
    """Draw each arm's paired difference from the baseline with its interval, metric by metric.

    Args:
        comparison: Any.
        styles: Looks by arm label.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shown = shown_differences(comparison)
    num_columns = 2 if max(len(arm.label) for arm in comparison.arms) <= _LONGEST_BESIDE else 1
    num_rows = -(-len(shown) // num_columns)
    num_arms = len(comparison.arms) - 1
    row_height = 0.33 if num_arms <= 12 else 0.22
    height = num_rows * (1.2 + row_height * num_arms) + 1.1
    with picture_style():
        engine = ConstrainedLayoutEngine(w_pad=0.12, hspace=0.06)
        figure = Figure(figsize=(12.5, height), layout=engine)
        figure.suptitle(
            f"Difference from {comparison.baseline}, pair by pair with the same seed",
            x=0.01,
            horizontalalignment="left",
            weight="bold",
        )
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for spare in grid.flat[len(shown) :]:
            spare.remove()
        for place, (metric, target, differences) in enumerate(shown):
            axes = grid.flat[place]
            _differences_panel(axes, differences, styles, baseline=comparison.baseline)
            axes.set_title(_first_upper(metric_title(metric, target)))
            axes.tick_params(axis="y", length=0)
        figure.supxlabel(
            textwrap.fill(_how_to_read(comparison, shown), 150),
            x=0.01,
            horizontalalignment="left",
            fontsize=9,
            color=GUIDE_COLOUR,
        )
    return figure


def _how_to_read(comparison: Comparison, shown: Sequence[tuple[Metric, Any, Any]]) -> str:
    together = ""
    if len(comparison.arms) > 2:
        together = "; those of one panel hold together"
    said = (
        f"Dot: mean over the seeds of arm minus {comparison.baseline}. "
        f"Bar: {interval_level(comparison)} interval{together}. "
        "Filled dot: the bar does not touch zero. Empty dot: it does, or there is no bar."
    )
    every = [difference for *_, part in shown for difference in part]
    if any(d.is_median and d.estimate.effect is not None for d in every):
        said += " Square: median, where networks diverged."
    if any(d.open_end for d in every):
        said += " Arrow: or further, as some networks never got there."
    return said


def _differences_panel(
    axes: Axes, differences: Sequence[Difference], styles: Mapping[str, ArmStyle], *, baseline: str
) -> None:
    metric = differences[0].metric
    limit = _limit(differences)
    low = min([0.0, *(max(x, -limit) for d in differences for x in _numbers(d))])
    high = max([0.0, *(min(x, limit) for d in differences for x in _numbers(d))])
    margin = 0.08 * (high - low) or 1.0
    scale = metric.scale
    axes.set_xlim((low - margin) * scale, (high + margin) * scale)
    axes.locator_params(axis="x", nbins=6)
    axes.axvline(0, color=GUIDE_COLOUR, linewidth=1.2, zorder=1)
    axes.grid(visible=False, axis="y")
    rows = range(len(differences))
    axes.set_yticks(rows, [difference.arm for difference in differences])
    axes.set_ylim(len(differences) - 0.4, -0.6)
    for row, difference in zip(rows, differences, strict=True):
        _dot(axes, row, difference, styles[difference.arm], limit=limit)
        if len(differences) <= _MOST_WITH_NUMBERS:
            _add_numbers(axes, row, difference)
    unit = unit_of_difference(metric)
    if metric.better is None:
        axes.set_xlabel(f"difference from {baseline} ({unit})")
        return
    sides = [direction_word(metric, "better"), direction_word(metric, "worse")]
    left, right = sides if metric.better == "low" else reversed(sides)
    in_unit = f" ({unit})" if unit else ""
    axes.set_xlabel(f"← {left}    difference from {baseline}{in_unit}    {right} →")


def _add_numbers(axes: Axes, row: int, difference: Difference) -> None:
    """Writes what the dot and its bar show, right of the axes."""
    said, interval = difference_text(difference), interval_text(difference)
    axes.annotate(
        said if interval == text.MISSING else f"{said}  ({interval})",
        xy=(1.02, row),
        xycoords=axes.get_yaxis_transform(),
        verticalalignment="center",
        fontsize=8.5,
        annotation_clip=False,
    )


def _dot(axes: Axes, row: int, difference: Difference, style: ArmStyle, *, limit: float) -> None:
    estimate, scale = difference.estimate, difference.metric.scale
    ends = axes.get_xlim()
    colour = style.colour
    if estimate.low is not None or estimate.high is not None:
        bar = [
            ends[i] if end is None else min(max(end * scale, ends[0]), ends[1])
            for i, end in enumerate((estimate.low, estimate.high))
        ]
        axes.plot(bar, [row, row], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
        if difference.open_end is not None:
            end, marker = (bar[1], ">") if difference.open_end == "high" else (bar[0], "<")
            axes.plot([end], [row], linestyle="", marker=marker, markersize=5, color=colour)
    at = estimate.effect
    if at is None:
        return
    off_scale = abs(at) > limit
    inside = max(-limit, min(limit, at))
    marker = ("<" if at < 0 else ">") if off_scale else ("s" if difference.is_median else "o")
    decided = difference.reading in ("better", "worse")
    axes.plot(
        [inside * scale],
        [row],
        linestyle="",
        marker=marker,
        markersize=7,
        markerfacecolor=colour if decided else "white",
        markeredgecolor=colour,
        markeredgewidth=1.6,
        zorder=3,
    )
    if off_scale:
        axes.annotate(
            "off the scale",
            xy=(inside * scale, row),
            xytext=(9 if at < 0 else -9, 0),
            textcoords="offset points",
            verticalalignment="center",
            horizontalalignment="left" if at < 0 else "right",
            fontsize=8.5,
            color=colour,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
        )


def _limit(differences: Sequence[Difference]) -> float:
    """The largest difference from zero that the axis shows."""
    reaches = [max(map(abs, numbers)) for d in differences if (numbers := _numbers(d))]
    if not reaches:
        return 1.0
    middle = statistics.median_low(reaches)
    return max(reach for reach in reaches if reach <= _OFF_SCALE * middle)


def _numbers(difference: Difference) -> list[float]:
    estimate = difference.estimate
    return [x for x in (estimate.low, estimate.effect, estimate.high) if x is not None]


def _first_upper(said: str) -> str:
    return said[:1].upper() + said[1:]
