"""The upper part of a claim's picture: what was measured, by the kind of claim."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from bninit.analysis.claims import ClaimResult
from bninit.analysis.portraits import Kind, Level, Portrait, SidePortrait
from bninit.analysis.survival import ReachedCurve
from bninit.views import claim_words, text
from bninit.views.arm_looks import Look
from bninit.views.svg import CHARACTER, Drawing, Scale, scale_over

WIDTH = 360.0
"""Width of a picture: on a phone, one unit is about one pixel."""

LEFT_EDGE = 12.0
RIGHT_EDGE = WIDTH - 12.0

_GUTTER = 44.0
"""Room beside a scale for runs that have no place on it."""

_MOST_TALLIED = 60
"""More seeds than this are told as a number, not as boxes."""


Looks = tuple[Look, Look]


def draw_values(drawing: Drawing, found: ClaimResult, portrait: Portrait, *, looks: Looks) -> None:
    """Draws what was measured on each side of a claim; moves the drawing's lower end."""
    _PANELS[portrait.kind](drawing, found, portrait, looks)


def _sides(portrait: Portrait, looks: Looks) -> list[tuple[SidePortrait, Look]]:
    sides = [(portrait.left, looks[0])]
    if portrait.right is not None:
        sides.append((portrait.right, looks[1]))
    return sides


def _legend(
    drawing: Drawing, side: SidePortrait, look: Look, *, y: float, extra: str = ""
) -> float:
    """Writes what a side is, beside its mark; returns the base line below."""
    drawing.mark(look.marker, LEFT_EDGE + 4, y - 4, size=4.5, kind=f"dot {look.kind}")
    return drawing.lines(LEFT_EDGE + 16, y, side.says + extra, width=WIDTH - 40, kind="name")


def _axis_label(found: ClaimResult) -> str:
    unit = claim_words.print_of(found.metric).unit
    title = claim_words.title_of(found)
    return f"{title} ({unit})" if unit and not title.startswith(unit) else title


def _scaled(values: Iterable[float], found: ClaimResult) -> list[float]:
    scale = claim_words.print_of(found.metric).scale
    return [value * scale for value in values]


def _scale(found: ClaimResult, values: Sequence[float], *, start: float) -> tuple[Scale, float]:
    """A scale for values of which some may be infinite, and the place of those."""
    lost_low = any(value == -math.inf for value in values)
    lost_high = any(math.isnan(value) or value == math.inf for value in values)
    if lost_high and found.metric.worse == "low":
        lost_low, lost_high = True, False
    begin = start + _GUTTER * lost_low
    scale = scale_over(values, start=begin, end=RIGHT_EDGE - _GUTTER * lost_high)
    return scale, start + 12 if lost_low else RIGHT_EDGE - 12


def _lost_label(found: ClaimResult) -> str:
    return "never" if found.metric.censored else "diverged"


def _pairs(drawing: Drawing, found: ClaimResult, portrait: Portrait, looks: Looks) -> None:
    right = portrait.right
    assert right is not None, "pairs have two sides"
    above, below = (_scaled(side.values.tolist(), found) for side in (portrait.left, right))
    scale, lost = _scale(found, [*above, *below], start=LEFT_EDGE)

    def place(value: float) -> float:
        return scale(value) if math.isfinite(value) else lost

    y_above = _legend(drawing, portrait.left, looks[0], y=16) + 2
    y_below = y_above + 48
    for one, other in zip(above, below, strict=True):
        drawing.line(place(one), y_above, place(other), y_below, kind="pair")
    for values, look, y in ((above, looks[0], y_above), (below, looks[1], y_below)):
        _marks(drawing, values, look, place=place, y=y)
    y = _legend(drawing, right, looks[1], y=y_below + 22)
    drawing.height = _value_axis(drawing, found, scale, lost, [*above, *below], y=y - 4)


def _value_axis(
    drawing: Drawing,
    found: ClaimResult,
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


def _number(drawing: Drawing, found: ClaimResult, portrait: Portrait, looks: Looks) -> None:
    """Writes the legend alone: the seeds stand beside their mean, below."""
    drawing.height = _legend(drawing, portrait.left, looks[0], y=16) - 12


def _tally(drawing: Drawing, found: ClaimResult, portrait: Portrait, looks: Looks) -> None:
    y = 16.0
    for side, look in _sides(portrait, looks):
        happened = [value == 1 for value in side.values.tolist()]
        told = f": {text.of(sum(happened), len(happened))} {claim_words.title_of(found)}"
        y = _legend(drawing, side, look, y=y, extra=told)
        if len(happened) <= _MOST_TALLIED:
            step = min(17.0, (RIGHT_EDGE - LEFT_EDGE - 16) / len(happened))
            for index, did in enumerate(happened):
                kind = f"box {look.kind}" + ("" if did else " hollow")
                drawing.rect(LEFT_EDGE + 16 + index * step, y - 8, step - 3, 12, kind=kind)
            y += 24
    drawing.height = y - 10


def _times(drawing: Drawing, found: ClaimResult, portrait: Portrait, looks: Looks) -> None:
    last = portrait.last_seen or 1.0
    y = 16.0
    for side, look in _sides(portrait, looks):
        got_there = side.num_runs - side.num_without
        y = _legend(drawing, side, look, y=y,
                    extra=f": {text.of(got_there, side.num_runs)}")  # fmt: skip
    top, bottom = y + 2, y + 122
    scale = Scale(0.0, last, LEFT_EDGE + 40, RIGHT_EDGE - 4)
    shares = Scale(0.0, 100.0, bottom, top)
    drawing.axis_left(scale.start, shares, width=scale.end - scale.start, percent=True)
    for side, look in _sides(portrait, looks):
        if side.curve is not None:
            _curve(drawing, side.curve, look, scale=scale, shares=shares, last=last)
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


def _levels(drawing: Drawing, found: ClaimResult, portrait: Portrait, looks: Looks) -> None:
    sides = _sides(portrait, looks)
    y = 16.0
    for side, look in sides:
        y = _legend(drawing, side, look, y=y)
    values = [
        value for side, _ in sides for level in side.levels for value in level.values.tolist()
    ]
    scaled = _scaled(values, found)
    room = max(len(level.label) for level in portrait.left.levels) * CHARACTER + 10
    start = LEFT_EDGE + min(room, 140.0)
    scale, lost = _scale(found, scaled, start=start)
    top = y - 4
    y = top + 14
    ways: list[list[tuple[float, float]]] = [[] for _ in sides]
    for index, level in enumerate(portrait.left.levels):
        below = drawing.lines(LEFT_EDGE, y + 4, level.label, width=start - LEFT_EDGE - 4,
                              kind="row", leading=12)  # fmt: skip
        drawing.line(start, y, RIGHT_EDGE, y, kind="grid")
        for number, (side, look) in enumerate(sides):
            at = y + (number - (len(sides) - 1) / 2) * 9
            _level(drawing, found, side.levels[index], look, scale=scale, lost=lost, y=at)
            mean = side.levels[index].mean
            if mean is not None:
                ways[number].append((scale(_scaled([mean], found)[0]), at))
        y = max(y + 12 + 10 * len(sides), below + 10)
    if found.claim.trend:
        for way, (_, look) in zip(ways, sides, strict=True):
            drawing.path(way, kind=f"way {look.kind}")
    drawing.height = _value_axis(drawing, found, scale, lost, scaled, y=y - 4)


def _level(
    drawing: Drawing,
    found: ClaimResult,
    level: Level,
    look: Look,
    *,
    scale: Scale,
    lost: float,
    y: float,
) -> None:
    for value in _scaled(level.values.tolist(), found):
        if math.isfinite(value):
            drawing.mark(look.marker, scale(value), y, size=2, kind=f"small {look.kind}")
    if level.mean is not None:
        mean = scale(_scaled([level.mean], found)[0])
        drawing.mark(look.marker, mean, y, size=4.5, kind=f"dot {look.kind}")
    if level.num_without:
        drawing.mark("x", lost - 9, y, size=3, kind=f"cross {look.kind}")
        drawing.text(lost - 2, y + 4, f"{level.num_without}", kind="tick")


_PANELS: dict[Kind, Callable[[Drawing, ClaimResult, Portrait, Looks], None]] = {
    "pairs": _pairs,
    "tally": _tally,
    "times": _times,
    "levels": _levels,
    "number": _number,
}
