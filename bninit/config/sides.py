"""Which arms a claim is about.

A side of a claim is all arms of its experiment that match it. The axes that the claim does not
name are its cells: both sides must have the same ones, one arm in each (and at each level of the
axis that a spread or a trend is taken over), so that every difference is one of like with like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bninit.config.claim import Claim
from bninit.config.expansion import StudyArm, arm_value, fits
from bninit.config.identity import canonical_json
from bninit.config.layers import Setting, key_path, overlap, settings_of
from bninit.config.source import Plain


@dataclass(frozen=True)
class Sides:
    """The arms of a claim.

    Attributes:
        left: The left side.
        right: The right side, the number to hold the left one against, or None for a trend.
        axes: Dotted keys of the axes that the claim does not name: the cells to pair.
        over: Dotted key that a spread or a trend is taken over, or None.
        levels: The values at that key (see `arm_value`), by score or in order of appearance.
        scores: Positions of the levels for a trend: the numbers themselves, the number of layers,
            or their width. None without such an order.
    """

    left: tuple[StudyArm, ...]
    right: tuple[StudyArm, ...] | float | None
    axes: tuple[str, ...]
    over: str | None
    levels: tuple[Plain, ...]
    scores: tuple[float, ...] | None

    def cell(self, arm: StudyArm) -> tuple[Plain, ...]:
        """Return an arm's values on the axes to pair."""
        return tuple(arm.values[axis] for axis in self.axes)


def sides_of(claim: Claim, arms: Iterable[StudyArm]) -> Sides:
    """Return the arms that a claim is about.

    Args:
        claim: The claim of a loaded study.
        arms: The study's arms, those of other experiments too.
    """
    mine = [arm for arm in arms if arm.experiment == claim.experiment]
    over = claim.spread if claim.spread is not None else claim.trend
    given, left = settings_of(claim.given), settings_of(claim.left)
    right = settings_of(claim.right) if isinstance(claim.right, dict) else []
    named = [setting.path for setting in (*left, *right)]
    if over is not None:
        named.append(key_path(over))
    left_arms = _matching(mine, [*given, *left])
    right_arms = _matching(mine, [*given, *right]) if isinstance(claim.right, dict) else claim.right
    both = [*left_arms, *(right_arms if isinstance(right_arms, tuple) else ())]
    levels = [] if over is None else distinct(arm_value(arm, over) for arm in both)
    scores = level_scores(levels)
    if scores is not None:
        scores, levels = _sorted_by(scores, levels)
    axes = mine[0].values if mine else ()
    return Sides(
        left=left_arms,
        right=right_arms,
        axes=tuple(
            axis for axis in axes if not any(overlap(key_path(axis), path) for path in named)
        ),
        over=over,
        levels=tuple(levels),
        scores=None if claim.trend is None else scores,
    )


def level_scores(levels: Sequence[Plain]) -> tuple[float, ...] | None:
    """Return where levels lie on a line, or None if they do not.

    Numbers are their own scores. Lists of layer widths score by their length where all layers
    have one width, and by that width where all lists have one length.

    Args:
        levels: Different values of one key.
    """
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        return tuple(float(level) for level in levels)  # type: ignore[arg-type]
    lists = [level for level in levels if isinstance(level, list)]
    if len(lists) < len(levels):
        return None
    widths = {canonical_json(width): width for level in lists for width in level}
    if len(widths) == 1:
        return tuple(float(len(level)) for level in lists)
    is_even = all(level and all(width == level[0] for width in level) for level in lists)
    if is_even and len({len(level) for level in lists}) == 1:
        return tuple(float(level[0]) for level in lists)  # type: ignore[arg-type]
    return None


def _matching(arms: Sequence[StudyArm], settings: Sequence[Setting]) -> tuple[StudyArm, ...]:
    return tuple(arm for arm in arms if fits(arm.config, settings))


def distinct(values: Iterable[Plain]) -> list[Plain]:
    """Return values without repetitions, in order of appearance."""
    return list({canonical_json(value): value for value in values}.values())


def _sorted_by(
    scores: Sequence[float], levels: Sequence[Plain]
) -> tuple[tuple[float, ...], list[Plain]]:
    order = sorted(range(len(levels)), key=lambda index: scores[index])
    return tuple(scores[index] for index in order), [levels[index] for index in order]
