"""From a study to its arms, and what is wrong with it.

A fault that an arm has is one of the study's lines: an axis value, a key of ``set``, or the base.
Many arms have it, but it is reported once, at the line that brings it in. Where it is a matter of
keys from several lines, the last layer is to blame: the axis value rather than the base that it
does not fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
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
from bninit.config.overlay import INIT, Layered, Setting, is_key, key_path, settings_of
from bninit.config.schema import Config
from bninit.config.source import Place, Source
from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, Section, dotted, overlap, path_in, shown_value, value_at
from bninit.nets.initialisers import ALIASES
from bninit.verbs.study.schema import Experiment, StudyConfig

MAX_ARMS = 10_000
"""Most arms of a study, those that ``exclude`` leaves out included."""

MAX_FAULTY_ARMS = 300
"""Most arms of an experiment whose faults are looked into one by one."""

ARM_NAME = "arm"
"""Stands for an arm's name until it has one."""

_OF_STUDY = {
    ("name",): "a study names its arms itself",
    ("targets",): "the targets of a study are those at its top",
    ("train", "seeds"): "the seeds of a study are those at its top, for all arms",
    ("schema_version",): "the version stands at the top of the file",
}
_NO_AXES = (("train", "device"), ("train", "tensorboard"), ("probes",))


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
    faults = StudyFaults(Source(study.name, study.model_dump(by_alias=True)))
    expansion = Expansion(study, faults=faults)
    if faults.found:
        raise ConfigError(in_order(faults.found, name=study.name))
    return [arm for arms in expansion.arms.values() for arm in arms]


def plain_at(config: Config, path: Path) -> Plain:
    """Return the resolved value at a key, the label of a section, or None without such a key."""
    value = resolved(config, path)
    return value_label(value) if isinstance(value, Section) else value


def value_labels(
    arms: Sequence[StudyArm], axes: Sequence[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return how the different values of arms on some axes, by default all, are shown."""
    return {
        axis: tuple(dict.fromkeys(value_label(arm.values[axis]) for arm in arms))
        for axis in (arms[0].values if axes is None else axes)
    }


def fits(config: Config, settings: Sequence[Setting]) -> bool:
    """Tell whether a config has all these values, resolved (see `wanted`).

    A mapping wants what is in it and no more; null wants the key to play no part.
    """
    return all(is_same(resolved(config, path), value) for path, value in wanted(settings))


def wanted(settings: Sequence[Setting]) -> list[tuple[Path, Plain]]:
    """Return keys and values, aliases resolved: small_normal wants scheme normal, std 0.01."""
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


class StudyFaults:
    """Gathers the faults of a study, each once.

    Args:
        source: What the study was read from.
        original: From a path in the study to its path in the source, where they differ because
            something faulty was taken out.
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
        """Note a fault; those of one cause (else of one text) at one place are reported once."""
        existing = path_in(self.source.value, path)
        is_holder = isinstance(value_at(self.source.value, existing), dict | list)
        place = self.source.place_of(existing, of_key=of_key or is_holder)
        shown = self._shown(path)
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
        """Return what a partial config sets, and tell of keys that cannot be set."""
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
        """Tell whether a study may set this key of its arms; note the fault if not."""
        what = hint = ""
        owned = next((path for path in _OF_STUDY if _gives(setting, path)), None)
        if not all(is_key(str(part)) for part in setting.path):
            what = f"{shown_value(setting.key_origin[-1])} is not a key"
            hint = "as in model.norm.placement"
        elif owned is not None:
            what, hint = f"an arm cannot set {dotted(owned)}", _OF_STUDY[owned]
        elif varies and any(setting.path[: len(path)] == path for path in _NO_AXES):
            what = f"{dotted(setting.path)} makes no difference to what is trained"
            hint = "put it under base or set"
        if what:
            self.tell(setting.key_origin, what, hint, of_key=True)
        return not what

    def check_partial(self, settings: Sequence[Setting]) -> bool:
        """Tell whether a config can have these keys and values; note the faults if not."""
        layered = Layered().lay(settings).with_kinds()
        value = layered.value
        wrong = [
            found
            for found in search_arm(layered).found
            if found.is_unknown_key
            or (len(found.involved) == 1 and path_in(value, found.path) == found.path)
        ]
        for found in wrong:
            origin, problem = layered.origin_of(found.path), found.problem
            self.tell(origin, problem.what, problem.hint, of_key=found.is_unknown_key)
        return not wrong

    def check_arm(self, layered: Layered) -> None:
        """Note all that is wrong with an arm."""
        value = layered.value
        for found in search_arm(layered).found:
            given = [path for path in found.involved if path_in(value, path) == path]
            self._blame(found, layered, origins=[layered.origin_of(path) for path in given])

    def _blame(self, found: Found, layered: Layered, *, origins: list[Path]) -> None:
        own = layered.origin_of(found.path)
        is_exact = self._shown(own) == own
        blamed = max([own, *origins] if is_exact else [*origins, own], key=_layer_of)
        what, hint = found.problem.what, found.problem.hint
        if blamed != own or not is_exact:
            what = f"{dotted(found.path)}: {what}"
        cause: object = found.path
        axes = {origin[:4]: origin for origin in origins if origin[2:3] == ("over",)}
        if len(axes) > 1:
            combination = ", ".join(
                f"{dotted(origin[3:4])}: {shown_value(self._value(origin[:5]))}"
                for origin in axes.values()
            )
            hint = f"{hint + '; or ' if hint else ''}exclude {{{combination}}}"
            cause = (found.path, *axes.values())
        if found.is_unknown_key and blamed[2:3] == ("over",) and len(blamed) == 5:
            blamed = blamed[:4]
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
    below = path[len(setting.path) :]
    is_in_it = len(setting.path) >= len(path) or path_in(setting.value, below) == below
    return overlap(setting.path, path) and is_in_it


@dataclass(frozen=True)
class Candidate:
    """An arm as the study has it, not yet checked.

    Attributes:
        layered: Its config.
        own: What sets it apart from the experiment's other arms; without `at` one setting for each
            axis of ``over``, whose origin ends with the index of the value.
        at: Where it stands in the study, if it stands there by itself (under ``also``).
    """

    layered: Layered
    own: Sequence[Setting]
    at: Path | None = None

    @property
    def num_changes(self) -> int:
        """Axes of ``over`` on which it has not the first value."""
        return 0 if self.at else sum(setting.origin[-1] != 0 for setting in self.own)


class Expansion:
    """Expands a study, and gathers all that is wrong with its experiments.

    Args:
        study: The study, or what is left of it when faulty parts have been taken out.
        faults: Gathers what is wrong.

    Attributes:
        arms: The valid arms of each experiment.
        faulty: Experiments of which something is wrong or missing.
    """

    def __init__(self, study: StudyConfig, *, faults: StudyFaults) -> None:
        self._study = study
        self._faults = faults
        self._names: dict[str, str] = {}
        self._num_candidates = 0
        self._base = Layered().lay(faults.settings(study.base, origin=("base",)))
        self.arms: dict[str, list[StudyArm]] = {}
        self.faulty: set[str] = set()
        for name, experiment in study.experiments.items():
            num_found = len(faults.found)
            self.arms[name] = self._expanded(name, experiment)
            if len(faults.found) > num_found or not self.arms[name]:
                self.faulty.add(name)
        if not self._num_candidates:
            faults.check_arm(self._base)

    def _expanded(self, name: str, experiment: Experiment) -> list[StudyArm]:
        here: Path = ("experiments", name)
        over = self._over(experiment, here=here)
        num_candidates = math.prod(map(len, over.values())) + len(experiment.also)
        if self._num_candidates + num_candidates > MAX_ARMS:
            what = f"with {num_candidates} arms here the study has more than {MAX_ARMS}"
            self._faults.tell((*here, "over"), what, "vary fewer keys at once", of_key=True)
            return []
        self._num_candidates += num_candidates
        candidates = self._candidates(experiment, over=over, here=here)
        axes = _all_axes(list(over), candidates)
        kept = self._kept(name, candidates, self._excluded(experiment, here=here))
        names = short_keys(axes)
        seen: dict[str, tuple[Candidate, StudyArm]] = {}
        for candidate, config in kept:
            values = {dotted(axis): plain_at(config, axis) for axis in axes}
            varied = [
                f"{names[axis]} {value_label(resolved(config, axis))}"
                for axis in axes
                if any(overlap(axis, setting.path) for setting in candidate.own)
            ]
            key = canonical_json(values)
            if key in seen:
                self._tell_repeated(candidate, *seen[key])
            else:
                arm = self._arm(name, config, values=values, label=", ".join(varied) or name)
                seen[key] = candidate, arm
        return [arm for _, arm in seen.values()]

    def _over(self, experiment: Experiment, *, here: Path) -> dict[Path, list[Setting]]:
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
            settings = [Setting(path, value, (*at, index)) for index, value in enumerate(values)]
            if all(self._faults.can_be_set(setting, varies=True) for setting in settings):
                axes[path] = settings
        return axes

    def _candidates(
        self, experiment: Experiment, *, over: Mapping[Path, list[Setting]], here: Path
    ) -> list[Candidate]:
        """Return the arms of an experiment, the last axis fastest, then those under ``also``."""
        given = self._faults.settings(experiment.set, origin=(*here, "set"))
        shared = self._base.lay(given)
        candidates = []
        if over or not experiment.also:
            candidates = [Candidate(shared.lay(o), o) for o in itertools.product(*over.values())]
        for index, entry in enumerate(experiment.also):
            at = self._faults.original((*here, "also", index))
            own = self._faults.settings(entry, origin=at, whole=list(over), varies=True)
            candidates.append(Candidate(shared.lay(own), own, at))
        return candidates

    def _excluded(self, experiment: Experiment, *, here: Path) -> list[tuple[Path, list[Setting]]]:
        """Return the settings of each entry of ``exclude``, with the entry's path."""
        entries = []
        for index, entry in enumerate(experiment.exclude):
            at = self._faults.original((*here, "exclude", index))
            settings = self._faults.settings(entry, origin=at)
            if self._faults.check_partial(settings):
                entries.append((at, settings))
        return entries

    def _kept(
        self,
        name: str,
        candidates: Sequence[Candidate],
        excluded: Sequence[tuple[Path, list[Setting]]],
    ) -> list[tuple[Candidate, Config]]:
        """Return the valid arms that are not excluded, with their configs."""
        valid: dict[int, Config] = {}
        used: set[Path] = set()
        num_faulty = 0
        # Arms that differ in one value from the first come first: they show most faults.
        for index, candidate in sorted(enumerate(candidates), key=lambda c: c[1].num_changes):
            config = _config_of(candidate)
            entries = excluded if candidate.at is None else ()
            matching = {at for at, each in entries if _is_excluded(candidate, config, each)}
            used |= matching
            if matching:
                continue
            if config is not None:
                valid[index] = config
                continue
            num_faulty += 1
            if num_faulty <= MAX_FAULTY_ARMS:
                self._faults.check_arm(candidate.layered)
        if num_faulty:
            self.faulty.add(name)
        for at, _ in () if num_faulty else excluded:
            if at not in used:
                self._faults.tell(at, "no combination of over has these values", "leave it out")
        if not valid and not num_faulty:
            at = ("experiments", name, "exclude")
            self._faults.tell(at, "no arms are left", "exclude fewer", of_key=True)
        return [(candidates[index], valid[index]) for index in sorted(valid)]

    def _arm(
        self, experiment: str, config: Config, *, values: Mapping[str, Plain], label: str
    ) -> StudyArm:
        study, content = self._study, arm_id(config)
        named = config.model_copy(
            update={
                "name": self._names.setdefault(content, run_name(study.name, label)),
                "targets": study.targets,
                "train": config.train.model_copy(update={"seeds": study.seeds}),
            }
        )
        return StudyArm(experiment, content, named, values, label)

    def _tell_repeated(self, candidate: Candidate, first: Candidate, arm: StudyArm) -> None:
        what, at = f"this arm is there already ({arm.label})", candidate.at
        if at is None:
            pairs = zip(candidate.own, first.own, strict=True)
            mine, other = next(pair for pair in pairs if pair[0] is not pair[1])
            what, at = f"the same as value {int(other.origin[-1]) + 1} of this axis", mine.origin
        self._faults.tell(at, what, "leave one of them out", cause="repeated")


def _all_axes(axes: Sequence[Path], candidates: Sequence[Candidate]) -> list[Path]:
    """Add what ``also`` varies to the axes of ``over``; sections swallow the keys in them."""
    found = list(axes)
    for candidate in candidates:
        for setting in candidate.own if candidate.at is not None else ():
            if any(setting.path[: len(axis)] == axis for axis in found):
                continue
            below = [axis for axis in found if axis[: len(setting.path)] == setting.path]
            position = found.index(below[0]) if below else len(found)
            found.insert(position, setting.path)
            found = [axis for axis in found if axis not in below]
    return found


def _config_of(candidate: Candidate) -> Config | None:
    try:
        return Config.model_validate({**candidate.layered.value, "name": ARM_NAME})
    except ValidationError:
        return None


def _is_excluded(candidate: Candidate, config: Config | None, settings: Sequence[Setting]) -> bool:
    """Tell whether an entry of exclude is about an arm, be the arm valid or not."""
    if config is not None:
        return fits(config, settings)
    given = candidate.layered.lay(()).value
    rest = [pair for pair in wanted(settings) if path_in(given, pair[0]) != pair[0]]
    told = [pair for pair in wanted(settings) if pair not in rest]
    if not all(is_same(value_at(given, path), value) for path, value in told):
        return False
    # Keys that are not given have their defaults, as far as those can be told.
    config = search_arm(candidate.layered).model if rest else None
    return not rest or (
        config is not None and all(is_same(resolved(config, path), v) for path, v in rest)
    )
