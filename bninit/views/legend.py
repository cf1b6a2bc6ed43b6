"""The legend of curves, and the looks that it explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bninit.analysis.spread import last_before_divergence
from bninit.views import text
from bninit.views.palette import GUIDE_COLOUR, ArmStyle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

BAND_OPACITY = 0.18
MAX_EPOCHS_WITH_DOTS = 15
TRAINING = (0, (2.5, 1.5))
CROSS: dict[str, Any] = {
    "linestyle": "",
    "marker": "x",
    "markersize": 9,
    "markeredgewidth": 2.2,
}


def marker_of(arms: Mapping[str, pd.DataFrame], style: ArmStyle) -> str:
    """The marker on an arm's line: its own among several arms, dots on few epochs, or none."""
    if len(arms) > 1:
        return style.marker
    num_epochs = max(rows["epoch"].max() for rows in arms.values())
    return "o" if num_epochs <= MAX_EPOCHS_WITH_DOTS else ""


def add_legend(
    figure: Figure, arms: Mapping[str, pd.DataFrame], styles: Mapping[str, ArmStyle]
) -> None:
    """Tells, below the panels, arms in the first rows and kinds of lines in the last."""
    from matplotlib.lines import Line2D

    if not arms:
        return
    by_arm = _arm_handles(arms, styles) if len(arms) > 1 else []
    kinds = _kind_handles(arms, styles)
    num_columns = min(4, max(len(by_arm), len(kinds)))
    cells: list[Artist] = []
    for group in (by_arm, kinds):
        padding = [Line2D([], [], linestyle="", label=" ")] * (-len(group) % num_columns)
        cells += [*group, *padding]
    # matplotlib fills a legend column by column.
    ordered = [cell for column in range(num_columns) for cell in cells[column::num_columns]]
    figure.legend(handles=ordered, loc="outside lower center", ncols=num_columns)


def _arm_handles(arms: Mapping[str, pd.DataFrame], styles: Mapping[str, ArmStyle]) -> list[Artist]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            *([], []),
            color=styles[label].colour,
            marker=styles[label].marker,
            label=f"{label} ({text.plural(rows['seed'].nunique(), 'seed')})",
        )
        for label, rows in arms.items()
    ]


def _kind_handles(arms: Mapping[str, pd.DataFrame], styles: Mapping[str, ArmStyle]) -> list[Artist]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    num_seeds = [rows["seed"].nunique() for rows in arms.values()]
    several = max(num_seeds) > 1
    colour, marker, of_seeds = GUIDE_COLOUR, "", "median of the seeds"
    if len(arms) == 1:
        style = next(iter(styles[label] for label in arms))
        colour, marker = style.colour, marker_of(arms, style)
        of_seeds = f"median of {num_seeds[0]} seeds"
    said = of_seeds if several else "one seed"
    handles: list[Artist] = [
        Line2D([], [], color=colour, marker=marker, label=f"validation, {said}"),
        Line2D([], [], color=colour, linestyle=TRAINING, label=f"training, {said}"),
    ]
    if several:
        band = Patch(color=colour, alpha=BAND_OPACITY, linewidth=0, label="lowest to highest seed")
        handles.append(band)
    num_diverged = sum(len(last_before_divergence(rows)) for rows in arms.values())
    if num_diverged:
        what = f"diverged after this epoch: {text.of(num_diverged, sum(num_seeds))}"
        handles.append(Line2D([], [], color=colour, label=what, **CROSS))
    return handles
