"""What is wrong with a claim's sides, found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bninit.config.claim import Claim
from bninit.config.expansion import StudyArm, arm_value, fits, plain_at, wanted
from bninit.config.identity import canonical_json
from bninit.config.labels import short_keys, value_label
from bninit.config.layers import key_path, overlap, settings_of
from bninit.config.nearest import nearest
from bninit.config.sides import Sides, distinct, sides_of
from bninit.config.source import Path, Plain, dotted, shown_value

_MAX_TOLD = 3


@dataclass(frozen=True)
class SideFault:
    """What is wrong with a claim's sides.

    Attributes:
        path: The key, below the claim.
        what: What is wrong.
        hint: What to do.
    """

    path: Path
    what: str
    hint: str | None = None


def side_faults(claim: Claim, arms: Sequence[StudyArm]) -> Iterator[SideFault]:
    """Yield what is wrong with a claim's sides.

    Args:
        claim: The claim; its keys and values are such as a config can have.
        arms: All arms of its experiment.
    """
    sides = sides_of(claim, arms)
    over_faults = list(_over_faults(claim, arms, sides))
    yield from over_faults
    unmatched = [
        fault
        for key, side in (("left", sides.left), ("right", sides.right))
        if side == ()
        for fault in [_unmatched(claim, key, arms)]
    ]
    yield from dict.fromkeys(unmatched)
    if unmatched or over_faults:
        return
    if isinstance(sides.right, tuple):
        shared = {arm.id for arm in sides.left} & {arm.id for arm in sides.right}
        if shared:
            label = next(arm.label for arm in sides.right if arm.id in shared)
            what = f"both sides have the arm {label}"
            if len(shared) > 1:
                what += f" and {len(shared) - 1} more"
            yield SideFault(("right",), what, "the sides of a claim have no arm in common")
            return
    crowded = [*_crowded("left", sides.left, sides)]
    if isinstance(sides.right, tuple):
        crowded += _crowded("right", sides.right, sides)
    yield from crowded
    if not crowded:
        yield from _unbalanced(sides)


def _over_faults(claim: Claim, arms: Sequence[StudyArm], sides: Sides) -> Iterator[SideFault]:
    if sides.over is None:
        return
    key = ("spread",) if claim.spread is not None else ("trend",)
    axes = list(arms[0].values)
    if not any(overlap(key_path(axis), key_path(sides.over)) for axis in axes):
        found = nearest(sides.over, axes)
        guess = f"did you mean {found}? " if found else ""
        what = f"{shown_value(sides.over)} is not an axis of {claim.experiment}"
        yield SideFault(key, what, f"{guess}its axes: {', '.join(axes) or 'none'}")
    elif sides.left and len(sides.levels) < 2:
        what = f"{sides.over} has one value in these arms"
        yield SideFault(key, what, f"a {key[0]} needs at least two: leave it out of the sides")
    elif claim.trend is not None and sides.left and sides.scores is None:
        levels = ", ".join(value_label(level) for level in sides.levels[:6])
        what = f"the values of {sides.over} have no order: {levels}"
        yield SideFault(key, what, "a trend is along numbers, the depth alone or the width alone")


def _unmatched(claim: Claim, key: str, arms: Sequence[StudyArm]) -> SideFault:
    """Tell why no arm matches a side: the first key whose value no arm has, or all together."""
    side: Mapping[str, Plain] = claim.left if key == "left" else claim.right  # type: ignore[assignment]
    settings = [
        *settings_of(claim.given, origin=("given",)),
        *settings_of(side, origin=(key,)),
    ]
    for setting in settings:
        if any(fits(arm.config, [setting]) for arm in arms):
            continue
        for path, value in wanted([setting]):
            known = [value_label(each) for each in distinct(plain_at(a.config, path) for a in arms)]
            if value_label(value) in known and len(wanted([setting])) > 1:
                continue
            found = nearest(value, known) if isinstance(value, str) else None
            guess = f"did you mean {found}? " if found else ""
            hint = f"{guess}its arms have: {', '.join(known[:10])}"
            if len(known) > 10:
                hint += f" and {len(known) - 10} more"
            what = f"no arm of {claim.experiment} has {dotted(path)} {shown_value(value)}"
            return SideFault(setting.origin, what, hint)
    what = f"no arm of {claim.experiment} has all of these values" + (
        " and those given" if claim.given else ""
    )
    return SideFault((key,), what, "its arms: " + _some([arm.label for arm in arms]))


def _crowded(key: str, side: Sequence[StudyArm], sides: Sides) -> Iterator[SideFault]:
    """Tell of a cell of a side that has several arms, as only the other side names what differs."""
    cells: dict[str, StudyArm] = {}
    for arm in side:
        first = cells.setdefault(_place(arm, sides), arm)
        if first is arm:
            continue
        open_keys = [axis for axis in arm.values if arm.values[axis] != first.values[axis]]
        what = f"this side leaves {', '.join(open_keys)} open: it has {first.label} and {arm.label}"
        if sides.over is not None and not set(open_keys) - {sides.over}:
            what = f"this side has two arms at one level: {first.label} and {arm.label}"
        yield SideFault((key,), what, "name it on both sides, or restrict both with given")
        return


def _unbalanced(sides: Sides) -> Iterator[SideFault]:
    """Tell of cells and levels that one side has and the other has not."""
    if isinstance(sides.right, float) or (sides.right is None and sides.over is None):
        return
    parts = {"left": sides.left}
    if isinstance(sides.right, tuple):
        parts["right"] = sides.right
    has = {key: {_place(arm, sides) for arm in side} for key, side in parts.items()}
    every = [arm for side in parts.values() for arm in side]
    cells = {canonical_json(sides.cell(arm)): arm for arm in every}
    for key, places in has.items():
        missing = []
        for arm in cells.values():
            for level in sides.levels or (None,):
                if _place_at(arm, level, sides) not in places:
                    missing.append(_described(arm, level, sides))
        if missing:
            what = f"the {key} side has no arm with {_some(missing)}"
            hint = "name the key on both sides, restrict both with given, or add the arms"
            restriction = _restriction(sides)
            if restriction:
                hint = f"put {restriction} under given, so that both sides have the same; or {hint}"
            yield SideFault((key,), what, hint)


def _restriction(sides: Sides) -> str | None:
    """Return a value of one axis that would leave both sides with the same cells."""
    if not isinstance(sides.right, tuple) or sides.over is not None:
        return None
    for index, axis in enumerate(sides.axes):
        cells = [
            {canonical_json(sides.cell(a)): sides.cell(a) for a in side}
            for side in (sides.left, sides.right)
        ]
        common = [cell[index] for key, cell in cells[0].items() if key in cells[1]]
        if len(distinct(common)) != 1 or isinstance(common[0], str | list):
            continue
        kept = [{key for key, cell in side.items() if cell[index] == common[0]} for side in cells]
        if kept[0] == kept[1]:
            return f"{axis}: {value_label(common[0])}"
    return None


def _place(arm: StudyArm, sides: Sides) -> str:
    return _place_at(arm, None if sides.over is None else arm_value(arm, sides.over), sides)


def _place_at(arm: StudyArm, level: Plain, sides: Sides) -> str:
    return canonical_json([*sides.cell(arm), level])


def _described(arm: StudyArm, level: Plain, sides: Sides) -> str:
    keys = [*sides.axes, *([] if sides.over is None else [sides.over])]
    names = short_keys([key_path(key) for key in keys])
    values = [*sides.cell(arm), level]
    return ", ".join(
        f"{name} {value_label(value)}" for name, value in zip(names.values(), values, strict=False)
    )


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_TOLD} more" if len(texts) > _MAX_TOLD else ""
    return "; ".join(texts[:_MAX_TOLD]) + more
