"""How a study's arms and the sides of its claims look on a page, and what they are called there."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bninit.config.identity import value_label
from bninit.show import words as text
from bninit.show.old_charts import (
    BLUISH_GREEN,
    COLOURS,
    LINE_STYLES,
    PLACEMENT_COLOURS,
    REDDISH_PURPLE,
    ArmStyle,
    assign_styles,
)
from bninit.stats import Floats, ReachedCurve, reached_curve
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.decide import Contrast, Kind, Side, Verdict
from bninit.verbs.study.evidence import ExperimentSummary
from bninit.verbs.study.expand import StudyArm
from bninit.verbs.study.words import PLACEMENTS, axis_name

if TYPE_CHECKING:
    import pandas as pd

PLACEMENT = "model.norm.placement"


@dataclass(frozen=True)
class Look:
    """How one side of a claim is drawn.

    Attributes:
        kind: Class of its colour in the style sheet.
        marker: As in `palette.MARKERS`.
    """

    kind: str
    marker: str


def colour_class(colour: str) -> str:
    """The style sheet's class for one of the palette's colours."""
    return f"c{COLOURS.index(colour)}"


def arm_colours(arms: Sequence[StudyArm]) -> dict[str, str]:
    """One colour for each arm in the whole report, by arm id.

    Where an experiment varies the placement, the colour tells the placement; elsewhere it tells
    the arm, as `palette.assign_styles` has it.
    """
    placements = {arm.id: arm.config.model.norm.placement for arm in arms}
    styles = assign_styles(list(placements), placements=placements)
    colours = {arm: style.colour for arm, style in styles.items()}
    for arm in arms:
        if PLACEMENT in arm.values:
            colours[arm.id] = PLACEMENT_COLOURS[placements[arm.id]]
    return colours


def panel_styles(arms: Sequence[StudyArm], *, colours: Mapping[str, str]) -> dict[str, ArmStyle]:
    """Line style and marker of each arm of one panel, by arm id; colours as given."""
    found = assign_styles([arm.id for arm in arms])
    return {arm: replace(style, colour=colours[arm]) for arm, style in found.items()}


def arm_label(arm: StudyArm, *, without: Sequence[str] = ()) -> str:
    """What sets an arm apart, in words: "no batch norm, learning rate 0.1".

    Args:
        arm: The arm.
        without: Axes, by dotted key, that the place where it stands tells already.
    """
    parts = []
    for key, value in arm.values.items():
        if key in without or value is None:
            continue
        label = value_label(value)
        if key == PLACEMENT:
            parts.append(PLACEMENTS[label])
        elif key == "model.norm.input":
            parts.append("batch norm on the input" if value else "no batch norm on the input")
        elif key.startswith("model.init") and key.count(".") == 1:
            parts.append(label)
        else:
            parts.append(f"{axis_name(key)} {label}")
    return ", ".join(parts) or arm.label


def side_looks(found: Contrast, *, colours: Mapping[str, str]) -> tuple[Look, Look]:
    """The looks of a claim's sides.

    Sides that differ in placement have its colours, and a side of one arm alone has the arm's;
    others have two colours that stand for no placement.
    """
    left = _placement(found.left)
    if found.right is None:
        colour = BLUISH_GREEN if left is None else PLACEMENT_COLOURS[left]
        if len(found.left.arms) == 1:
            colour = colours[found.left.arms[0].id]
        look = Look(colour_class(colour), "o")
        return look, look
    right = _placement(found.right)
    if left is None or right is None or left == right:
        return Look(colour_class(BLUISH_GREEN), "o"), Look(colour_class(REDDISH_PURPLE), "s")
    return (
        Look(colour_class(PLACEMENT_COLOURS[left]), "o"),
        Look(colour_class(PLACEMENT_COLOURS[right]), "s"),
    )


def _placement(side: Side) -> str | None:
    """The placement that all arms of a side share; None if they do not."""
    placements = {arm.config.model.norm.placement for arm in side.arms}
    return placements.pop() if len(placements) == 1 else None


CHARACTER = 6.1
"""Average width of a character at the font size of pictures (12), in a picture's units."""


@dataclass(frozen=True)
class Scale:
    """From numbers to places along one direction.

    Attributes:
        low: Number at `start`.
        high: Number at `end`, above `low`.
        start: Place of `low`, in a picture's units.
        end: Place of `high`.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a number; one beyond the ends is put at the end."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, at_most: int = 6, *, whole: bool = False) -> list[float]:
        """Round numbers from low to high: 1, 2 or 5 times a power of ten apart.

        Args:
            at_most: How many.
            whole: Whether they are whole numbers.
        """
        step = (self.high - self.low) / (at_most + 1)
        while True:
            step = _round_step(max(step, 1.0) if whole else step)
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            if last - first < at_most:
                return [index * step + 0.0 for index in range(first, last + 1)]
            step *= 1.01


def scale_over(
    values: Iterable[float | None], *, start: float, end: float, pad: float = 0.08
) -> Scale:
    """A scale on which all finite values lie, with some room at both ends.

    Args:
        values: None and what is not finite is passed over.
        start: Place of the lowest.
        end: Place of the highest.
        pad: Room at each end, as a fraction of the range.
    """
    kept = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min(kept, default=0.0), max(kept, default=1.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        room = abs(high) * 0.05 or 0.5
        low, high = low - room, high + room
    room = (high - low) * pad
    return Scale(low - room, high + room, start, end)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Ticks with as many decimals as tell them apart, and a true minus sign."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    num_decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    return [f"{tick:.{num_decimals}f}".replace("-", "\N{MINUS SIGN}") for tick in ticks]


class Drawing:
    """A picture that grows downwards.

    Args:
        width: In its own units, of which text is 12 high.

    Attributes:
        width: As given.
        height: Lower end so far; set it as you go.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = 0.0
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, *, kind: str) -> None:
        """Draws a straight line of a class."""
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, kind=kind)

    def rect(self, x: float, y: float, width: float, height: float, *, kind: str) -> None:
        """Draws a rectangle; nothing when it has no area."""
        if width > 0 and height > 0:
            self._add("rect", x=x, y=y, width=width, height=height, kind=kind)

    def path(self, points: Sequence[tuple[float, float]], *, kind: str, dash: str = "") -> None:
        """Draws a line through points; a polygon for kinds that end in ``area``."""
        if len(points) < 2:
            return
        steps = " L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        end = "Z" if kind.endswith("area") else ""
        dashes = {"stroke_dasharray": dash} if dash else {}
        self._add("path", d=f"M{steps}{end}", kind=kind, **dashes)

    def mark(self, shape: str, x: float, y: float, *, size: float, kind: str) -> None:
        """Draws a marker.

        Args:
            shape: As in `palette.MARKERS`; ``x`` is a cross of two strokes.
            x: Centre.
            y: Centre.
            size: Half its width.
            kind: Its classes.
        """
        if shape == "o":
            self._add("circle", cx=x, cy=y, r=size, kind=kind)
            return
        if shape == "x":
            a, b, c, d = _n(x - size), _n(x + size), _n(y - size), _n(y + size)
            self._add("path", d=f"M{a} {c} L{b} {d} M{a} {d} L{b} {c}", kind=kind)
            return
        steps = " L".join(f"{_n(x + size * dx)} {_n(y + size * dy)}" for dx, dy in _SHAPES[shape])
        self._add("path", d=f"M{steps}Z", kind=kind)

    def text(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> None:
        """Writes one line; `y` is its base line, `anchor` start, middle or end."""
        attributes = "" if anchor == "start" else f' text-anchor="{anchor}"'
        classes = f' class="{kind}"' if kind else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}"{attributes}{classes}>{escape(text)}</text>'
        )

    def lines(
        self, x: float, y: float, text: str, *, width: float, kind: str = "", leading: float = 14
    ) -> float:
        """Writes text in as many lines as it needs.

        Returns:
            The base line below the last one.
        """
        for line in textwrap.wrap(text, max(8, int(width / CHARACTER))) or [""]:
            self.text(x, y, line, kind=kind)
            y += leading
        return y

    def axis_below(
        self, y: float, scale: Scale, *, label: str, at_most: int = 6, whole: bool = False
    ) -> float:
        """Draws an axis with ticks and, below them, what it measures; `whole` as in `ticks`.

        Returns:
            The lower end of all that.
        """
        self.line(scale.start, y, scale.end, y, kind="axis")
        ticks = scale.ticks(at_most, whole=whole)
        for tick, name in zip(ticks, tick_labels(ticks), strict=True):
            self.line(scale(tick), y, scale(tick), y + 4, kind="axis")
            self.text(scale(tick), y + 16, name, kind="tick", anchor="middle")
        if not label:
            return y + 20
        # Set flush right, so that a long one stays within the picture.
        self.text(scale.end, y + 31, label, kind="label", anchor="end")
        return y + 36

    def axis_left(self, x: float, scale: Scale, *, width: float, percent: bool = False) -> None:
        """Draws tick labels to the left of `x` and thin lines across."""
        ticks = scale.ticks(6)
        for tick, name in zip(ticks, tick_labels(ticks), strict=True):
            self.line(x, scale(tick), x + width, scale(tick), kind="grid")
            self.text(
                x - 6, scale(tick) + 4, name + (" %" if percent else ""), kind="tick", anchor="end"
            )

    def markup(self, *, alt: str = "") -> str:
        """The whole picture as an ``svg`` element.

        Args:
            alt: What it shows, for those who do not see it; empty for an ornament.
        """
        size = f"0 0 {_n(self.width)} {_n(math.ceil(self.height))}"
        told = f'role="img" aria-label="{escape(alt)}"' if alt else 'aria-hidden="true"'
        return f'<svg viewBox="{size}" {told}>{"".join(self._parts)}</svg>'

    def _add(self, name: str, *, kind: str, **attributes: Any) -> None:
        written = "".join(
            f' {key.replace("_", "-")}="{_n(value) if isinstance(value, int | float) else value}"'
            for key, value in attributes.items()
        )
        self._parts.append(f'<{name} class="{kind}"{written}/>')


def dash_of(line_style: Any) -> str:
    """A line style of matplotlib as SVG's ``stroke-dasharray``; empty for an unbroken line."""
    return _DASHES[LINE_STYLES.index(line_style)]


_DASHES = ("", "6 3", "8 3 2 3", "2 2.5", "10 2 2 2 2 2")
_SHAPES: dict[str, tuple[tuple[float, float], ...]] = {
    "s": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "^": ((0, -1.1), (1.05, 0.85), (-1.05, 0.85)),
    "v": ((0, 1.1), (1.05, -0.85), (-1.05, -0.85)),
    "D": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    "P": ((-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4),
          (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4)),
    "X": ((-1, -0.5), (-0.5, -1), (0, -0.5), (0.5, -1), (1, -0.5), (0.5, 0), (1, 0.5), (0.5, 1),
          (0, 0.5), (-0.5, 1), (-1, 0.5), (-0.5, 0)),
}  # fmt: skip


def _round_step(least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is at least so large."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


WIDTH = 360.0
"""Width of a picture: on a phone, one unit is about one pixel."""

LEFT_EDGE = 12.0
RIGHT_EDGE = WIDTH - 12.0

_GUTTER = 44.0
"""Room beside a scale for runs that have no place on it."""

_MOST_TALLIED = 60
"""More seeds than this are told as a number, not as boxes."""


Looks = tuple[Look, Look]


def draw_values(drawing: Drawing, found: Verdict, *, looks: Looks) -> None:
    """Draws what was measured on each side of a claim; moves the drawing's lower end."""
    _PANELS[found.kind](drawing, found, looks)


def _sides(found: Verdict, looks: Looks) -> list[tuple[Side, Look]]:
    sides = [(found.left, looks[0])]
    if found.right is not None:
        sides.append((found.right, looks[1]))
    return sides


def _legend(drawing: Drawing, side: Side, look: Look, *, y: float, extra: str = "") -> float:
    """Writes what a side is, beside its mark; returns the base line below."""
    drawing.mark(look.marker, LEFT_EDGE + 4, y - 4, size=4.5, kind=f"dot {look.kind}")
    return drawing.lines(LEFT_EDGE + 16, y, side.says + extra, width=WIDTH - 40, kind="name")


def _axis_label(found: Verdict) -> str:
    unit = claim_words.print_of(found.metric).unit
    title = claim_words.title_of(found)
    return f"{title} ({unit})" if unit and not title.startswith(unit) else title


def _scaled(values: Iterable[float], found: Verdict) -> list[float]:
    scale = claim_words.print_of(found.metric).scale
    return [value * scale for value in values]


def _scale(found: Verdict, values: Sequence[float], *, start: float) -> tuple[Scale, float]:
    """A scale for values of which some may be infinite, and the place of those."""
    lost_low = any(value == -math.inf for value in values)
    lost_high = any(math.isnan(value) or value == math.inf for value in values)
    if lost_high and found.metric.worse == "low":
        lost_low, lost_high = True, False
    begin = start + _GUTTER * lost_low
    scale = scale_over(values, start=begin, end=RIGHT_EDGE - _GUTTER * lost_high)
    return scale, start + 12 if lost_low else RIGHT_EDGE - 12


def _lost_label(found: Verdict) -> str:
    return "never" if found.metric.censored else "diverged"


def _pairs(drawing: Drawing, found: Verdict, looks: Looks) -> None:
    right = found.right
    assert right is not None, "pairs have two sides"
    above, below = (
        _scaled(found.per_seed(side.values).tolist(), found) for side in (found.left, right)
    )
    scale, lost = _scale(found, [*above, *below], start=LEFT_EDGE)

    def place(value: float) -> float:
        return scale(value) if math.isfinite(value) else lost

    y_above = _legend(drawing, found.left, looks[0], y=16) + 2
    y_below = y_above + 48
    for one, other in zip(above, below, strict=True):
        drawing.line(place(one), y_above, place(other), y_below, kind="pair")
    for values, look, y in ((above, looks[0], y_above), (below, looks[1], y_below)):
        _marks(drawing, values, look, place=place, y=y)
    y = _legend(drawing, right, looks[1], y=y_below + 22)
    drawing.height = _value_axis(drawing, found, scale, lost, [*above, *below], y=y - 4)


def _value_axis(
    drawing: Drawing,
    found: Verdict,
    scale: Scale,
    lost: float,
    values: Sequence[float],
    *,
    y: float,
) -> float:
    if not all(math.isfinite(value) for value in values):
        drawing.text(lost, y + 16, _lost_label(found), kind="tick", anchor="middle")
    return drawing.axis_below(y, scale, label=_axis_label(found))


def _marks(
    drawing: Drawing,
    values: Sequence[float],
    look: Look,
    *,
    place: Callable[[float], float],
    y: float,
    size: float = 3.6,
) -> None:
    for value in values:
        if math.isfinite(value):
            drawing.mark(look.marker, place(value), y, size=size, kind=f"seed {look.kind}")
        else:
            drawing.mark("x", place(value), y, size=size, kind=f"cross {look.kind}")


def _number(drawing: Drawing, found: Verdict, looks: Looks) -> None:
    """Writes the legend alone: the seeds stand beside their mean, below."""
    drawing.height = _legend(drawing, found.left, looks[0], y=16) - 12


def _tally(drawing: Drawing, found: Verdict, looks: Looks) -> None:
    y = 16.0
    for side, look in _sides(found, looks):
        happened = [value == 1 for value in found.per_seed(side.values).tolist()]
        told = f": {text.of(sum(happened), len(happened))} {claim_words.title_of(found)}"
        y = _legend(drawing, side, look, y=y, extra=told)
        if len(happened) <= _MOST_TALLIED:
            step = min(17.0, (RIGHT_EDGE - LEFT_EDGE - 16) / len(happened))
            for index, did in enumerate(happened):
                kind = f"box {look.kind}" + ("" if did else " hollow")
                drawing.rect(LEFT_EDGE + 16 + index * step, y - 8, step - 3, 12, kind=kind)
            y += 24
    drawing.height = y - 10


def _times(drawing: Drawing, found: Verdict, looks: Looks) -> None:
    last = found.last_seen or 1.0
    y = 16.0
    for side, look in _sides(found, looks):
        num_runs = side.values.size
        told = f": {text.of(num_runs - side.num_missing, num_runs)}"
        y = _legend(drawing, side, look, y=y, extra=told)
    top, bottom = y + 2, y + 122
    scale = Scale(0.0, last, LEFT_EDGE + 40, RIGHT_EDGE - 4)
    shares = Scale(0.0, 100.0, bottom, top)
    drawing.axis_left(scale.start, shares, width=scale.end - scale.start, percent=True)
    for side, look in _sides(found, looks):
        curve = reached_curve(side.values.ravel(), last_seen=last)
        _curve(drawing, curve, look, scale=scale, shares=shares, last=last)
    number = claim_words.number_of(found)
    if number is not None:
        drawing.line(scale(number), top, scale(number), bottom, kind="reference")
    label = claim_words.title_of(found).partition(" to ")[0]
    whole = found.metric.name != "seconds_to_accuracy"
    drawing.height = drawing.axis_below(bottom, scale, label=f"{label} of training", whole=whole)


def _curve(
    drawing: Drawing, curve: ReachedCurve, look: Look, *, scale: Scale, shares: Scale, last: float
) -> None:
    """Draws the share of runs that have got there, as steps."""
    points = [(scale(0.0), shares(0.0))]
    marks = []
    for time, share in zip(curve.times.tolist(), curve.share.tolist(), strict=True):
        before = points[-1][1]
        after = shares(100 * share)
        points += [(scale(time), before), (scale(time), after)]
        if after != before:
            marks.append((scale(time), after))
    points.append((scale(last), points[-1][1]))
    drawing.path(points, kind=f"curve {look.kind}")
    for x, y in marks:
        drawing.mark(look.marker, x, y, size=3.4, kind=f"seed {look.kind}")


def _levels(drawing: Drawing, found: Verdict, looks: Looks) -> None:
    sides = _sides(found, looks)
    y = 16.0
    for side, look in sides:
        y = _legend(drawing, side, look, y=y)
    labels = [value_label(level) for level in found.levels]
    rows = [side.values.mean(axis=1).T for side, _ in sides]
    scaled = _scaled([value for row in rows for value in row.ravel().tolist()], found)
    room = max(map(len, labels)) * CHARACTER + 10
    start = LEFT_EDGE + min(room, 140.0)
    scale, lost = _scale(found, scaled, start=start)
    top = y - 4
    y = top + 14
    ways: list[list[tuple[float, float]]] = [[] for _ in sides]
    for index, label in enumerate(labels):
        below = drawing.lines(LEFT_EDGE, y + 4, label, width=start - LEFT_EDGE - 4,
                              kind="row", leading=12)  # fmt: skip
        drawing.line(start, y, RIGHT_EDGE, y, kind="grid")
        for number, (_, look) in enumerate(sides):
            at = y + (number - (len(sides) - 1) / 2) * 9
            values = rows[number][index]
            _level(drawing, found, values, look, scale=scale, lost=lost, y=at)
            mean = _mean(values)
            if mean is not None:
                ways[number].append((scale(_scaled([mean], found)[0]), at))
        y = max(y + 12 + 10 * len(sides), below + 10)
    if found.claim.trend:
        for way, (_, look) in zip(ways, sides, strict=True):
            drawing.path(way, kind=f"way {look.kind}")
    drawing.height = _value_axis(drawing, found, scale, lost, scaled, y=y - 4)


def _level(
    drawing: Drawing,
    found: Verdict,
    values: Floats,
    look: Look,
    *,
    scale: Scale,
    lost: float,
    y: float,
) -> None:
    for value in _scaled(values.tolist(), found):
        if math.isfinite(value):
            drawing.mark(look.marker, scale(value), y, size=2, kind=f"small {look.kind}")
    mean = _mean(values)
    if mean is not None:
        place = scale(_scaled([mean], found)[0])
        drawing.mark(look.marker, place, y, size=4.5, kind=f"dot {look.kind}")
    num_missing = int(np.isnan(values).sum())
    if num_missing:
        drawing.mark("x", lost - 9, y, size=3, kind=f"cross {look.kind}")
        drawing.text(lost - 2, y + 4, f"{num_missing}", kind="tick")


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


_PANELS: dict[Kind, Callable[[Drawing, Verdict, Looks], None]] = {
    "pairs": _pairs,
    "tally": _tally,
    "times": _times,
    "levels": _levels,
    "number": _number,
}


CAPTIONS: dict[Kind, str] = {
    "pairs": "Each thin line is one seed: the same starting draws and the same batches on both "
    "sides.",
    "tally": "Each box is one seed; a filled box is a run to which it happened. Boxes above each "
    "other have the same seed.",
    "times": "The share of runs that have reached the target by then: the sooner a line climbs, "
    "the sooner its side gets there; where it stays below 100 %, some never did.",
    "levels": "Each row is one setting; small marks are seeds, large ones their mean.",
    "number": "",
}


@dataclass(frozen=True)
class Picture:
    """A picture for a page.

    Attributes:
        svg: As markup.
        caption: How it is read.
    """

    svg: str
    caption: str


def draw_claim(found: Verdict, *, colours: Mapping[str, str]) -> Picture | None:
    """Draws the picture of one claim; None when no seed has all the runs that it needs.

    Args:
        found: The verdict.
        colours: Of each arm in the whole report, by arm id.
    """
    if not len(found.differences):
        return None
    drawing = Drawing(WIDTH)
    looks = side_looks(found, colours=colours)
    draw_values(drawing, found, looks=looks)
    _draw_effect(drawing, found, looks=looks)
    return Picture(drawing.markup(alt=_alt(found)), _caption(found))


def _caption(found: Verdict) -> str:
    """How the picture is read."""
    centre = "median" if found.method == "sign" else "mean"
    marks = f"their {centre} (diamond) and the interval (bar)"
    ground = "The claim holds on the shaded ground."
    if found.kind == "number":
        return f"Each mark is one seed; below them {marks}. {ground}"
    parts = {
        "trend": f"The line joins the means. Below: the change per unit in each seed, {marks}.",
        "spread": f"Below: the difference of the two spreads in each seed, {marks}.",
        "sides": f"Below: the difference in each seed, {marks}.",
        "number": f"Below: each seed, {marks}.",
    }
    below = parts[found.claim.shape]
    if found.kind == "tally":
        below = "Below: the difference of the shares (diamond) and the interval (bar)."
        if found.right is None:
            below = "Below: the share (diamond) and the interval (bar)."
    if any(math.isinf(value) for value in found.differences.tolist()):
        below += " The cross counts seeds in which one side diverged: that has no size."
    return f"{CAPTIONS[found.kind]} {below} {ground}"


def _draw_effect(
    drawing: Drawing,
    found: Verdict,
    *,
    looks: tuple[Look, Look],
) -> None:
    """Draws differences, mean, interval and the ground on which the claim holds."""
    how = claim_words.print_of(found.metric)
    number = claim_words.number_of(found)
    reference = 0.0 if number is None else number

    def printed(value: float | None) -> float | None:
        return None if value is None else (value + reference) * how.scale

    margin = found.claim.signed_margin * how.scale
    centre = reference * how.scale
    points = [(each + reference) * how.scale for each in found.differences.tolist()]
    if found.kind == "tally":
        points = []  # all of them 1, 0 or -1
    ends = [printed(found.low), printed(found.high)]
    mean = printed(found.effect)
    known = [*points, *ends, mean, centre, centre - margin, centre + margin]
    scale = scale_over(known, start=LEFT_EDGE, end=RIGHT_EDGE, pad=0.1)

    top = drawing.height + 16
    _draw_heading(drawing, found, looks=looks, y=top)
    top += 8
    bottom = top + (46 if points else 30)
    low, high = _ground(found, scale, centre=centre, margin=margin)
    drawing.rect(low, top, high - low, bottom - top, kind="ground")
    drawing.line(scale(centre), top, scale(centre), bottom, kind="reference")
    _draw_points(drawing, points, looks[0], scale=scale, y=top + 14, own=found.kind == "number")
    y = bottom - 15
    if any(end is not None for end in ends):
        _draw_bar(drawing, scale, ends[0], ends[1], y=y)
    if mean is not None:
        drawing.mark("D", scale(mean), y, size=5, kind="mean")
    # Where no difference has a size there is nothing to measure, but which side of zero it is on.
    has_size = any(math.isfinite(value) for value in points) or mean is not None
    drawing.height = drawing.axis_below(
        bottom, scale, label=_effect_label(found), at_most=6 if has_size else 1
    )


def _draw_points(
    drawing: Drawing, points: Sequence[float], look: Look, *, scale: Scale, y: float, own: bool
) -> None:
    """Draws a mark for each seed, in the side's own look or a neutral one.

    Infinite ones are told at the edge, by a cross and their number.
    """
    for value in points:
        if math.isfinite(value):
            kind = f"seed {look.kind}" if own else "seed"
            drawing.mark("o", scale(value), y, size=3.6 if own else 3, kind=kind)
    for end, place, anchor in ((-math.inf, LEFT_EDGE, "start"), (math.inf, RIGHT_EDGE, "end")):
        number = sum(value == end for value in points)
        if number:
            inward = 1 if end < 0 else -1
            drawing.mark("x", place + 8 * inward, y, size=3.5, kind="cross")
            drawing.text(place + 16 * inward, y + 4, f"{number}", kind="tick", anchor=anchor)


def _effect_label(found: Verdict) -> str:
    unit = claim_words.unit_of(found)
    if found.claim.trend:
        return unit
    name = "difference"
    if claim_words.number_of(found) is not None:
        name = claim_words.title_of(found)
    return f"{name} ({unit})" if unit else name


def _draw_heading(
    drawing: Drawing,
    found: Verdict,
    *,
    looks: tuple[Look, Look],
    y: float,
) -> None:
    level = claim_words.level(found)
    has_interval = found.low is not None or found.high is not None
    shown = f"mean and {level} interval" if has_interval else "mean (no interval)"
    if found.method == "sign":
        shown = shown.replace("mean", "median")
    if found.right is None:
        shown = f"change per unit, {shown}" if found.claim.trend else shown
        drawing.text(LEFT_EDGE, y, shown, kind="label")
        return
    left, right = looks
    drawing.mark(left.marker, LEFT_EDGE + 5, y - 4, size=4, kind=f"dot {left.kind}")
    drawing.text(LEFT_EDGE + 14, y, "minus", kind="label")
    drawing.mark(right.marker, LEFT_EDGE + 57, y - 4, size=4, kind=f"dot {right.kind}")
    drawing.text(LEFT_EDGE + 68, y, shown, kind="label")


def _ground(found: Verdict, scale: Scale, *, centre: float, margin: float) -> tuple[float, float]:
    """Left and right end of the ground on which the claim holds."""
    expect = found.claim.expect
    if expect == "equal":
        return scale(centre - margin), scale(centre + margin)
    if expect in ("less", "decreasing"):
        return LEFT_EDGE, scale(centre - margin)
    return scale(centre + margin), RIGHT_EDGE


def _draw_bar(
    drawing: Drawing, scale: Scale, low: float | None, high: float | None, *, y: float
) -> None:
    """Draws an interval; an open end runs to the edge and has an arrow."""
    left = LEFT_EDGE if low is None else scale(low)
    right = RIGHT_EDGE if high is None else scale(high)
    drawing.line(left, y, right, y, kind="bar")
    for x, end, step in ((left, low, 5), (right, high, -5)):
        if end is None:
            drawing.path([(x + step, y - 4), (x, y), (x + step, y + 4)], kind="arrow")
        else:
            drawing.line(x, y - 4, x, y + 4, kind="bar")


def _alt(found: Verdict) -> str:
    """The picture in words."""
    how, title = claim_words.print_of(found.metric), claim_words.title_of(found)

    def told(side: Side) -> str:
        values = found.per_seed(side.values)
        mean = _mean(values)
        if mean is None:
            return f"{side.says}: no values"
        finite = [value for value in values.tolist() if math.isfinite(value)]
        low, high = min(finite) * how.scale, max(finite) * how.scale
        numbers = [f"{value:.{how.num_decimals}f}" for value in (mean * how.scale, low, high)]
        measure = "spread of " if found.claim.spread else "slope of " if found.claim.trend else ""
        return (
            f"{side.says}: {measure}{title}, mean {numbers[0]} {how.unit}, "
            f"seeds from {numbers[1]} to {numbers[2]}"
        )

    sides = "; ".join(told(side) for side in (found.left, found.right) if side is not None)
    interval = claim_words.interval(found)
    effect = f"effect {claim_words.effect(found)}"
    if interval:
        effect += f", {claim_words.level(found)} interval {interval}"
    return f"{sides}. {effect}: {found.outcome}."


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
    account: ExperimentSummary, *, colours: Mapping[str, str]
) -> ExperimentPictures:
    """Draws the curves of an experiment.

    With few arms, accuracy and loss, a panel each; with many, the accuracy alone, in panels by
    the values of an axis or two.

    Args:
        account: What became of the experiment.
        colours: Of each arm in the whole report, by arm id.
    """
    groups = panel_groups(account.arms)
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
        arm
        for arm, summary in account.summaries.items()
        if summary.num_diverged == summary.num_runs
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
