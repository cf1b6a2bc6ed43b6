"""Which arms a claim is about, and what is wrong with a claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bninit.config.identity import canonical_json, short_keys, value_label
from bninit.config.overlay import is_key, key_path, settings_of
from bninit.fields import Fault, Path, Plain, dotted, name_fault, nearest, overlap, shown_value
from bninit.metrics import METRICS
from bninit.training.settings import DEFAULT_GROUPS
from bninit.verbs.study.expand import StudyArm, StudyFaults, fits, plain_at, wanted
from bninit.verbs.study.schema import Claim

_MAX_NAMED = 3


@dataclass(frozen=True)
class Sides:
    """The arms of a claim.

    Attributes:
        left: The left side.
        right: The right side, the number to hold the left one against, or None for a trend.
        axes: Dotted keys of the axes that the claim does not name: the cells to pair.
        over: Dotted key that a spread or a trend is taken over, or None.
        levels: The values at that key (see `plain_at`), by score or in order of appearance.
        scores: Positions of the levels for a trend: the numbers themselves, the number of layers,
            or their width. None without such an order.
    """

    left: tuple[StudyArm, ...]
    right: tuple[StudyArm, ...] | float | None
    axes: tuple[str, ...]
    over: str | None
    levels: tuple[Plain, ...]
    scores: tuple[float, ...] | None

    @property
    def parts(self) -> dict[str, tuple[StudyArm, ...]]:
        """The sides that have arms, by key."""
        right = {"right": self.right} if isinstance(self.right, tuple) else {}
        return {"left": self.left, **right}

    def cell(self, arm: StudyArm) -> tuple[Plain, ...]:
        """Return an arm's values on the axes to pair."""
        return tuple(arm.values[axis] for axis in self.axes)

    def level(self, arm: StudyArm) -> Plain:
        """Return an arm's value on the axis of a spread or a trend."""
        return None if self.over is None else plain_at(arm.config, key_path(self.over))


def sides_of(claim: Claim, arms: Iterable[StudyArm]) -> Sides:
    """Return the arms that a claim is about."""
    mine = [arm for arm in arms if arm.experiment == claim.experiment]
    over = claim.over
    given, left = settings_of(claim.given), settings_of(claim.left)
    right = settings_of(claim.right) if isinstance(claim.right, dict) else []
    named = [setting.path for setting in (*left, *right)]
    if over is not None:
        named.append(key_path(over))
    left_arms = tuple(arm for arm in mine if fits(arm.config, [*given, *left]))
    right_arms = tuple(arm for arm in mine if fits(arm.config, [*given, *right]))
    is_paired = isinstance(claim.right, dict)
    levels: list[Plain] = []
    if over is not None:
        both = [*left_arms, *(right_arms if is_paired else ())]
        levels = distinct(plain_at(arm.config, key_path(over)) for arm in both)
    scores = level_scores(levels)
    if scores is not None:
        order = sorted(range(len(levels)), key=scores.__getitem__)
        scores = tuple(scores[index] for index in order)
        levels = [levels[index] for index in order]
    return Sides(
        left=left_arms,
        right=claim.right if not isinstance(claim.right, dict) else right_arms,
        axes=tuple(
            axis
            for axis in (mine[0].values if mine else ())
            if not any(overlap(key_path(axis), path) for path in named)
        ),
        over=over,
        levels=tuple(levels),
        scores=None if claim.trend is None else scores,
    )


def level_scores(levels: Sequence[Plain]) -> tuple[float, ...] | None:
    """Return where levels lie on a line, or None if they do not.

    Numbers are their own scores. Lists of layer widths score by their length where all layers
    have one width, and by that width where all lists have one length.
    """
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        return tuple(float(level) for level in levels)  # type: ignore[arg-type]
    lists = [level for level in levels if isinstance(level, list)]
    if len(lists) < len(levels):
        return None
    if len({canonical_json(width) for level in lists for width in level}) == 1:
        return tuple(float(len(level)) for level in lists)
    is_even = all(level and all(width == level[0] for width in level) for level in lists)
    if is_even and len({len(level) for level in lists}) == 1:
        return tuple(float(level[0]) for level in lists)  # type: ignore[arg-type]
    return None


def distinct(values: Iterable[Plain]) -> list[Plain]:
    """Return values without repetitions, in order of appearance."""
    return list({canonical_json(value): value for value in values}.values())


def check_claim(
    claim: Claim,
    *,
    at: Path,
    arms: Mapping[str, Sequence[StudyArm]],
    damaged: Collection[str],
    faults: StudyFaults,
) -> None:
    """Note all that is wrong with a claim; what its damaged experiment lacks is not."""
    found = [*_metric_faults(claim), *_experiment_faults(claim, arms, damaged)]
    mine = arms.get(claim.experiment or "", ())
    has_keys = [_has_keys(claim, key, at, faults) for key in ("left", "right", "given")]
    if claim.over is not None and not is_key(claim.over):
        found.append(
            Fault((claim.shape,), f"{shown_value(claim.over)} is not a key", "as in model.init")
        )
    elif all(has_keys) and claim.experiment in arms and claim.experiment not in damaged:
        found += _side_faults(claim, mine)
    found += _probe_faults(claim, mine)
    for each in found:
        faults.tell((*at, *each.key), each.what, each.hint)


def _metric_faults(claim: Claim) -> Iterator[Fault]:
    metric = METRICS.get(claim.metric)
    if metric is None:
        yield name_fault(claim.metric, list(METRICS), kind="a metric", key=("metric",))
    elif metric.needs_target and claim.target is None:
        hint = "a validation accuracy in (0, 1], as in target: 0.97"
        yield Fault(("metric",), f"{claim.metric} needs a target, and there is none", hint)
    elif not metric.needs_target and claim.target is not None:
        takers = ", ".join(name for name, each in METRICS.items() if each.needs_target)
        hint = f"leave it out; these take one: {takers}"
        yield Fault(("target",), f"{claim.metric} takes no target", hint)


def _experiment_faults(
    claim: Claim, names: Collection[str], damaged: Collection[str]
) -> Iterator[Fault]:
    if claim.experiment is None:
        hint = f"say which one decides it, as in `in: {next(iter(names))}`"
        yield Fault(("in",), f"there are {len(names)} experiments", hint)
    elif claim.experiment not in names and claim.experiment not in damaged:
        yield name_fault(claim.experiment, list(names), kind="an experiment", key=("in",))


def _has_keys(claim: Claim, key: str, at: Path, faults: StudyFaults) -> bool:
    """Tell whether a partial config has keys and values that a config can have."""
    partial = getattr(claim, key)
    if not isinstance(partial, dict):
        return True
    usable = faults.settings(partial, origin=(*at, key), varies=True)
    return faults.check_partial(usable) and len(usable) == len(settings_of(partial))


def _probe_faults(claim: Claim, arms: Sequence[StudyArm]) -> Iterator[Fault]:
    """Tell of a metric that is read from probes, where an arm of the experiment has none."""
    group = METRICS[claim.metric].probes if claim.metric in METRICS else None
    for arm in arms if group is not None else ():
        probes = arm.config.probes
        if not probes.enabled:
            what = f"{claim.metric} is read from probes, and {arm.label} has none"
            switch = "true" if group in DEFAULT_GROUPS else f"{{groups: [{group}]}}"
            hint = f"put probes: {switch} under base, or under the set of this experiment"
        elif group not in probes.groups:
            what = f"{claim.metric} is read from probes of {group}, "
            what += f"and {arm.label} has only {', '.join(probes.groups)}"
            hint = f"add {group} to probes.groups"
        else:
            continue
        yield Fault(("metric",), what, hint)
        return


def _side_faults(claim: Claim, arms: Sequence[StudyArm]) -> Iterator[Fault]:
    """Yield what is wrong with a claim's sides; its keys and values are those of a config."""
    sides = sides_of(claim, arms)
    found = list(_over_faults(claim, arms, sides))
    found += dict.fromkeys(
        _unmatched(claim, key, arms) for key, side in sides.parts.items() if not side
    )
    if not found and isinstance(sides.right, tuple):
        ids = {arm.id for arm in sides.left}
        shared = {arm.id: arm for arm in reversed(sides.right) if arm.id in ids}
        if shared:
            more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
            what = f"both sides have the arm {list(shared.values())[-1].label}{more}"
            hint = "the sides of a claim have no arm in common"
            found.append(Fault(("right",), what, hint))
    if not found:
        found += [f for key, side in sides.parts.items() for f in _crowded(key, side, sides)]
    yield from found or _unbalanced(sides)


def _over_faults(claim: Claim, arms: Sequence[StudyArm], sides: Sides) -> Iterator[Fault]:
    if sides.over is None:
        return
    key = claim.shape
    axes = list(arms[0].values)
    if not any(overlap(key_path(axis), key_path(sides.over)) for axis in axes):
        found = nearest(sides.over, axes)
        guess = f"did you mean {found}? " if found else ""
        what = f"{shown_value(sides.over)} is not an axis of {claim.experiment}"
        yield Fault((key,), what, f"{guess}its axes: {', '.join(axes) or 'none'}")
    elif sides.left and len(sides.levels) < 2:
        what = f"{sides.over} has one value in these arms"
        yield Fault((key,), what, f"a {key} needs at least two: leave it out of the sides")
    elif claim.trend is not None and sides.left and sides.scores is None:
        levels = ", ".join(value_label(level) for level in sides.levels[:6])
        what = f"the values of {sides.over} have no order: {levels}"
        yield Fault((key,), what, "a trend is along numbers, the depth alone or the width alone")


def _unmatched(claim: Claim, key: str, arms: Sequence[StudyArm]) -> Fault:
    """Tell why no arm matches a side: the first key whose value no arm has, or all together."""
    side: Mapping[str, Plain] = claim.left if key == "left" else claim.right  # type: ignore[assignment]
    settings = [
        *settings_of(claim.given, origin=("given",)),
        *settings_of(side, origin=(key,)),
    ]
    for setting in settings:
        if any(fits(arm.config, [setting]) for arm in arms):
            continue
        path, value = wanted([setting])[0]
        known = [value_label(each) for each in distinct(plain_at(a.config, path) for a in arms)]
        found = nearest(value, known) if isinstance(value, str) else None
        guess = f"did you mean {found}? " if found else ""
        more = f" and {len(known) - 10} more" if len(known) > 10 else ""
        hint = f"{guess}its arms have: {', '.join(known[:10])}{more}"
        what = f"no arm of {claim.experiment} has {dotted(path)} {shown_value(value)}"
        return Fault(setting.origin, what, hint)
    what = f"no arm of {claim.experiment} has all of these values"
    what += " and those given" if claim.given else ""
    return Fault((key,), what, "its arms: " + _some([arm.label for arm in arms]))


def _crowded(key: str, side: Sequence[StudyArm], sides: Sides) -> Iterator[Fault]:
    """Tell of a cell of a side that has several arms, as only the other side names what differs."""
    cells: dict[str, StudyArm] = {}
    for arm in side:
        first = cells.setdefault(_place(sides, sides.cell(arm), sides.level(arm)), arm)
        if first is arm:
            continue
        open_keys = [axis for axis in arm.values if arm.values[axis] != first.values[axis]]
        what = f"this side leaves {', '.join(open_keys)} open: it has {first.label} and {arm.label}"
        if sides.over is not None and not set(open_keys) - {sides.over}:
            what = f"this side has two arms at one level: {first.label} and {arm.label}"
        yield Fault((key,), what, "name it on both sides, or restrict both with given")
        return


def _unbalanced(sides: Sides) -> Iterator[Fault]:
    """Tell of cells and levels that one side has and the other has not."""
    if not isinstance(sides.right, tuple) and sides.over is None:
        return
    every = [arm for side in sides.parts.values() for arm in side]
    cells = {canonical_json(sides.cell(arm)): sides.cell(arm) for arm in every}
    for key, side in sides.parts.items():
        places = {_place(sides, sides.cell(arm), sides.level(arm)) for arm in side}
        missing = [
            _described(sides, cell, level)
            for cell in cells.values()
            for level in sides.levels or (None,)
            if _place(sides, cell, level) not in places
        ]
        if missing:
            what = f"the {key} side has no arm with {_some(missing)}"
            hint = "name the key on both sides, restrict both with given, or add the arms"
            restriction = _restriction(sides)
            if restriction:
                hint = f"put {restriction} under given, so that both sides have the same; or {hint}"
            yield Fault((key,), what, hint)


def _restriction(sides: Sides) -> str | None:
    """Return a value of one axis that would leave both sides with the same cells."""
    if len(sides.parts) < 2 or sides.over is not None:
        return None
    left, right = [
        {canonical_json(sides.cell(arm)): sides.cell(arm) for arm in side}
        for side in sides.parts.values()
    ]
    for index, axis in enumerate(sides.axes):
        common = distinct(cell[index] for key, cell in left.items() if key in right)
        if len(common) != 1 or isinstance(common[0], str | list):
            continue
        kept = [
            {key for key, cell in side.items() if cell[index] == common[0]}
            for side in (left, right)
        ]
        if kept[0] == kept[1]:
            return f"{axis}: {value_label(common[0])}"
    return None


def _place(sides: Sides, cell: tuple[Plain, ...], level: Plain) -> str:
    return canonical_json([*cell, None if sides.over is None else level])


def _described(sides: Sides, cell: tuple[Plain, ...], level: Plain) -> str:
    keys = [*sides.axes, *([] if sides.over is None else [sides.over])]
    names = short_keys([key_path(key) for key in keys])
    values = zip(names.values(), [*cell, level], strict=False)
    return ", ".join(f"{name} {value_label(value)}" for name, value in values)


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_NAMED} more" if len(texts) > _MAX_NAMED else ""
    return "; ".join(texts[:_MAX_NAMED]) + more
