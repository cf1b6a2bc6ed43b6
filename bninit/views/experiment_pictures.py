"""Curves of an experiment's arms over the epochs, as small pictures for a page."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from bninit.analysis.accounts import ExperimentAccount
from bninit.config import StudyArm
from bninit.config.labels import value_label
from bninit.views.arm_looks import PLACEMENT, arm_label, colour_class, panel_styles
from bninit.views.claim_panels import WIDTH
from bninit.views.palette import ArmStyle
from bninit.views.svg import Drawing, Scale, dash_of, scale_over

if TYPE_CHECKING:
    import pandas as pd

MOST_IN_A_PANEL = 7
"""Arms that can be told apart in one panel; as many as there are colours."""

_HEIGHT = 170.0
_LEFT = 44.0
_NARROW = 264.0
_TITLES = {"val_accuracy": "Validation accuracy (%)", "train_loss": "Training loss (nats)"}


@dataclass(frozen=True)
class Swatch:
    """An arm in a legend.

    Attributes:
        svg: A piece of its line with its mark.
        label: Its label.
    """

    svg: str
    label: str


@dataclass(frozen=True)
class Panel:
    """One picture of curves.

    Attributes:
        title: What it shows, or of which arms.
        svg: As markup.
        legend: Its arms; empty where one legend stands for all panels.
    """

    title: str
    svg: str
    legend: tuple[Swatch, ...]


@dataclass(frozen=True)
class ExperimentPictures:
    """The pictures of an experiment.

    Attributes:
        title: What all panels show; empty where each has a title of its own.
        legend: Of all panels; empty where each has one of its own.
        panels: Curves.
        swatches: Of each arm, by arm id, with its whole label.
    """

    title: str
    legend: tuple[Swatch, ...]
    panels: tuple[Panel, ...]
    swatches: Mapping[str, Swatch]


def draw_experiment(
    account: ExperimentAccount, *, colours: Mapping[str, str]
) -> ExperimentPictures:
    """Draws the curves of an experiment.

    With few arms, accuracy and loss, a panel each; with many, the accuracy alone, in panels by
    the values of an axis or two.

    Args:
        account: What became of the experiment.
        colours: Of each arm in the whole report, by arm id.
    """
    groups = panel_groups([each.arm for each in account.arms])
    styles = [panel_styles(arms, colours=colours) for _, arms in groups]
    swatches = {
        arm.id: _swatch(looks[arm.id], label=arm_label(arm))
        for (_, arms), looks in zip(groups, styles, strict=True)
        for arm in arms
    }
    if not account.curves:
        return ExperimentPictures(title="", legend=(), panels=(), swatches=swatches)
    legends = [
        tuple(_swatch(looks[arm.id], label=arm_label(arm, without=axes)) for arm in arms)
        for (axes, arms), looks in zip(groups, styles, strict=True)
    ]
    shared = legends[0] if all(legend == legends[0] for legend in legends) else ()
    lost = {
        each.arm.id
        for each in account.arms
        if each.summary and each.summary.num_diverged == each.summary.num_runs
    }
    columns = ("val_accuracy", "train_loss") if len(groups) == 1 else ("val_accuracy",)
    panels = []
    for column in columns:
        table = account.curves[column]
        scale = _value_scale(table, percent=column == "val_accuracy")
        for number, (axes, arms) in enumerate(groups):
            svg = _curves(
                table,
                arms,
                column=column,
                scale=scale,
                styles=styles[number],
                width=WIDTH if len(groups) == 1 else _NARROW,
                without=axes,
                lost=lost,
            )
            name = ", ".join(_name(arms[0], key) for key in axes)
            title = name if len(groups) > 1 else _TITLES[column]
            panels.append(Panel(title, svg, () if shared else legends[number]))
    return ExperimentPictures(
        title=_TITLES["val_accuracy"] if len(groups) > 1 else "",
        legend=shared,
        panels=tuple(panels),
        swatches=swatches,
    )


def _swatch(style: ArmStyle, *, label: str) -> Swatch:
    drawing = Drawing(30)
    drawing.height = 12
    kind = colour_class(style.colour)
    drawing.path([(1, 6), (29, 6)], kind=f"curve {kind}", dash=dash_of(style.line_style))
    drawing.mark(style.marker, 15, 6, size=3.4, kind=f"dot {kind}")
    return Swatch(svg=drawing.markup(), label=label)


def panel_groups(arms: Sequence[StudyArm]) -> list[tuple[tuple[str, ...], list[StudyArm]]]:
    """Arms by panel, none of them with more than `MOST_IN_A_PANEL`.

    Panels are by the values of one axis, or two, rather not of the placement, so that arms with
    and without batch norm stand beside each other; of all such ways the one with fewest panels.

    Args:
        arms: Of one experiment.

    Returns:
        For each panel the axes whose values its arms share, and the arms.
    """
    if len(arms) <= MOST_IN_A_PANEL:
        return [((), list(arms))]
    ways = []
    axes = list(arms[0].values)
    for keys in (*((key,) for key in axes), *combinations(axes, 2)):
        parts: dict[tuple[str, ...], list[StudyArm]] = {}
        for arm in arms:
            parts.setdefault(tuple(value_label(arm.values[key]) for key in keys), []).append(arm)
        if max(map(len, parts.values())) <= MOST_IN_A_PANEL:
            ways.append((PLACEMENT in keys, len(parts), keys, list(parts.values())))
    if ways:
        _, _, keys, found = min(ways, key=lambda way: way[:2])
        return [(keys, part) for part in found]
    num_panels = math.ceil(len(arms) / MOST_IN_A_PANEL)
    size = math.ceil(len(arms) / num_panels)
    return [((), list(arms[start : start + size])) for start in range(0, len(arms), size)]


def _name(arm: StudyArm, key: str) -> str:
    return arm_label(arm, without=[other for other in arm.values if other != key])


def _value_scale(table: pd.DataFrame, *, percent: bool) -> Scale:
    """From the first epoch on: before training all arms are at chance."""
    seen = table[table["epoch"] >= min(1, int(table["epoch"].max()))]
    factor = 100 if percent else 1
    values = [value * factor for value in (*seen["low"], *seen["high"])]
    if not percent and values:
        # One arm that goes astray would press all others onto the axis.
        values = [min(value, 4.0) for value in values]
    return scale_over(values, start=_HEIGHT - 8, end=10, pad=0.04)


def _curves(
    table: pd.DataFrame,
    arms: Sequence[StudyArm],
    *,
    column: str,
    scale: Scale,
    styles: Mapping[str, ArmStyle],
    width: float,
    without: Sequence[str],
    lost: Collection[str],
) -> str:
    factor = 100 if column == "val_accuracy" else 1
    drawing = Drawing(width)
    last = max(int(table["epoch"].max()), 1)
    along = Scale(min(1, last - 1), last, _LEFT, width - 12)
    drawing.axis_left(_LEFT, scale, width=along.end - _LEFT)
    num_told = 0
    told = []
    for arm in arms:
        style = styles[arm.id]
        own = table[(table["arm"] == arm.id) & (table["epoch"] >= along.low)]
        if arm.id in lost:
            num_told += 1
            text = f"{arm_label(arm, without=without)}: diverged"
            drawing.text(along.start + 6, 10 + 14 * num_told, text, kind="tick")
        if own.empty:
            continue
        xs = [along(epoch) for epoch in own["epoch"]]
        low, mean, high = (
            [scale(value * factor) for value in own[name]] for name in ("low", "median", "high")
        )
        drawing.path(
            [*zip(xs, low, strict=True), *zip(xs[::-1], high[::-1], strict=True)],
            kind=f"{colour_class(style.colour)} area",
        )
        points = list(zip(xs, mean, strict=True))
        drawing.path(
            points, kind=f"curve {colour_class(style.colour)}", dash=dash_of(style.line_style)
        )
        for x, y in points[:: max(1, len(points) // 8)]:
            drawing.mark(style.marker, x, y, size=3.2, kind=f"dot {colour_class(style.colour)}")
        end = float(own["median"].iloc[-1]) * factor
        told.append(f"{arm_label(arm)} {end:.2f}")
    drawing.height = drawing.axis_below(_HEIGHT, along, label="epochs of training", whole=True)
    alt = f"{_TITLES[column]} over {last} epochs, median over the seeds; at the end: "
    return drawing.markup(alt=alt + "; ".join(told))
