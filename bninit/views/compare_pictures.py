"""Pictures of a comparison: curves and time to each target; differences see their own module."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bninit.analysis.comparison import ArmAtTarget, Comparison
from bninit.views import text
from bninit.views.compare_text import (
    join,
    reached_text,
)
from bninit.views.curves import curves_png
from bninit.views.difference_picture import differences_figure
from bninit.views.palette import ArmStyle, assign_styles, picture_style

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


def _times_label(at: ArmAtTarget) -> str:
    said = f"{reached_text(at)} reached it"
    median = at.medians["epochs_to_accuracy"]
    return said if median is None else f"{said}, median {text.count(median)}"


def _png(draw: Callable[[], Figure]) -> bytes:
    buffer = io.BytesIO()
    with picture_style():
        draw().savefig(buffer, format="png")
    return buffer.getvalue()
