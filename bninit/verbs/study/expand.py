"""What is wrong with a study, told at the line that brings it in, and once for each cause.

A fault that an arm has is one of the study's lines: an axis value, a key of ``set``, or the base.
Many arms have it, but it is told once. Where it is a matter of keys from several lines, the last
layer is to blame: the axis value rather than the base that it does not fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bninit.config.identity import (
    arm_id,
    canonical_json,
    resolved,
    run_name,
    short_keys,
    value_label,
)
from bninit.config.load import Found, Search, in_order
from bninit.config.overlay import (
    INIT,
    Layered,
    Setting,
    is_key,
    key_path,
    overlap,
    settings_of,
)
from bninit.config.overrides import value_at
from bninit.config.schema import Config
from bninit.errors import ConfigError, Problem
from bninit.fields import (
    Path,
    Place,
    Plain,
    Section,
    Source,
    dotted,
    nearest,
    path_in,
    shown_value,
)
from bninit.nets.initialisers import ALIASES
from bninit.verbs.study.schema import Claim, Experiment, StudyConfig

ARM_NAME = "arm"
"""Stands for an arm's name until it has one."""

_OF_STUDY = {
    ("name",): "a study names its arms itself",
    ("targets",): "the targets of a study are those at its top",
    ("train", "seeds"): "the seeds of a study are those at its top, for all arms",
    ("schema_version",): "the version stands at the top of the file",
}
_NO_AXES = (("train", "device"), ("train", "tensorboard"), ("probes",))


class StudyFaults:
    """Gathers the faults of a study.

    Args:
        source: What the study was read from.
        original: From a path in the study to its path in the source, where they differ because
            something faulty was taken out.

    Attributes:
        found: The problems with their places.
    """

    def __init__(self, source: Source, *, original: Callable[[Path], Path] | None = None) -> None:
        self.source = source
        self.original = original or (lambda path: path)
        self._found: dict[tuple[Path, object], tuple[Place, Problem]] = {}

    @property
    def found(self) -> list[tuple[Place, Problem]]:
        """The problems with their places."""
        return list(self._found.values())

    def tell(
        self,
        path: Path,
        what: str,
        hint: str | None = None,
        *,
        of_key: bool = False,
        cause: object = None,
    ) -> None:
        """Note a fault.

        Args:
            path: Where it is, in the source.
            what: What is wrong.
            hint: What is allowed, or what to do.
            of_key: Whether the key is at fault, rather than its value.
            cause: Faults of one cause at one place are told once; the text by default.
        """
        shown = self._shown(path)
        existing = path_in(self.source.value, path)
        is_holder = isinstance(value_at(self.source.value, existing), dict | list)
        place = self.source.place_of(existing, of_key=of_key or is_holder)
        problem = Problem(str(place), dotted(shown), what, hint)
        self._found.setdefault((shown, cause or what), (place, problem))

    def settings(
        self,
        partial: Mapping[str, Plain],
        *,
        origin: Path,
        whole: Sequence[Path] = (),
        varies: bool = False,
    ) -> list[Setting]:
        """Return what a partial config sets, and tell of keys that cannot be set there.

        Args:
            partial: The partial config.
            origin: Where it stands in the source.
            whole: As for `settings_of`.
            varies: Whether it makes one arm different from another.
        """
        kept: dict[Path, Setting] = {}
        for setting in settings_of(partial, origin=origin, whole=whole):
            if not self.can_be_set(setting, varies=varies):
                continue
            earlier = kept.setdefault(setting.path, setting)
            if earlier is not setting:
                first = self.source.place_of(earlier.key_origin, of_key=True)
                line = "" if first.line is None else f", first on line {first.line}"
                what = f"{dotted(setting.path)} is given twice{line}"
                self.tell(setting.key_origin, what, "keep one of them", of_key=True)
        return list(kept.values())

    def can_be_set(self, setting: Setting, *, varies: bool) -> bool:
        """Tell whether a study may set this key of its arms; tell of it if not."""
        key = dotted(setting.path)
        if not all(is_key(str(part)) for part in setting.path):
            what = f"{shown_value(setting.key_origin[-1])} is not a key"
            self.tell(setting.key_origin, what, "as in model.norm.placement", of_key=True)
            return False
        for path, why in _OF_STUDY.items():
            if _gives(setting, path):
                self.tell(setting.key_origin, f"an arm cannot set {dotted(path)}", why, of_key=True)
                return False
        if varies and any(setting.path[: len(path)] == path for path in _NO_AXES):
            what = f"{key} makes no difference to what is trained"
            self.tell(setting.key_origin, what, "put it under base or set", of_key=True)
            return False
        return True

    def check_partial(self, settings: Sequence[Setting]) -> bool:
        """Tell of keys and values that no config can have; tell whether there are none."""
        layered = Layered().lay(settings)
        wrong = [
            found
            for found in search_arm(layered).found
            if found.is_unknown_key
            or (len(found.involved) == 1 and path_in(layered.value, found.path) == found.path)
        ]
        for found in wrong:
            origin = layered.origin_of(found.path)
            problem = found.problem
            self.tell(origin, problem.what, problem.hint, of_key=found.is_unknown_key)
        return not wrong

    def check_arm(self, layered: Layered) -> None:
        """Tell of all that is wrong with an arm."""
        for found in search_arm(layered).found:
            self._blame(found, layered)

    def _blame(self, found: Found, layered: Layered) -> None:
        own = layered.origin_of(found.path)
        given = [path for path in found.involved if path_in(layered.value, path) == path]
        origins = [layered.origin_of(path) for path in given]
        is_exact = self._shown(own) == own
        blamed = max([own, *origins] if is_exact else [*origins, own], key=_layer_of)
        what, hint = found.problem.what, found.problem.hint
        if blamed != own or not is_exact:
            what = f"{dotted(found.path)}: {what}"
        axes = {origin[:4]: origin for origin in origins if origin[2:3] == ("over",)}
        if len(axes) > 1:
            combination = ", ".join(
                f"{dotted(origin[3:4])}: {shown_value(self._value(origin[:5]))}"
                for origin in axes.values()
            )
            hint = f"{hint + '; or ' if hint else ''}exclude {{{combination}}}"
        if found.is_unknown_key and blamed[2:3] == ("over",) and len(blamed) == 5:
            blamed = blamed[:4]
        cause = (found.path, *axes.values()) if len(axes) > 1 else found.path
        self.tell(blamed, what, hint, of_key=found.is_unknown_key, cause=cause)

    def _shown(self, path: Path) -> Path:
        """Return as much of a path as there is; a key that is missing in a mapping counts."""
        existing = path_in(self.source.value, path)
        holder = value_at(self.source.value, existing)
        return path if isinstance(holder, dict) and len(path) == len(existing) + 1 else existing

    def _value(self, path: Path) -> Plain:
        return value_at(self.source.value, path_in(self.source.value, path))


def search_arm(layered: Layered) -> Search[Config]:
    """Look for all that is wrong with an arm."""
    return Search(Config, Source(ARM_NAME, {**layered.value, "name": ARM_NAME}))


def _layer_of(origin: Path) -> int:
    if origin[2:3] in (("over",), ("also",)):
        return 2
    if origin[2:3] == ("set",):
        return 1
    return 0 if origin else -1


def _gives(setting: Setting, path: Path) -> bool:
    if not overlap(setting.path, path):
        return False
    below = path[len(setting.path) :]
    return len(setting.path) >= len(path) or path_in(setting.value, below) == below


MAX_ARMS = 10_000
"""Most arms of a study, those that ``exclude`` leaves out included."""


@dataclass(frozen=True)
class Candidate:
    """An arm as the study asks for it, not yet checked.

    Attributes:
        layered: Its config.
        own: What sets it apart from the experiment's other arms.
        at: Where it stands in the study, if it stands there by itself (under ``also``).
        levels: Index of its value on each axis of ``over``; empty under ``also``.
    """

    layered: Layered
    own: tuple[Setting, ...]
    at: Path | None
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """What an experiment asks for.

    Attributes:
        axes: The keys that set its arms apart, those of ``over`` first; none is part of another.
        candidates: Its arms, the last axis fastest, then those under ``also``.
        excluded: The settings of each entry of ``exclude``, with the entry's path.
    """

    axes: tuple[Path, ...]
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[Path, tuple[Setting, ...]], ...]


class GridDrawer:
    """Draws up the arms of a study's experiments.

    Args:
        base: The study's base.
        faults: Told what is wrong.
    """

    def __init__(self, base: Mapping[str, Plain], *, faults: StudyFaults) -> None:
        self._faults = faults
        self.base = Layered().lay(faults.settings(base, origin=("base",)))
        self._num_arms = 0

    def draw(self, name: str, experiment: Experiment) -> Grid | None:
        """Return the arms of one experiment; None when they are too many.

        Args:
            name: The experiment's name.
            experiment: The experiment.
        """
        here: Path = ("experiments", name)
        axes = self._axes(experiment, here=here)
        num_arms = math.prod(map(len, axes.values())) + len(experiment.also)
        self._num_arms += num_arms
        if self._num_arms > MAX_ARMS:
            self._num_arms -= num_arms
            what = f"with {num_arms} arms here the study has more than {MAX_ARMS}"
            self._faults.tell((*here, "over"), what, "vary fewer keys at once", of_key=True)
            return None
        own_base = self.base.copy().lay(
            self._faults.settings(experiment.set, origin=(*here, "set"))
        )
        candidates: list[Candidate] = []
        if axes or not experiment.also:
            for choice in itertools.product(*(range(len(values)) for values in axes.values())):
                own = [values[level] for values, level in zip(axes.values(), choice, strict=True)]
                candidates.append(Candidate(own_base.copy().lay(own), tuple(own), None, choice))
        for index, entry in enumerate(experiment.also):
            at = self._faults.original((*here, "also", index))
            own = self._faults.settings(entry, origin=at, whole=list(axes), varies=True)
            candidates.append(Candidate(own_base.copy().lay(own), tuple(own), at, ()))
        excluded = []
        for index, entry in enumerate(experiment.exclude):
            at = self._faults.original((*here, "exclude", index))
            settings = self._faults.settings(entry, origin=at)
            if self._faults.check_partial(settings):
                excluded.append((at, tuple(settings)))
        return Grid(_all_axes(list(axes), candidates), tuple(candidates), tuple(excluded))

    def _axes(self, experiment: Experiment, *, here: Path) -> dict[Path, list[Setting]]:
        """Return the settings of each value of each axis of ``over``."""
        axes: dict[Path, list[Setting]] = {}
        for key, values in experiment.over.items():
            at: Path = (*here, "over", key)
            path = key_path(key)
            other = next((axis for axis in axes if overlap(axis, path)), None)
            if other is not None:
                what = f"this axis overlaps with {dotted(other)}"
                hint = "an axis of whole sections can hold all that varies in them"
                self._faults.tell(at, what, hint, of_key=True)
                continue
            settings = [
                Setting(path, value, (*at, index), at) for index, value in enumerate(values)
            ]
            if all(self._faults.can_be_set(setting, varies=True) for setting in settings):
                axes[path] = settings
        return axes


def _all_axes(axes: Sequence[Path], candidates: Sequence[Candidate]) -> tuple[Path, ...]:
    """Add what ``also`` varies to the axes of ``over``; sections swallow the keys in them."""
    found = list(axes)
    for candidate in candidates:
        for setting in candidate.own if candidate.at is not None else ():
            if not any(overlap(axis, setting.path) for axis in found):
                found.append(setting.path)
            elif not any(setting.path[: len(axis)] == axis for axis in found):
                below = [axis for axis in found if axis[: len(setting.path)] == setting.path]
                found[found.index(below[0])] = setting.path
                found = [axis for axis in found if axis not in below]
    return tuple(found)


MAX_FAULTY_ARMS = 300
"""Most arms of an experiment whose faults are looked into one by one."""


@dataclass(frozen=True)
class StudyArm:
    """An arm of an experiment.

    Attributes:
        experiment: Name of the experiment.
        id: The arm's content id; equal ids share their runs.
        config: The config, with the study's seeds and targets.
        values: Its value on each axis of the experiment, by dotted key; of a section, its label.
        label: What sets it apart in the experiment, unique there: "placement pre, lr 0.5".
    """

    experiment: str
    id: str
    config: Config
    values: Mapping[str, Plain]
    label: str


def expand(study: StudyConfig) -> list[StudyArm]:
    """Return the arms of a study, experiment by experiment, in the order of the file.

    Within an experiment the last axis of ``over`` varies fastest; the arms of ``also`` follow.

    Args:
        study: The study.

    Raises:
        ConfigError: An arm that is no valid config, or other faults of the experiments; none
            where the study comes from `load_study`.
    """
    source = Source(study.name, study.model_dump(by_alias=True))
    expansion = Expansion(study, faults=StudyFaults(source))
    if expansion.faults.found:
        raise ConfigError(in_order(expansion.faults.found, name=study.name))
    return [arm for arms in expansion.arms.values() for arm in arms]


def arm_value(arm: StudyArm, key: str) -> Plain:
    """Return what an arm has at a config key, as `StudyArm.values` tells it.

    Args:
        arm: The arm.
        key: Dotted key of a config, an axis or not.

    Returns:
        The resolved value; the label of a section; None where the key plays no part.
    """
    return plain_at(arm.config, key_path(key))


def plain_at(config: Config, path: Path) -> Plain:
    """Return the resolved value at a key, or the label of a section."""
    value = resolved(config, path)
    return value_label(value) if isinstance(value, Section) else value


def matches(arm: StudyArm, partial: Mapping[str, Plain]) -> bool:
    """Tell whether an arm has all the values of a partial config.

    Args:
        arm: The arm.
        partial: Keys, dotted or nested, with the values wanted: resolved ones, of which aliases
            are made too (``scheme: small_normal`` wants the scheme normal with std 0.01). A
            mapping wants what is in it and no more; null wants the key to play no part.
    """
    return fits(arm.config, settings_of(partial))


def fits(config: Config, settings: Sequence[Setting]) -> bool:
    """Tell whether a config has all these values; see `matches`."""
    return all(is_same(resolved(config, path), value) for path, value in wanted(settings))


def wanted(settings: Sequence[Setting]) -> list[tuple[Path, Plain]]:
    """Return keys and resolved values for settings that may name aliases."""
    pairs: list[tuple[Path, Plain]] = []
    for setting in settings:
        value = setting.value
        if setting.path == (*INIT, "scheme") and isinstance(value, str) and value in ALIASES:
            value, parameters = ALIASES[value]
            pairs += [((*INIT, key), parameter) for key, parameter in parameters.items()]
        pairs.append((setting.path, value))
    return pairs


def is_same(value: Plain | Section, other: Plain) -> bool:
    """Tell whether two values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(is_same, value, other))
    if isinstance(value, bool) is not isinstance(other, bool):
        return False
    return not isinstance(value, Section) and value == other


class Expansion:
    """Expands a study, and gathers all that is wrong with its experiments.

    Args:
        study: The study, or what is left of it when faulty parts have been taken out.
        faults: Told what is wrong.

    Attributes:
        arms: The valid arms of each experiment.
        faults: What was passed.
        faulty: Experiments of which something is wrong or missing.
    """

    def __init__(self, study: StudyConfig, *, faults: StudyFaults) -> None:
        self._study = study
        self.faults = faults
        self.arms: dict[str, list[StudyArm]] = {}
        self.faulty: set[str] = set()
        self._names: dict[str, str] = {}
        drawer = GridDrawer(study.base, faults=faults)
        has_arms = False
        for name, experiment in study.experiments.items():
            num_found = len(faults.found)
            grid = drawer.draw(name, experiment)
            has_arms |= grid is not None
            self.arms[name] = [] if grid is None else self._arms(name, grid)
            if len(faults.found) > num_found or not self.arms[name]:
                self.faulty.add(name)
        if not has_arms:
            faults.check_arm(drawer.base)

    def _arms(self, name: str, grid: Grid) -> list[StudyArm]:
        kept = self._kept(name, grid)
        names = short_keys(grid.axes)
        arms: list[StudyArm] = []
        seen: dict[str, tuple[Candidate, StudyArm]] = {}
        for candidate, config in kept:
            values = {dotted(axis): plain_at(config, axis) for axis in grid.axes}
            varied = [
                f"{names[axis]} {value_label(resolved(config, axis))}"
                for axis in grid.axes
                if any(overlap(axis, setting.path) for setting in candidate.own)
            ]
            label = ", ".join(varied) or name
            key = canonical_json(values)
            if key in seen:
                self._tell_repeated(name, candidate, *seen[key])
                continue
            arm = self._arm(name, config, values=values, label=label)
            seen[key] = candidate, arm
            arms.append(arm)
        return arms

    def _arm(
        self, experiment: str, config: Config, *, values: Mapping[str, Plain], label: str
    ) -> StudyArm:
        study = self._study
        content = arm_id(config)
        named = config.model_copy(
            update={
                "name": self._names.setdefault(content, run_name(study.name, label)),
                "targets": study.targets,
                "train": config.train.model_copy(update={"seeds": study.seeds}),
            }
        )
        return StudyArm(experiment, content, named, values, label)

    def _kept(self, name: str, grid: Grid) -> list[tuple[Candidate, Config]]:
        """Return the valid arms that are not excluded, with their configs."""
        valid: dict[int, Config] = {}
        num_faulty = 0
        used: set[int] = set()
        is_whole = True
        # Arms that differ in one value from the first come first: they show most faults.
        order = sorted(
            range(len(grid.candidates)),
            key=lambda index: sum(level > 0 for level in grid.candidates[index].levels),
        )
        for index in order:
            candidate = grid.candidates[index]
            config = _config_of(candidate)
            matching = {
                number
                for number, (_, settings) in enumerate(grid.excluded)
                if candidate.at is None and _is_excluded(candidate, config, settings)
            }
            used |= matching
            if matching:
                continue
            if config is not None:
                valid[index] = config
                continue
            is_whole = False
            num_faulty += 1
            if num_faulty <= MAX_FAULTY_ARMS:
                self.faults.check_arm(candidate.layered)
        for number, (at, _) in enumerate(grid.excluded):
            if number not in used and is_whole:
                self.faults.tell(at, "no combination of over has these values", "leave it out")
        if not is_whole:
            self.faulty.add(name)
        elif not valid:
            self.faults.tell(
                ("experiments", name, "exclude"), "no arms are left", "exclude fewer", of_key=True
            )
        return [(grid.candidates[index], valid[index]) for index in sorted(valid)]

    def _tell_repeated(
        self, name: str, candidate: Candidate, first: Candidate, arm: StudyArm
    ) -> None:
        what = f"this arm is there already ({arm.label})"
        at = candidate.at
        if at is None:
            levels = zip(candidate.levels, first.levels, strict=True)
            axis = next(number for number, (mine, other) in enumerate(levels) if mine != other)
            what = f"the same as value {first.levels[axis] + 1} of this axis"
            at = candidate.own[axis].origin
        self.faults.tell(at, what, "leave one of them out", cause="repeated")


def _config_of(candidate: Candidate) -> Config | None:
    try:
        return Config.model_validate({**candidate.layered.value, "name": ARM_NAME})
    except ValidationError:
        return None


def _is_excluded(candidate: Candidate, config: Config | None, settings: Sequence[Setting]) -> bool:
    """Tell whether an entry of exclude is about an arm, be the arm valid or not."""
    if config is not None:
        return fits(config, settings)
    given = candidate.layered.copy().lay(()).value
    rest: list[tuple[Path, Plain]] = []
    for path, value in wanted(settings):
        if path_in(given, path) != path:
            rest.append((path, value))
        elif not is_same(value_at(given, path), value):
            return False
    if not rest:
        return True
    # Keys that are not given have their defaults, as far as those can be told.
    config = search_arm(candidate.layered).model
    return config is not None and all(is_same(resolved(config, path), v) for path, v in rest)


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
