"""How arms look in every picture, and how every picture looks.

An arm is told by its colour and, for those who do not see the colour or print without it, by its
line style and marker. Colours are those of Okabe & Ito (2008, "Color Universal Design", revised;
also Wong 2011, Nature Methods 8:441), which stay apart in all common forms of colour blindness.
Their yellow is left out: on white it is hardly seen (contrast 1.3 to 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, cycle
from typing import Any, Final

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
