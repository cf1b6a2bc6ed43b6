"""How a study's arms and the sides of its claims look on a page, and what they are called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bninit.analysis.portraits import Portrait, SidePortrait
from bninit.config import StudyArm
from bninit.config.labels import value_label
from bninit.views.claim_words import PLACEMENTS, axis_name
from bninit.views.palette import (
    BLUISH_GREEN,
    COLOURS,
    PLACEMENT_COLOURS,
    REDDISH_PURPLE,
    ArmStyle,
    assign_styles,
)

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


def side_looks(portrait: Portrait, *, colours: Mapping[str, str]) -> tuple[Look, Look]:
    """The looks of a claim's sides.

    Sides that differ in placement have its colours, and a side of one arm alone has the arm's;
    others have two colours that stand for no placement.
    """
    left = _placement(portrait.left)
    if portrait.right is None:
        colour = BLUISH_GREEN if left is None else PLACEMENT_COLOURS[left]
        if len(portrait.left.arms) == 1:
            colour = colours[portrait.left.arms[0].id]
        look = Look(colour_class(colour), "o")
        return look, look
    right = _placement(portrait.right)
    if left is None or right is None or left == right:
        return Look(colour_class(BLUISH_GREEN), "o"), Look(colour_class(REDDISH_PURPLE), "s")
    return (
        Look(colour_class(PLACEMENT_COLOURS[left]), "o"),
        Look(colour_class(PLACEMENT_COLOURS[right]), "s"),
    )


def _placement(side: SidePortrait) -> str | None:
    """The placement that all arms of a side share; None if they do not."""
    placements = {arm.config.model.norm.placement for arm in side.arms}
    return placements.pop() if len(placements) == 1 else None
