"""From a study to its arms.

Each arm is a config of its own, checked as one. An experiment's arms differ in their values of its
axes; two that do not are refused. Two that differ only in keys that play no part (batch norm's
momentum where there is no batch norm) have the same content id, as have equal arms of two
experiments: these share their name too, so that one run stands for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from bninit.config.draft import value_at
from bninit.config.fields import Section
from bninit.config.grid import Candidate, Grid, GridDrawer
from bninit.config.identity import arm_id, canonical_json
from bninit.config.labels import resolved, run_name, short_keys, value_label
from bninit.config.layers import INIT, Setting, key_path, overlap, settings_of
from bninit.config.load import in_order
from bninit.config.schema import Config
from bninit.config.source import Path, Plain, Source, dotted, path_in
from bninit.config.study import StudyConfig
from bninit.config.study_faults import ARM_NAME, StudyFaults, search_arm
from bninit.errors import ConfigError
from bninit.nets.initialisers import ALIASES

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
