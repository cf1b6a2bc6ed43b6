"""How arms look in every picture, and how every picture looks.

An arm is told by its colour and, for those who do not see the colour or print without it, by its
line style and marker. Colours are those of Okabe & Ito (2008, "Color Universal Design", revised;
also Wong 2011, Nature Methods 8:441), which stay apart in all common forms of colour blindness.
Their yellow is left out: on white it is hardly seen (contrast 1.3 to 1).
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bninit.arms import arm_labels
from bninit.show import words as text
from bninit.stats import ARM_COLUMNS, bands, finite_rows, last_before_divergence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
BLUISH_GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
REDDISH_PURPLE: Final = "#CC79A7"

COLOURS: Final = (BLACK, BLUE, VERMILLION, ORANGE, SKY_BLUE, BLUISH_GREEN, REDDISH_PURPLE)
"""All colours; the first three are the anchors of the placements."""

PLACEMENT_COLOURS: Final[Mapping[str, str]] = {"none": BLACK, "pre": BLUE, "post": VERMILLION}
"""An arm that is the first of its placement in a set of arms has this colour."""

LINE_STYLES: Final[tuple[Any, ...]] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")

GUIDE_COLOUR: Final = "#707070"
"""Of targets, reference lines and remarks: grey, contrast 4.9 to 1 on white."""

STYLE: Final[Mapping[str, Any]] = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "figure.facecolor": "white",
    "figure.titlesize": 13,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "text.parse_math": False,
}
"""Settings of matplotlib for all pictures, on top of its own defaults."""


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn.

    Attributes:
        colour: As ``#RRGGBB``.
        line_style: As matplotlib takes it.
        marker: As matplotlib takes it.
    """

    colour: str
    line_style: Any
    marker: str


def assign_styles(
    arms: Sequence[str], *, placements: Mapping[str, str] | None = None
) -> dict[str, ArmStyle]:
    """Give each arm a look of its own.

    The first arm of each placement has that placement's colour; the others take the free colours
    in order. Line style and marker go by the arm's place in the list, so that two arms differ in
    these too. From the eighth arm on colours come again, with another line style: the looks of up
    to 35 arms differ.

    To have an arm look the same in all pictures of a study, call this once, with all of its arms
    in the study's order, and hand on the result.

    Args:
        arms: Labels or ids, all different.
        placements: ``none``, ``pre`` or ``post`` of each arm, where it is known.

    Raises:
        ValueError: An arm is named twice.
    """
    if len(set(arms)) != len(arms):
        raise ValueError(f"an arm is named twice: {list(arms)}")
    placements = placements or {}
    colours: dict[str, str] = {}
    for arm in arms:
        anchor = PLACEMENT_COLOURS.get(placements.get(arm, ""))
        if anchor is not None and anchor not in colours.values():
            colours[arm] = anchor
    # Anchors come last for arms without one, so that blue rarely means anything but `pre`.
    spare = [*COLOURS[3:], *COLOURS[:3]] if colours else list(COLOURS)
    free = [colour for colour in spare if colour not in colours.values()]
    rest = (arm for arm in arms if arm not in colours)
    colours |= dict(zip(rest, chain(free, cycle(COLOURS)), strict=False))
    styles: dict[str, ArmStyle] = {}
    taken: set[tuple[str, int]] = set()
    for i, arm in enumerate(arms):
        first = i % len(LINE_STYLES)
        order = [(first + step) % len(LINE_STYLES) for step in range(len(LINE_STYLES))]
        line = next((line for line in order if (colours[arm], line) not in taken), first)
        taken.add((colours[arm], line))
        styles[arm] = ArmStyle(colours[arm], LINE_STYLES[line], MARKERS[i % len(MARKERS)])
    return styles


@contextmanager
def picture_style() -> Iterator[None]:
    """Draw with these settings, whatever the caller's are; afterwards the caller's hold again.

    matplotlib reads its settings while figures are made and while they are written: both belong
    into the context. Figures are made with `matplotlib.figure.Figure`, without pyplot, so that
    neither the caller's backend nor the caller's current figure is touched.
    """
    from matplotlib import style

    with style.context(["default", dict(STYLE)]):
        yield


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
    from bninit.store.files import write_bytes

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
        styles: Looks by arm label (`bninit.arms.arm_labels`); by order if not given.
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
