"""Charts: how arms look, the theme, and the charts that several verbs share.

A chart is a specification of Vega-Lite on tidy rows, a plain dict; `png` and `svg` render it
without a browser or network. Colours are those of Okabe & Ito (2008, "Color Universal Design"; Wong
2011, Nature Methods 8:441), which stay apart in all common forms of colour blindness, without their
yellow (contrast 1.3 to 1 on white). Dash and shape tell arms apart in print and without colours.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

from bninit.arms import arm_labels
from bninit.show import words
from bninit.stats import ARM_COLUMNS, bands, finite_rows, last_before_divergence

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from bninit.config import Config

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
BLUISH_GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
REDDISH_PURPLE: Final = "#CC79A7"
COLOURS: Final = (BLACK, BLUE, VERMILLION, ORANGE, SKY_BLUE, BLUISH_GREEN, REDDISH_PURPLE)
PLACEMENT_COLOURS: Final[Mapping[str, str]] = {"none": BLACK, "pre": BLUE, "post": VERMILLION}
ORDERED: Final = ("#414487", "#355F8D", "#2A788E", "#21918C", "#22A884", "#44BF70", "#7AD151")
"""Rising lightness (of viridis, without its ends): arms that differ in one number."""

DASHES: Final = ((1, 0), (7, 3), (8, 3, 2, 3), (2, 2), (10, 2, 2, 2, 2, 2))
SHAPES: Final = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross"),
    "M0,-1L0.4,-0.2L1,0L0.4,0.2L0,1L-0.4,0.2L-1,0L-0.4,-0.2Z",
    "triangle-right",
)
CROSS: Final = "M-1,-1L1,1M-1,1L1,-1"
"""Shape of a network that diverged."""

DASHED: Final = (5, 3)
DOTTED: Final = (1.5, 3)
GUIDE: Final = "#707070"
"""Targets, reference lines and remarks: grey, contrast 4.9 to 1 on white."""

INK: Final = "#1D1D1B"
GRID: Final = "#E4E4E4"
PAPER: Final = "#FFFFFF"
BAND_OPACITY: Final = 0.18

_VARIABLES: Final[Mapping[str, str]] = {
    **{colour: f"c{i}" for i, colour in enumerate(COLOURS)},
    INK: "ink",
    GRID: "grid",
    PAPER: "card",
    GUIDE: "soft",
}
NUM_CLASSES: Final = 10
"""Of all data sets; an untrained network guesses one of them, with a loss of about ln 10."""

THEME: Final[Mapping[str, Any]] = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "background": PAPER,
    "view": {"stroke": None},
    "title": {"anchor": "start", "frame": "group", "fontWeight": "normal", "color": INK},
    "axis": {
        "domainColor": INK, "tickColor": INK, "labelColor": INK, "titleColor": INK,
        "gridColor": GRID, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal",
        "labelLimit": 0, "titleLimit": 0, "titlePadding": 8,
    },
    "legend": {
        "orient": "bottom", "labelColor": INK, "labelFontSize": 11, "labelLimit": 0,
        "titleColor": INK, "titleFontSize": 11, "titleFontWeight": "normal",
        "symbolLimit": 200, "symbolSize": 70, "rowPadding": 5, "columnPadding": 24,
    },
    "line": {"strokeWidth": 2, "strokeCap": "butt"},
    "point": {"filled": True, "size": 45},
    "text": {"fontSize": 11, "color": INK},
    "concat": {"spacing": 32},
}  # fmt: skip


Chart = dict[str, Any]
"""A specification of Vega-Lite."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ArmStyle:
    """Look of an arm, the same in every chart.

    Attributes:
        colour: As ``#RRGGBB``.
        dash: Lengths of strokes and gaps.
        shape: A shape of Vega, or an SVG path.
    """

    colour: str
    dash: tuple[float, ...]
    shape: str


def arm_styles(
    arms: Sequence[str],
    *,
    placements: Mapping[str, str] | None = None,
    numbers: Mapping[str, float] | None = None,
) -> dict[str, ArmStyle]:
    """Give each arm a look of its own.

    The first arm of each placement has that placement's colour; others take the free colours in
    order. Dash and shape follow the arm's position, so that two arms differ in these too; with
    repeated colours neither a pair of colour and dash nor one of colour and shape repeats before
    the 35th arm. Call it once with all arms, and pass the result to every chart.

    Args:
        arms: Labels or ids, all different.
        placements: ``none``, ``pre`` or ``post`` by arm, where known.
        numbers: The value by arm where one numeric setting alone varies: colours follow its order.

    Raises:
        ValueError: An arm is named twice.
    """
    if len(set(arms)) != len(arms):
        raise ValueError(f"duplicate arms: {list(arms)}")
    colours = _ordered_colours(numbers) if numbers else _distinct_colours(arms, placements or {})
    styles: dict[str, ArmStyle] = {}
    for place, arm in enumerate(arms):
        colour = colours[arm]
        alike = [style for style in styles.values() if style.colour == colour]
        dash = _unused(DASHES, place, {style.dash for style in alike})
        shape = _unused(SHAPES, place, {style.shape for style in alike})
        styles[arm] = ArmStyle(colour, dash, shape)
    return styles


def _unused(choices: Sequence[Any], place: int, taken: set[Any]) -> Any:
    """The choice at a place, or the first free one behind it."""
    order = [choices[(place + step) % len(choices)] for step in range(len(choices))]
    return next((each for each in order if each not in taken), order[0])


def _distinct_colours(arms: Sequence[str], placements: Mapping[str, str]) -> dict[str, str]:
    colours: dict[str, str] = {}
    for arm in arms:
        anchor = PLACEMENT_COLOURS.get(placements.get(arm, ""))
        if anchor is not None and anchor not in colours.values():
            colours[arm] = anchor
    # Anchors come last for arms without one, so that blue rarely means anything but `pre`.
    spare = [*COLOURS[3:], *COLOURS[:3]] if colours else list(COLOURS)
    free = [colour for colour in spare if colour not in colours.values()]
    rest = (arm for arm in arms if arm not in colours)
    palette = itertools.chain(free, itertools.cycle(COLOURS))
    return colours | dict(zip(rest, palette, strict=False))


def _ordered_colours(numbers: Mapping[str, float]) -> dict[str, str]:
    values = sorted(set(numbers.values()))
    last = max(len(values) - 1, 1)
    return {arm: _blend(values.index(value) / last) for arm, value in numbers.items()}


def _blend(fraction: float) -> str:
    place = fraction * (len(ORDERED) - 1)
    left = min(int(place), len(ORDERED) - 2)
    ends = [[int(ORDERED[i][at : at + 2], 16) for at in (1, 3, 5)] for i in (left, left + 1)]
    mixed = [round(a + (b - a) * (place - left)) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{part:02X}" for part in mixed)


def png(chart: Chart) -> bytes:
    """Render a chart as the content of a PNG file, two pixels a unit."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(chart | {"config": THEME}, scale=2))


def svg(chart: Chart, *, alt: str = "") -> str:
    """Render a chart as an ``svg`` element for a page, as wide as its place.

    Ink, grid, paper, guides and the seven colours are the CSS variables ``--ink``, ``--grid``,
    ``--card``, ``--soft`` and ``--c0`` to ``--c6``, with the light theme's as fall-back. Its ids
    are unlike those of other charts on the page.

    Args:
        chart: Any.
        alt: What it shows, for those who do not see it; empty for an ornament.
    """
    import vl_convert

    text = str(vl_convert.vegalite_to_svg(chart | {"config": THEME}))
    for colour in _VARIABLES:
        text = re.sub(f'="{colour}"', f'="{paint(colour)}"', text, flags=re.IGNORECASE)
    prefix = "c" + hashlib.sha256(text.encode()).hexdigest()[:8]
    for number, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', text))):
        for old in (f'id="{name}"', f"url(#{name})", f'href="#{name}"'):
            text = text.replace(old, old.replace(name, f"{prefix}-{number}"))
    told = f'role="img" aria-label="{escape(alt)}"' if alt else 'aria-hidden="true"'
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f"{head} {told}>{rest}"


def paint(colour: str) -> str:
    """A colour of charts as CSS: the page's variable for it, where there is one."""
    return f"var(--{_VARIABLES[colour]}, {colour})" if colour in _VARIABLES else colour


def mark(kind: str, rows: Rows, encoding: Mapping[str, Any], **settings: Any) -> Chart:
    """One layer: a mark of Vega-Lite (``line``, ``point``, ``rule``, ...) on rows.

    Args:
        kind: The mark's name.
        rows: Numbers and texts; what is not finite becomes null.
        encoding: By channel: `Axis.x`, `Axis.y`, `look`, `field`, ``{"value": ...}``.
        settings: Of the mark.
    """
    values = [{key: _plain(value) for key, value in row.items()} for row in rows]
    return {
        "data": {"values": values},
        "mark": {"type": kind, **settings},
        "encoding": dict(encoding),
    }


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def field(name: str, **settings: Any) -> dict[str, Any]:
    """A column whose values are used as they are: colours, shapes, texts."""
    return {"field": name, "type": "nominal", "scale": None, "legend": None, **settings}


def panel(*layers: Chart, title: str = "", width: int = 380, height: int = 280) -> Chart:
    """Layers on each other, with one pair of axes; panels among them give their layers.

    Args:
        layers: From the lowest to the highest.
        title: Above them, wrapped to the width.
        width: In units of which text is 11 high.
        height: As `width`.
    """
    flat = [part for layer in layers for part in layer.get("layer", [layer])]
    size = {"width": width, "height": height}
    return {"layer": flat, **size, **({"title": wrapped(title, width * 2 // 11)} if title else {})}


def page(
    panels: Sequence[Chart],
    *,
    title: str,
    note: str = "",
    columns: int = 2,
    own_legends: bool = False,
) -> Chart:
    """Arrange panels in a grid under a bold title, with a remark below them.

    Args:
        panels: Charts, row by row. They share legends of equal arms.
        title: What the chart shows.
        note: How to read it.
        columns: Panels in a row.
        own_legends: Whether each panel has its own legend, below it.
    """
    head = {"fontSize": 16, "fontWeight": "bold", "offset": 14, "frame": "bounds"}
    foot = {"fontSize": 11, "color": GUIDE, "frame": "bounds", "orient": "bottom"}
    width = sum(each.get("width", 380) + 60 for each in panels[:columns])
    grid: dict[str, Any] = {
        "concat": list(panels),
        "columns": columns,
        "title": {"text": wrapped(title, max(60, width // 9)), **head},
    }
    if own_legends:
        own = dict.fromkeys(("color", "strokeDash", "size", "shape"), "independent")
        grid["resolve"] = {"scale": own}
    text = wrapped(note, max(60, width // 6))
    return {"vconcat": [grid], **({"title": {"text": text, **foot}} if note else {})}


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many characters; line breaks stay."""
    return [line for part in text.split("\n") for line in textwrap.wrap(part, width) or [""]]


def look(
    styles: Mapping[str, ArmStyle],
    *,
    dash: bool = False,
    shape: bool = False,
    nested: bool = False,
    names: Mapping[str, str] | None = None,
    legend_width: int = 780,
) -> dict[str, Any]:
    """Encodings of colour, dash and shape that give each arm its look, and their one legend."""
    arms = list(styles)
    longest = max(map(len, names.values() if names else arms), default=0)
    legend: dict[str, Any] = {"title": None, "values": arms, "symbolOpacity": 1}
    legend["columns"] = max(1, min(4, legend_width // (50 + 6 * longest)))
    if dash and not shape:
        legend |= {"symbolType": "stroke", "symbolSize": 500}
    if names:
        legend["labelExpr"] = lookup(names)
    ranges: dict[str, list[Any]] = {"color": [style.colour for style in styles.values()]}
    if dash:
        ranges["strokeDash"] = [list(style.dash) for style in styles.values()]
    if shape:
        ranges["shape"] = [style.shape for style in styles.values()]
    if nested:
        last = max(len(arms) - 1, 1)
        ranges["size"] = [3.5 - 2 * place / last for place in range(len(arms))]
    return {
        channel: {
            "field": "arm",
            "type": "nominal",
            "scale": {"type": "ordinal", "domain": arms, "range": values},
            "legend": None if names == {} or channel == "size" else legend,
        }
        for channel, values in ranges.items()
    }


def lookup(names: Mapping[str, str]) -> str:
    """An expression of Vega that writes another text for each label of a legend or axis."""
    return f"({json.dumps(dict(names))})[datum.value]"


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a chart.

    Attributes:
        title: What it measures, with its unit.
        low: Its lower end; the data's where it is None.
        high: Its upper end.
        log: Whether it is logarithmic: what is not above zero is left out.
        whole: Whether only whole numbers are marked.
        zero: Whether it includes zero.
        ticks: Where it is marked; chosen where they are empty.
    """

    title: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    zero: bool = False
    ticks: Sequence[float] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Its ends, where they are known."""
        assert self.low is not None, "the axis has no ends yet"
        assert self.high is not None, "the axis has no ends yet"
        return self.low, self.high

    def over(self, values: Iterable[float]) -> Axis:
        """The axis with ends that hold all these values, those given before them."""
        shown = [v for v in values if math.isfinite(v) and (v > 0 or not self.log)]
        if not shown:
            shown = [1.0, 10.0] if self.log else [0.0, 1.0]
        low, high = min(shown), max(shown)
        if self.log:
            margin = max(high**0.05 / low**0.05, 1.15)  # the ratio itself may overflow
            low, high = low / margin, high * margin
        else:
            low, high = (min(low, 0.0), max(high, 0.0)) if self.zero else (low, high)
            margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
            low, high = low - margin * (low != 0 or not self.zero), high + margin
        return replace(
            self,
            low=low if self.low is None else self.low,
            high=high if self.high is None else self.high,
        )

    def x(self, name: str) -> dict[str, Any]:
        """The axis as the encoding of a column along x."""
        return self._along(name, grid=False)

    def y(self, name: str) -> dict[str, Any]:
        """The axis as the encoding of a column along y."""
        return self._along(name, grid=True)

    def _along(self, name: str, *, grid: bool) -> dict[str, Any]:
        scale: dict[str, Any] = {"type": "log"} if self.log else {"zero": self.zero}
        axis: dict[str, Any] = {"grid": grid, "tickCount": 6, "labelOverlap": "greedy"}
        if self.low is not None and self.high is not None:
            scale |= {"domain": [self.low, self.high], "nice": False}
            if self.log:
                axis |= {"values": log_ticks(self.low, self.high), "labelOverlap": False}
        if self.ticks:
            axis["values"] = list(self.ticks)
        if self.whole:
            axis |= {"tickMinStep": 1, "format": "d"}
            if self.low is not None and self.high is not None and self.high - self.low < 10:
                whole = range(math.ceil(self.low), math.floor(self.high) + 1)
                axis["values"] = list(whole)
        elif self.log:
            axis["format"] = "~g"
        title = {"title": self.title or None}
        return {"field": name, "type": "quantitative", "scale": scale, "axis": axis, **title}


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two ends, with 2 and 5 between few and gaps between many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if math.log10(high) - math.log10(low) < 3.5 else (1,)
    every = max(1, len(decades) // 8)
    ticks = [float(f"{digit}e{power}") for power in decades[::every] for digit in digits]
    return [tick for tick in ticks if low <= tick <= high]


def lines(
    rows: Rows,
    *,
    x: Axis,
    y: Axis,
    styles: Mapping[str, ArmStyle],
    title: str = "",
    marks: Literal["line", "points", "both"] = "both",
    spread: Literal["band", "bars", "none"] = "band",
    dash: Sequence[float] | None = None,
    steps: bool = False,
    guides: Mapping[float, str] | None = None,
    names: Mapping[str, str] | None = None,
    legend_width: int = 780,
    width: int = 380,
    height: int = 280,
) -> Chart:
    """One line for each arm through its rows, with what spreads around it.

    The results of several calls with equal axes, styles and names can be put on each other with
    `panel`: theory as ``marks="line", dash=DASHED``, what was measured as ``"points"``.

    Args:
        rows: With ``arm``, ``x``, ``y`` and, for what spreads, ``low`` and ``high``. Rows that
            cannot be shown (not finite; on a logarithmic axis not above zero) are left out.
        x: Axis of ``x``.
        y: Axis of ``y``.
        styles: By arm; all of them are in the legend.
        title: Above the panel.
        marks: Lines, points of the arm's shape, or both.
        spread: ``low`` to ``high`` as a band, as bars, or not at all.
        dash: Of all lines; that of each arm by default.
        steps: Whether lines rise as steps after each point, and later lines are thinner.
        guides: Labelled horizontal lines, by their height.
        names: What the legend calls the arms; empty for no legend.
        legend_width: Room for the legend.
        width: Of the panel.
        height: Of the panel.
    """
    kept = [row for row in rows if _has_place(row, x, y)]
    if y.low is None or y.high is None:
        shown = [(row, key) for row in kept for key in ("y", "low", "high")]
        y = y.over([row[key] for row, key in shown if _is_number(row, key)])
    if x.low is None or x.high is None:
        x = x.over([row["x"] for row in kept])
    inside = [row for own in _by_arm(kept).values() for row in _cut(own, y)]
    at = {"x": x.x("x"), "y": y.y("y")}
    legend: dict[str, Any] = {"names": names, "legend_width": legend_width}
    layers = []
    if guides:
        layers.append(guide_lines(guides, y=y, width=width, height=height))
    ranged = [row for row in inside if row.get("low") is not None and row.get("high") is not None]
    if spread != "none" and any(row["low"] != row["high"] for row in ranged):
        ends = {"x": at["x"], "y": y.y("low"), "y2": {"field": "high"}} | look(styles, **legend)
        if spread == "band":
            layers.append(mark("area", ranged, ends, opacity=BAND_OPACITY))
        else:
            layers.append(mark("rule", ranged, ends, strokeWidth=1.2))
    if marks in ("line", "both"):
        fixed = {"strokeDash": list(dash)} if dash else {}
        shape = {"interpolate": "step-after" if steps else "linear"}
        own = look(styles, dash=dash is None, nested=steps, **legend)
        layers.append(mark("line", inside, at | own, **fixed, **shape))
    if marks in ("points", "both"):
        low, high = y.ends
        # Of many points every so manieth, so that they do not touch.
        parts = [own[:: max(1, len(own) // _MOST_POINTS)] for own in _by_arm(kept).values()]
        seen = [row for own in parts for row in own if low <= row["y"] <= high]
        points = look(styles, shape=True, **legend)
        layers.append(mark("point", seen, at | points, opacity=1))
    if not kept:
        layers.append(remark("no finite values", width=width, height=height))
    return panel(*layers, title=title, width=width, height=height)


def _by_arm(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(row)
    return found


def _cut(rows: Rows, y: Axis) -> list[dict[str, Any]]:
    """A line and its band where they lie within an axis, with a point where they cross its ends.

    Clipping does the same, but makes rendering a PNG a hundred times as slow.
    """
    turn, back = (math.log, math.exp) if y.log else (float, float)
    low, high = map(turn, y.ends)
    keys = ("y", "low", "high")
    points = []
    for row in rows:
        known = {key: row[key] for key in keys if _is_number(row, key)}
        if y.log:
            known = {key: max(value, 1e-300) for key, value in known.items()}
        points.append({"x": row["x"]} | {key: turn(value) for key, value in known.items()})
    dense = points[:1]
    for left, right in itertools.pairwise(points):
        both = [key for key in keys if key in left and key in right]
        shares = {
            (end - left[key]) / (right[key] - left[key])
            for key in both
            for end in (low, high)
            if (left[key] - end) * (right[key] - end) < 0
        }
        for share in sorted(shares):
            dense.append(
                {key: left[key] + share * (right[key] - left[key]) for key in ("x", *both)}
            )
        dense.append(right)
    slack = 1e-9 * (high - low)
    found = []
    for point in dense:
        row = {key: back(min(max(point[key], low), high)) for key in keys if key in point}
        if not low - slack <= point["y"] <= high + slack:
            row["y"] = None
        found.append({"arm": rows[0]["arm"], "x": point["x"], **row})
    return found


def _is_number(row: Mapping[str, Any], key: str) -> bool:
    return row.get(key) is not None and math.isfinite(row[key])


def _has_place(row: Mapping[str, Any], x: Axis, y: Axis) -> bool:
    return all(
        _is_number(row, key) and (row[key] > 0 or not axis.log)
        for key, axis in (("x", x), ("y", y))
    )


def remark(text: str, *, width: int, height: int) -> Chart:
    """A grey text in the middle of a panel: why there is nothing in it."""
    middle = {"x": {"value": width / 2}, "y": {"value": height / 2}}
    return mark("text", [{}], middle, text=text, color=GUIDE)


def guide_lines(
    guides: Mapping[float, str], *, y: Axis, width: int, height: int, dash: Sequence[float] = DOTTED
) -> Chart:
    """Thin horizontal lines with labels right of the panel, pushed apart where they are close."""
    turn = math.log if y.log else float
    low, high = map(turn, y.ends)
    shown = sorted(at for at in guides if y.ends[0] <= at <= y.ends[1])
    places = [(turn(at) - low) / (high - low) for at in shown]
    rows = []
    for at, place in zip(shown, spread_apart(places, distance=14 / height), strict=True):
        label = low + place * (high - low)
        rows.append({"y": at, "place": math.exp(label) if y.log else label, "says": guides[at]})
    right, beside = {"value": width}, y.y("place")
    link = {"x": right, "x2": {"value": width + 11}, "y": y.y("y"), "y2": {"field": "place"}}
    text = {"x": right, "y": beside, "text": field("says")}
    return panel(
        mark("rule", rows, {"y": y.y("y")}, color=GUIDE, strokeDash=list(dash), strokeWidth=1),
        mark("rule", rows, link, color=GUIDE, strokeWidth=0.7),
        mark("text", rows, text, color=GUIDE, align="left", dx=14),
        width=width,
        height=height,
    )


def spread_apart(places: Sequence[float], *, distance: float) -> list[float]:
    """Move places as little as needed so that neighbours are a distance apart."""
    # Groups of labels that touch are centred on the places they belong to.
    groups: list[list[float]] = []

    def first(group: Sequence[float]) -> float:
        return math.fsum(group) / len(group) - distance * (len(group) - 1) / 2

    for place in places:
        groups.append([place])
        while len(groups) > 1 and (
            first(groups[-1]) < first(groups[-2]) + distance * len(groups[-2])
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [first(group) + i * distance for group in groups for i in range(len(group))]


_OFF_SCALE = 15
"""A row whose reach is so many times that of the middle row does not squeeze the others."""


def intervals(
    rows: Rows,
    *,
    x: Axis,
    title: str = "",
    reference: float | None = 0.0,
    shaded: tuple[float | None, float | None] | None = None,
    width: int = 260,
    row_height: int = 24,
) -> Chart:
    """Dots with intervals, a row each: differences, forests of claims, times to a target.

    Args:
        rows: In order, with ``label``, ``colour``, and any of ``value``, ``low``, ``high``
            (numbers; an interval with one end alone is open, and so is an end that ``open``,
            "low" or "high", names: an arrow), ``solid`` (whether the dot is filled), ``shape``
            (of Vega; a circle by default), ``says`` (text right of the panel).
        x: Axis of the values.
        title: Above the panel.
        reference: Where a line stands, included in the axis; None for no line.
        shaded: Ends of a shaded ground; None for the panel's edge.
        width: Of the panel.
        row_height: Height of a row.
    """
    rows = [{"place": i, "shape": "circle", "solid": True, **row} for i, row in enumerate(rows)]
    zero = 0.0 if reference is None else reference
    limit = _limit(rows, zero)
    held = [zero] if reference is not None else []
    held += [max(zero - limit, min(zero + limit, n)) for row in rows for n in _numbers(row)]
    x = x.over(held)
    first, last = x.ends
    labels = {str(row["place"]): str(row["label"]) for row in rows}
    axis: dict[str, Any] = {"domain": False, "ticks": False, "grid": False, "labelPadding": 8}
    axis["labelExpr"] = lookup(labels)
    scale = {"domain": list(range(len(rows)))}
    place = {"field": "place", "type": "ordinal", "title": None, "scale": scale, "axis": axis}
    own = {"y": place, "color": field("colour")}
    bars: list[dict[str, Any]] = []
    arrows: list[dict[str, Any]] = []
    dots: list[dict[str, Any]] = []
    for row in rows:
        bar, tips = _bar(row, first, last)
        bars += bar
        arrows += tips
        if row.get("value") is None:
            continue
        dot = {**row, "at": row["value"], "fill": row["colour"] if row["solid"] else PAPER}
        if abs(row["value"] - zero) > limit:
            side = "right" if row["value"] > zero else "left"
            dot |= {"at": zero + math.copysign(limit, row["value"] - zero), "off": side}
            dot["shape"] = f"triangle-{side}"
        dots.append(dot)
    # Rows without numbers have their place, too.
    layers = [mark("point", rows, {"y": place}, opacity=0)]
    if shaded is not None:
        left = first if shaded[0] is None else shaded[0]
        right = last if shaded[1] is None else shaded[1]
        ends = {"x": x.x("from"), "x2": {"field": "to"}}
        ground = [{"from": left, "to": right}]
        layers.insert(0, mark("rect", ground, ends, color=BLUISH_GREEN, opacity=0.12))
    if reference is not None:
        line = {"x": x.x("at")}
        layers.append(mark("rule", [{"at": reference}], line, color=GUIDE, strokeWidth=1.2))
    ends = {"x": x.x("low"), "x2": {"field": "high"}}
    layers.append(mark("rule", bars, ends | own, strokeWidth=2.4))
    at = {"x": x.x("at")}
    layers.append(mark("point", arrows, at | own | {"shape": field("shape")}, size=45, opacity=1))
    filled = {"y": place, "stroke": field("colour"), "fill": field("fill")}
    filled["shape"] = field("shape")
    layers.append(mark("point", dots, at | filled, size=75, strokeWidth=1.8, opacity=1))
    for side, dx in (("left", 10), ("right", -10)):
        off = [dot for dot in dots if dot.get("off") == side]
        style = {"align": side, "dx": dx, "dy": -8, "fontSize": 10}
        layers.append(mark("text", off, at | own, text="off the scale", **style))
    said = {"x": {"value": width}, "y": place, "text": field("says")}
    beside = [row for row in rows if row.get("says")]
    layers.append(mark("text", beside, said, align="left", dx=10))
    return panel(*layers, title=title, width=width, height=row_height * len(rows))


def _numbers(row: Mapping[str, Any]) -> list[float]:
    return [row[key] for key in ("low", "value", "high") if _is_number(row, key)]


def _limit(rows: Rows, zero: float) -> float:
    """The largest distance from zero that the axis shows."""
    reaches = [max(abs(number - zero) for number in _numbers(row)) for row in rows if _numbers(row)]
    if not reaches:
        return 1.0
    middle = statistics.median_low(reaches)
    return max(reach for reach in reaches if reach <= _OFF_SCALE * middle)


def _bar(
    row: Mapping[str, Any], low: float, high: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The bar of an interval within the axis, and arrows at its open ends."""
    ends = (row.get("low"), row.get("high"))
    if ends == (None, None):
        return [], []
    left = low if ends[0] is None else min(max(ends[0], low), high)
    right = high if ends[1] is None else min(max(ends[1], low), high)
    bar = {"low": left, "high": right, "place": row["place"], "colour": row["colour"]}
    arrows = []
    if ends[0] is None or row.get("open") == "low":
        arrows.append({**bar, "at": left, "shape": "triangle-left"})
    if ends[1] is None or row.get("open") == "high":
        arrows.append({**bar, "at": right, "shape": "triangle-right"})
    return [bar], arrows


def heat_maps(
    rows: Rows,
    *,
    x_title: str,
    y_title: str,
    unit: str,
    panels: Mapping[str, str],
    log: bool = False,
    ends: tuple[float, float] | None = None,
    columns: int = 4,
) -> list[Chart]:
    """A map of a value for each panel, all on one colour scale; grey where there is no value.

    Args:
        rows: With ``panel``, ``x`` and ``y`` (numbers, evenly spread; y downwards) and ``value``.
        x_title: What goes along x.
        y_title: What goes along y.
        unit: Title of the colour scale.
        panels: Titles by panel, in order; a line break starts a line.
        log: Whether colours are logarithmic.
        ends: Of the colour scale; the data's by default.
        columns: Panels in a row of the page: the first of each names y.
    """
    values = [row["value"] for row in rows if _is_number(row, "value")]
    values = [value for value in values if value > 0 or not log]
    low, high = ends or (min(values, default=1.0), max(values, default=1.0))
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    xs, ys = (sorted({row[key] for row in rows}) for key in ("x", "y"))
    width, height = max(120, min(420, 14 * len(xs))), max(60, min(420, 18 * len(ys)))
    scale = {"type": "log" if log else "linear", "domain": [low, high], "clamp": True}
    scale["scheme"] = "cividis"
    legend: dict[str, Any] = {"orient": "right", "title": unit, "gradientLength": max(height, 110)}
    if log:
        legend |= {"values": log_ticks(low, high), "format": "~g"}
    colour = {"field": "value", "type": "quantitative", "scale": scale, "legend": legend}

    def along(name: str, order: Sequence[Any], title: str | None) -> dict[str, Any]:
        # Few labels, evenly spread.
        shown = order[:: max(1, math.ceil(len(order) / 8))]
        axis = {"values": shown, "labelAngle": 0, "grid": False, "domain": False, "ticks": False}
        scale = {"domain": order}
        return {"field": name, "type": "ordinal", "title": title, "axis": axis, "scale": scale}

    drawn = []
    everywhere = [{"x": one, "y": other} for one in xs for other in ys]
    for number, (name, title) in enumerate(panels.items()):
        mine = [row for row in rows if row["panel"] == name and _is_number(row, "value")]
        cells = [row for row in mine if row["value"] > 0 or not log]
        at = {
            "x": along("x", xs, x_title),
            "y": along("y", ys, None if number % columns else y_title),
        }
        drawn.append(
            panel(
                mark("rect", everywhere, at, color=GRID),
                mark("rect", cells, at | {"color": colour}),
                title=title,
                width=width,
                height=height,
            )
        )
    return drawn


_LOG_FROM_RATIO = 10
_HIGHEST_LOSS = 1e4
_ACCURACY_BOTTOMS = (98, 95, 90, 80, 50)
_FEWEST_EPOCHS = 3
_MOST_POINTS = 15


def loss_axis(values: Sequence[float], *, title: str) -> Axis:
    """An axis of losses: logarithmic if they span more than a factor of 10, else from 0.

    What is above 10,000 nats, as just before a divergence, does not squeeze the rest.

    Args:
        values: All finite losses, in nats.
        title: Without the unit.
    """
    positive = [value for value in values if value > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    high = min(high, max(_HIGHEST_LOSS, low))
    if high / low < _LOG_FROM_RATIO:
        return Axis(title=f"{title} (nats)", low=0.0, high=1.1 * high if positive else 1.0)
    margin = (high / low) ** 0.05
    return Axis(title=f"{title} (nats, log scale)", low=low / margin, high=high * margin, log=True)


def accuracy_bottom(found: pd.DataFrame, *, targets: Sequence[float]) -> float:
    """Where an axis of accuracies that ends at 100 % begins, in percent.

    It shows all targets, and all seeds in the second half of the epochs; what happens before may
    lie below. With less than three epochs it begins at 0.
    """
    lows = [100 * target for target in targets]
    for _, band in found.groupby(list(ARM_COLUMNS), sort=False):
        last = int(band["epoch"].max())
        if last < _FEWEST_EPOCHS:
            return 0.0
        lows += list(100 * band.loc[band["epoch"] >= last / 2, "low"])
    lowest = min(lows, default=0.0)
    lowest -= 0.1 * (100 - lowest)
    return next((float(bottom) for bottom in _ACCURACY_BOTTOMS if bottom <= lowest), 0.0)


def curves(
    rows: pd.DataFrame,
    *,
    targets: Sequence[float],
    title: str,
    styles: Mapping[str, ArmStyle] | None = None,
) -> Chart:
    """Loss on the left and validation accuracy on the right, by epoch.

    A line is the median over the seeds of an arm, its band goes from the lowest to the highest. A
    network that diverges is in both up to its last finite epoch, which a cross marks.

    Args:
        rows: One row per network and epoch, with the columns name, arm, seed, epoch, train_loss,
            val_loss and val_accuracy, and status where it is known.
        targets: Validation accuracies in (0, 1].
        title: What the picture shows, in words.
        styles: Looks by arm label (`bninit.arms.arm_labels`); by order if not given.
    """
    arms = list(zip(map(str, rows["name"]), map(str, rows["arm"]), strict=True))
    labels = arm_labels(list(dict.fromkeys(arms)))
    styles = styles or arm_styles(list(labels.values()))
    styles = {label: styles[label] for label in labels.values()}
    rows = rows.assign(name=[labels[arm] for arm in arms])
    seeds = rows.groupby("name", sort=False)["seed"].nunique().to_dict()
    finite, lost = finite_rows(rows), last_before_divergence(rows)
    accuracy = bands(rows, "val_accuracy")
    bottom = accuracy_bottom(accuracy, targets=targets)
    epochs = Axis(title="epochs of training (0: before training)", whole=True)
    epochs = epochs.over([0, *rows["epoch"], 1])
    axes = {
        "loss": loss_axis(
            [*finite["train_loss"], *finite["val_loss"]], title="mean cross-entropy per image"
        ),
        "accuracy": Axis(
            title="validation images classified correctly (%)",
            low=bottom,
            high=100 + 0.02 * (100 - bottom),
        ),
    }
    guides = {100 * target: f"target {words.target_percent(target)}" for target in targets}
    if bottom == 0:
        guides[100 / NUM_CLASSES] = "guessing"
    names = {label: f"{label} ({words.plural(seeds[label], 'seed')})" for label in styles}

    def drawn(column: str, axis: str, **more: Any) -> Chart:
        factor = 100 if axis == "accuracy" else 1
        tidy = [
            {"arm": row["name"], "x": row["epoch"], "y": factor * row["median"]}
            | {end: factor * row[end] for end in ("low", "high")}
            for row in bands(rows, column).to_dict("records")
        ]
        return lines(tidy, x=epochs, y=axes[axis], styles=styles, height=300, **more)

    def lost_at(column: str, axis: str) -> Chart:
        factor = 100 if axis == "accuracy" else 1
        at = [
            {"arm": row["name"], "x": row["epoch"], "y": factor * row[column]}
            for row in lost.to_dict("records")
        ]
        return crosses(at, x=epochs, y=axes[axis], styles=styles, names=names)

    solid: dict[str, Any] = {"dash": DASHES[0], "names": names}
    left = panel(
        drawn("train_loss", "loss", marks="line", dash=DASHED, names=names),
        drawn("val_loss", "loss", guides={math.log(NUM_CLASSES): "guessing"}, **solid),
        lost_at("val_loss", "loss"),
        title="Loss: lower is better",
        height=300,
    )
    right = panel(
        drawn("val_accuracy", "accuracy", guides=guides, **solid),
        lost_at("val_accuracy", "accuracy"),
        title="Validation accuracy: higher is better",
        height=300,
    )
    note = "Solid: validation. Dashed: training."
    if max(seeds.values(), default=1) > 1:
        note += " Lines: median of the seeds. Bands: lowest to highest seed."
    if len(lost):
        note += f" Cross: diverged after this epoch ({words.of(len(lost), sum(seeds.values()))})."
    if bottom > 0:
        note += f" {_hidden(accuracy, bottom)}"
    return page([left, right], title=title, note=note)


def _hidden(found: pd.DataFrame, bottom: float) -> str:
    """What an axis of accuracies that begins above 0 hides."""
    below = found[100 * found["low"] < bottom]
    said = f"The axis begins at {bottom:g} %."
    if below.empty:
        return said
    lowest, last = 100 * below["low"].min(), int(below["epoch"].max())
    when = "epoch 0" if last == 0 else f"up to epoch {last}"
    return f"{said} Below it: {when} (from {lowest:.1f} %)."


def crosses(
    rows: Rows,
    *,
    x: Axis,
    y: Axis,
    styles: Mapping[str, ArmStyle],
    names: Mapping[str, str] | None = None,
) -> Chart:
    """Crosses where networks diverged (``arm``, ``x``, ``y``), at the edge where that is beyond."""
    low, high = y.ends
    inside = [{**row, "y": min(max(row["y"], low), high)} for row in rows]
    at = {"x": x.x("x"), "y": y.y("y")} | look(styles, names=names)
    return mark(
        "point", inside, at, shape=CROSS, size=110, strokeWidth=2.4, filled=False, opacity=1
    )


def draw_arm(runs_dir: Path, config: Config) -> Path:
    """Draw the curves of all runs of an arm into its folder; returns the picture's path.

    Raises:
        StoreError: The file cannot be written.
    """
    from bninit.store import arm_folder, load_runs
    from bninit.store.files import write_bytes
    from bninit.store.names import CURVES

    folder = arm_folder(runs_dir, config)
    placements = {config.name: config.model.norm.placement}
    chart = curves(
        load_runs(folder),
        targets=config.targets,
        title=words.describe(config),
        styles=arm_styles([config.name], placements=placements),
    )
    write_bytes(folder / CURVES, png(chart))
    return folder / CURVES
