"""Loss and accuracy over the epochs, with their spread over seeds and the targets."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bninit.analysis.arms import arm_labels
from bninit.analysis.spread import ARM_COLUMNS, bands, finite_rows, last_before_divergence
from bninit.views import text
from bninit.views.axes import accuracy_bottom, label_lines, loss_limits, mark_epochs, set_log_scale
from bninit.views.legend import (
    BAND_OPACITY,
    CROSS,
    MAX_EPOCHS_WITH_DOTS,
    TRAINING,
    add_legend,
    marker_of,
)
from bninit.views.palette import GUIDE_COLOUR, ArmStyle, assign_styles, picture_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GUESSING = (0, (1, 2))

NUM_CLASSES = 10
"""Of all data sets; an untrained network guesses one of them, with a loss of about ln 10."""


def draw_curves(
    rows: pd.DataFrame,
    *,
    targets: Sequence[float],
    title: str,
    path: Path,
    styles: Mapping[str, ArmStyle] | None = None,
) -> None:
    """Write a picture of loss and accuracy; see `curves_figure`.

    Args:
        rows: One row per network and epoch.
        targets: Validation accuracies in (0, 1].
        title: What the picture shows, in words.
        path: The PNG file; it appears whole or not at all.
        styles: Looks by arm label.

    Raises:
        StoreError: The file cannot be written.
    """
    from bninit.store.atomic import write_bytes

    write_bytes(path, curves_png(rows, targets=targets, title=title, styles=styles))


def curves_png(
    rows: pd.DataFrame,
    *,
    targets: Sequence[float],
    title: str,
    styles: Mapping[str, ArmStyle] | None = None,
) -> bytes:
    """Return the picture as the content of a PNG file; see `curves_figure`."""
    buffer = io.BytesIO()
    with picture_style():
        figure = curves_figure(rows, targets=targets, title=title, styles=styles)
        figure.savefig(buffer, format="png", metadata={"Title": title})
    return buffer.getvalue()


def curves_figure(
    rows: pd.DataFrame,
    *,
    targets: Sequence[float],
    title: str,
    styles: Mapping[str, ArmStyle] | None = None,
) -> Figure:
    """Draw the loss on the left and the validation accuracy on the right.

    A line is the median over the seeds of an arm, its band goes from the lowest to the highest. A
    network that diverges is in both up to its last finite epoch, which a cross marks.

    Args:
        rows: One row per network and epoch, with the columns name, arm, seed, epoch, train_loss,
            val_loss and val_accuracy, and status where it is known.
        targets: Validation accuracies in (0, 1].
        title: What the picture shows, in words.
        styles: Looks by arm label (`bninit.analysis.arms.arm_labels`); by order if not given.
    """
    from matplotlib.figure import Figure

    with picture_style():
        figure = Figure(figsize=(10.5, 4.9), layout="constrained")
        left, right = figure.subplots(1, 2)
        figure.suptitle(
            textwrap.fill(title, 100), x=0.01, horizontalalignment="left", weight="bold"
        )
        arms = _arms(rows)
        if styles is None:
            styles = assign_styles(list(arms))
        _loss_panel(left, arms, styles)
        _accuracy_panel(right, arms, styles, targets)
        last = int(rows["epoch"].max()) if len(rows) else 0
        for axes in (left, right):
            mark_epochs(axes, last_epoch=last)
        add_legend(figure, arms, styles)
    return figure


def _arms(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each arm by its label, in the order of first appearance."""
    parts = [
        ((str(name), str(arm)), part)
        for (name, arm), part in rows.groupby(list(ARM_COLUMNS), sort=False)
    ]
    labels = arm_labels([key for key, _ in parts])
    return {labels[key]: part for key, part in parts}


def _loss_panel(
    axes: Axes, arms: Mapping[str, pd.DataFrame], styles: Mapping[str, ArmStyle]
) -> None:
    axes.set_title("Loss: lower is better")
    shown = []
    for label, rows in arms.items():
        finite = finite_rows(rows)
        shown += [*finite["train_loss"], *finite["val_loss"]]
        style = styles[label]
        _line(axes, bands(rows, "train_loss"), style, line_style=TRAINING, marker="")
        _line(axes, bands(rows, "val_loss"), style, line_style="-", marker=marker_of(arms, style))
    low, high, is_log = loss_limits(shown)
    if is_log:
        set_log_scale(axes, num_decades=math.log10(high / low))
    axes.set_ylim(low, high)
    _crosses(axes, arms, "val_loss", styles)
    unit = "nats, log scale" if is_log else "nats"
    axes.set_ylabel(f"mean cross-entropy per image ({unit})")
    guessing = math.log(NUM_CLASSES)
    if low < guessing < high:
        label_lines(axes, {guessing: "guessing"}, line_style=_GUESSING)
    if not shown:
        _say_nothing(axes)


def _accuracy_panel(
    axes: Axes,
    arms: Mapping[str, pd.DataFrame],
    styles: Mapping[str, ArmStyle],
    targets: Sequence[float],
) -> None:
    axes.set_title("Validation accuracy: higher is better")
    axes.set_ylabel("validation images classified correctly (%)")
    axes.yaxis.set_major_formatter("{x:g}")
    all_bands = {label: _in_percent(bands(rows, "val_accuracy")) for label, rows in arms.items()}
    bottom = accuracy_bottom(list(all_bands.values()), targets=targets)
    for label, band in all_bands.items():
        style = styles[label]
        _line(axes, band, style, line_style="-", marker=marker_of(arms, style))
    axes.set_ylim(bottom, 100 + 0.02 * (100 - bottom))
    _crosses(axes, arms, "val_accuracy", styles, factor=100)
    guides = {100 * target: f"target {text.target_percent(target)}" for target in targets}
    label_lines(axes, guides, line_style="-")
    if bottom == 0:
        label_lines(axes, {100 / NUM_CLASSES: "guessing"}, line_style=_GUESSING)
    else:
        remark = axes.text(
            *(0.98, 0.03, _remark_on_axis(all_bands, bottom)),
            transform=axes.transAxes,
            horizontalalignment="right",
            fontsize=8.5,
            color=GUIDE_COLOUR,
            zorder=4,
            bbox={"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 2},
        )
        remark.set_in_layout(False)
    if not any(len(band) for band in all_bands.values()):
        _say_nothing(axes)


def _line(axes: Axes, band: pd.DataFrame, style: ArmStyle, *, line_style: Any, marker: str) -> None:
    if band.empty:
        return
    num_epochs = len(band)
    if marker == "" and num_epochs == 1:
        marker = "o"
    axes.plot(
        band["epoch"],
        band["median"],
        color=style.colour,
        linestyle=line_style,
        marker=marker,
        markevery=max(1, num_epochs // MAX_EPOCHS_WITH_DOTS),
    )
    if (band["n"] > 1).any():
        axes.fill_between(
            band["epoch"],
            band["low"],
            band["high"],
            color=style.colour,
            alpha=BAND_OPACITY,
            linewidth=0,
        )


def _crosses(
    axes: Axes,
    arms: Mapping[str, pd.DataFrame],
    column: str,
    styles: Mapping[str, ArmStyle],
    *,
    factor: float = 1,
) -> None:
    """Marks where networks were last seen, at the edge where that is off the axis."""
    low, high = axes.get_ylim()
    for label, rows in arms.items():
        last = last_before_divergence(rows)
        if len(last):
            axes.plot(
                last["epoch"],
                (last[column] * factor).clip(low, high),
                color=styles[label].colour,
                clip_on=False,
                zorder=5,
                **CROSS,
            )


def _in_percent(band: pd.DataFrame) -> pd.DataFrame:
    return band.assign(**{column: 100 * band[column] for column in ("median", "low", "high")})


def _remark_on_axis(all_bands: Mapping[str, pd.DataFrame], bottom: float) -> str:
    """Says what the axis hides."""
    below = [
        (int(epoch), float(low))
        for band in all_bands.values()
        for epoch, low in zip(band["epoch"], band["low"], strict=True)
        if low < bottom
    ]
    said = f"Axis begins at {bottom:g} %."
    if not below:
        return said
    last, lowest = max(epoch for epoch, _ in below), min(low for _, low in below)
    if last == 0:
        return f"{said}\nBelow it: epoch 0 ({lowest:.1f} %)."
    return f"{said}\nBelow it: up to epoch {last}\n(from {lowest:.1f} %)."


def _say_nothing(axes: Axes) -> None:
    axes.text(
        0.5, 0.5, "nothing finite on record", transform=axes.transAxes, ha="center", va="center"
    )
