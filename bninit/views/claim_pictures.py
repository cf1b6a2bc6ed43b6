"""One picture for each claim: the values that its verdict rests on, and the interval.

Above, what was measured on both sides, seed by seed; below, the difference, its mean and its
interval, on ground that is shaded where the claim holds: an interval wholly in the shade is a
claim supported, one wholly outside is contradicted, and one across the edge is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bninit.analysis.claims import ClaimResult
from bninit.analysis.portraits import Kind, Portrait, SidePortrait
from bninit.views import claim_words
from bninit.views.arm_looks import Look, side_looks
from bninit.views.claim_panels import LEFT_EDGE, RIGHT_EDGE, WIDTH, draw_values
from bninit.views.svg import Drawing, Scale, scale_over

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


def draw_claim(
    found: ClaimResult, portrait: Portrait, *, colours: Mapping[str, str]
) -> Picture | None:
    """Draws the picture of one claim; None when no seed has all the runs that it needs.

    Args:
        found: The verdict.
        portrait: What it rests on.
        colours: Of each arm in the whole report, by arm id.
    """
    if not len(portrait.differences):
        return None
    drawing = Drawing(WIDTH)
    looks = side_looks(portrait, colours=colours)
    draw_values(drawing, found, portrait, looks=looks)
    _draw_effect(drawing, found, portrait, looks=looks)
    return Picture(drawing.markup(alt=_alt(found, portrait)), _caption(found, portrait))


def _caption(found: ClaimResult, portrait: Portrait) -> str:
    """How the picture is read."""
    centre = "median" if found.verdict.method == "sign" else "mean"
    marks = f"their {centre} (diamond) and the interval (bar)"
    ground = "The claim holds on the shaded ground."
    if portrait.kind == "number":
        return f"Each mark is one seed; below them {marks}. {ground}"
    parts = {
        "trend": f"The line joins the means. Below: the change per unit in each seed, {marks}.",
        "spread": f"Below: the difference of the two spreads in each seed, {marks}.",
        "sides": f"Below: the difference in each seed, {marks}.",
        "number": f"Below: each seed, {marks}.",
    }
    below = parts[found.claim.shape]
    if portrait.kind == "tally":
        below = "Below: the difference of the shares (diamond) and the interval (bar)."
        if portrait.right is None:
            below = "Below: the share (diamond) and the interval (bar)."
    if any(math.isinf(value) for value in portrait.differences.tolist()):
        below += " The cross counts seeds in which one side diverged: that has no size."
    return f"{CAPTIONS[portrait.kind]} {below} {ground}"


def _draw_effect(
    drawing: Drawing,
    found: ClaimResult,
    portrait: Portrait,
    *,
    looks: tuple[Look, Look],
) -> None:
    """Draws differences, mean, interval and the ground on which the claim holds."""
    how = claim_words.print_of(found.metric)
    number = claim_words.number_of(found)
    reference = 0.0 if number is None else number
    verdict = found.verdict

    def printed(value: float | None) -> float | None:
        return None if value is None else (value + reference) * how.scale

    margin = found.claim.signed_margin * how.scale
    centre = reference * how.scale
    points = [(each + reference) * how.scale for each in portrait.differences.tolist()]
    if portrait.kind == "tally":
        points = []  # all of them 1, 0 or -1
    ends = [printed(verdict.low), printed(verdict.high)]
    mean = printed(verdict.effect)
    known = [*points, *ends, mean, centre, centre - margin, centre + margin]
    scale = scale_over(known, start=LEFT_EDGE, end=RIGHT_EDGE, pad=0.1)

    top = drawing.height + 16
    _draw_heading(drawing, found, portrait, looks=looks, y=top)
    top += 8
    bottom = top + (46 if points else 30)
    low, high = _ground(found, scale, centre=centre, margin=margin)
    drawing.rect(low, top, high - low, bottom - top, kind="ground")
    drawing.line(scale(centre), top, scale(centre), bottom, kind="reference")
    _draw_points(drawing, points, looks[0], scale=scale, y=top + 14, own=portrait.kind == "number")
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


def _effect_label(found: ClaimResult) -> str:
    unit = claim_words.unit_of(found)
    if found.claim.trend:
        return unit
    name = "difference"
    if claim_words.number_of(found) is not None:
        name = claim_words.title_of(found)
    return f"{name} ({unit})" if unit else name


def _draw_heading(
    drawing: Drawing,
    found: ClaimResult,
    portrait: Portrait,
    *,
    looks: tuple[Look, Look],
    y: float,
) -> None:
    level = claim_words.level(found)
    has_interval = found.verdict.low is not None or found.verdict.high is not None
    shown = f"mean and {level} interval" if has_interval else "mean (no interval)"
    if found.verdict.method == "sign":
        shown = shown.replace("mean", "median")
    if portrait.right is None:
        shown = f"change per unit, {shown}" if found.claim.trend else shown
        drawing.text(LEFT_EDGE, y, shown, kind="label")
        return
    left, right = looks
    drawing.mark(left.marker, LEFT_EDGE + 5, y - 4, size=4, kind=f"dot {left.kind}")
    drawing.text(LEFT_EDGE + 14, y, "minus", kind="label")
    drawing.mark(right.marker, LEFT_EDGE + 57, y - 4, size=4, kind=f"dot {right.kind}")
    drawing.text(LEFT_EDGE + 68, y, shown, kind="label")


def _ground(
    found: ClaimResult, scale: Scale, *, centre: float, margin: float
) -> tuple[float, float]:
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


def _alt(found: ClaimResult, portrait: Portrait) -> str:
    """The picture in words."""
    how, title = claim_words.print_of(found.metric), claim_words.title_of(found)

    def told(side: SidePortrait) -> str:
        if side.mean is None:
            return f"{side.says}: no values"
        finite = [value for value in side.values.tolist() if math.isfinite(value)]
        low, high = min(finite) * how.scale, max(finite) * how.scale
        numbers = [f"{value:.{how.num_decimals}f}" for value in (side.mean * how.scale, low, high)]
        measure = "spread of " if found.claim.spread else "slope of " if found.claim.trend else ""
        return (
            f"{side.says}: {measure}{title}, mean {numbers[0]} {how.unit}, "
            f"seeds from {numbers[1]} to {numbers[2]}"
        )

    sides = "; ".join(told(side) for side in (portrait.left, portrait.right) if side is not None)
    interval = claim_words.interval(found)
    effect = f"effect {claim_words.effect(found)}"
    if interval:
        effect += f", {claim_words.level(found)} interval {interval}"
    return f"{sides}. {effect}: {found.verdict.outcome}."
