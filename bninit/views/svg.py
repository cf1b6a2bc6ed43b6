"""Small pictures as SVG text for web pages: their colours follow the page, light or dark.

Elements carry classes of the page's style sheet (`bninit/views/templates/report.css`), and no
colours of their own. All text is escaped.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from bninit.views.palette import LINE_STYLES

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
        for tick, text in zip(ticks, tick_labels(ticks), strict=True):
            self.line(scale(tick), y, scale(tick), y + 4, kind="axis")
            self.text(scale(tick), y + 16, text, kind="tick", anchor="middle")
        if not label:
            return y + 20
        # Set flush right, so that a long one stays within the picture.
        self.text(scale.end, y + 31, label, kind="label", anchor="end")
        return y + 36

    def axis_left(self, x: float, scale: Scale, *, width: float, percent: bool = False) -> None:
        """Draws tick labels to the left of `x` and thin lines across."""
        ticks = scale.ticks(6)
        for tick, text in zip(ticks, tick_labels(ticks), strict=True):
            self.line(x, scale(tick), x + width, scale(tick), kind="grid")
            self.text(
                x - 6, scale(tick) + 4, text + (" %" if percent else ""), kind="tick", anchor="end"
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
