"""Reading and writing study files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from bninit.config.load import Search, in_order
from bninit.config.overlay import is_key, key_path, overlap, settings_of
from bninit.config.overrides import Override, apply_overrides, parse_override
from bninit.config.schema import Config
from bninit.config.write import to_yaml
from bninit.config.yaml_source import read_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, Source, from_values, nearest, shown_value
from bninit.training.settings import DEFAULT_GROUPS
from bninit.verbs.study.expand import Expansion, StudyArm, StudyFaults, side_faults
from bninit.verbs.study.schema import Claim, StudyConfig, TakesTarget


def load_study(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[str | Override] = (),
    metrics: Mapping[str, TakesTarget] | None = None,
) -> StudyConfig:
    """Load a study file, and check every arm and claim of it.

    Args:
        path: A YAML file.
        overrides: ``key=value`` as after ``--set``, or parsed; later ones win. A key of the study
            (``seeds=3``) changes the study; a key of a config (``train.epochs=1``) changes all
            its arms, and may not be one that an experiment varies.
        metrics: The metrics that there are, by name; None leaves the claims' unchecked.

    Raises:
        ConfigError: All faults of the file, or of the options.
    """
    return _load(read_yaml(path), overrides=overrides, metrics=metrics)


def study_from_dict(
    values: Mapping[str, object],
    *,
    overrides: Sequence[str | Override] = (),
    metrics: Mapping[str, TakesTarget] | None = None,
    name: str = "study",
) -> StudyConfig:
    """Make a study of a dict with the keys of a study file.

    Args:
        values: The keys, as for `config_from_dict`.
        overrides: As for `load_study`.
        metrics: As for `load_study`.
        name: What error messages call it.

    Raises:
        ConfigError: All faults of the values, or of the options.
    """
    return _load(from_values(values, name=name), overrides=overrides, metrics=metrics)


def study_to_yaml(study: StudyConfig) -> str:
    """Return a study as YAML; `load_study` reads it back as an equal study.

    Seeds, targets and claims are written out. The base and what experiments set over it stay as
    they were given: with defaults filled in, an arm with another optimiser would get the
    learning rate of the base's. The resolved config of each arm is kept beside its runs.

    Args:
        study: The study.
    """
    values = study.model_dump(by_alias=True, mode="json")
    values["experiments"] = {
        name: {key: value for key, value in experiment.items() if value}
        for name, experiment in values["experiments"].items()
    }
    values["claims"] = [
        {key: value for key, value in claim.items() if value not in (None, {})}
        for claim in values["claims"]
    ]
    return to_yaml(values)


def _load(
    source: Source,
    *,
    overrides: Sequence[str | Override],
    metrics: Mapping[str, TakesTarget] | None,
) -> StudyConfig:
    source = _with_options(source, overrides)
    search = Search(StudyConfig, source)
    found = [*source.problems, *((each.place, each.problem) for each in search.found)]
    study = search.model
    if study is not None:
        faults = StudyFaults(source, original=search.original)
        expansion = Expansion(study, faults=faults)
        damaged = expansion.faulty | {
            str(each.path[1]) for each in search.found if each.path[:1] == ("experiments",)
        }
        for index, claim in enumerate(study.claims):
            check = _ClaimCheck(claim, at=search.original(("claims", index)), faults=faults)
            check.metric(metrics)
            check.sides(expansion, damaged=damaged)
            check.probes(metrics, expansion.arms.get(claim.experiment or "", ()))
        found += faults.found
    if study is None or found or not search.is_whole:
        raise ConfigError(in_order(found, name=source.name))
    return study


class _ClaimCheck:
    """Checks what a claim says against the study's arms and the metrics."""

    def __init__(self, claim: Claim, *, at: Path, faults: StudyFaults) -> None:
        self._claim = claim
        self._at = at
        self._faults = faults

    def metric(self, metrics: Mapping[str, TakesTarget] | None) -> None:
        """Tell of an unknown metric, a target that it lacks or does not take."""
        claim = self._claim
        if metrics is None:
            return
        metric = metrics.get(claim.metric)
        if metric is None:
            found = nearest(claim.metric, metrics)
            guess = f"did you mean {found}? " if found else ""
            what = f"{shown_value(claim.metric)} is not a metric"
            self._tell(("metric",), what, f"{guess}allowed: {', '.join(metrics)}")
        elif metric.needs_target and claim.target is None:
            hint = "a validation accuracy in (0, 1], as in target: 0.97"
            self._tell(("metric",), f"{claim.metric} needs a target, and there is none", hint)
        elif not metric.needs_target and claim.target is not None:
            takers = [name for name, each in metrics.items() if each.needs_target]
            hint = f"leave it out; these take one: {', '.join(takers)}"
            self._tell(("target",), f"{claim.metric} takes no target", hint)

    def probes(self, metrics: Mapping[str, TakesTarget] | None, arms: Iterable[StudyArm]) -> None:
        """Tell of a metric that is read from probes, where the experiment takes none."""
        metric = None if metrics is None else metrics.get(self._claim.metric)
        group = None if metric is None else metric.probes
        if group is None:
            return
        for arm in arms:
            probes = arm.config.probes
            if probes.enabled and group in probes.groups:
                continue
            what = f"{self._claim.metric} is read from probes, and {arm.label} has none"
            switch = "true" if group in DEFAULT_GROUPS else f"{{groups: [{group}]}}"
            hint = f"put probes: {switch} under base, or under the set of this experiment"
            if probes.enabled:
                what = f"{self._claim.metric} is read from probes of {group}, "
                what += f"and {arm.label} has only {', '.join(probes.groups)}"
                hint = f"add {group} to probes.groups"
            self._tell(("metric",), what, hint)
            return

    def sides(self, expansion: Expansion, *, damaged: set[str]) -> None:
        """Tell of an unknown experiment, and of what is wrong with the sides."""
        claim = self._claim
        names = list(expansion.arms)
        are_keys = all([self._has_keys("left"), self._has_keys("right"), self._has_keys("given")])
        over = claim.spread if claim.spread is not None else claim.trend
        if over is not None and not is_key(over):
            key = "spread" if claim.spread is not None else "trend"
            self._tell((key,), f"{shown_value(over)} is not a key", "as in model.init")
            are_keys = False
        if claim.experiment is None:
            hint = f"say which one decides it, as in `in: {names[0]}`"
            self._tell(("in",), f"there are {len(names)} experiments", hint)
        elif claim.experiment not in names:
            if claim.experiment not in damaged:
                found = nearest(claim.experiment, names)
                guess = f"did you mean {found}? " if found else ""
                what = f"{shown_value(claim.experiment)} is not an experiment"
                self._tell(("in",), what, f"{guess}allowed: {', '.join(names)}")
        elif are_keys and claim.experiment not in damaged:
            for each in side_faults(claim, expansion.arms[claim.experiment]):
                self._tell(each.path, each.what, each.hint)

    def _has_keys(self, key: str) -> bool:
        """Tell whether a partial config has keys and values that a config can have."""
        partial = getattr(self._claim, key)
        if not isinstance(partial, dict):
            return True
        settings = settings_of(partial, origin=(*self._at, key))
        usable = self._faults.settings(partial, origin=(*self._at, key), varies=True)
        return self._faults.check_partial(usable) and len(usable) == len(settings)

    def _tell(self, path: Path, what: str, hint: str | None) -> None:
        self._faults.tell((*self._at, *path), what, hint)


def _with_options(source: Source, overrides: Sequence[str | Override]) -> Source:
    """Lay options over a study: those for keys of a config over the base and each ``set``."""
    problems: list[Problem] = []
    for override in overrides:
        try:
            parsed = parse_override(override) if isinstance(override, str) else override
            source = _with_option(source, parsed)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return source


def _with_option(source: Source, override: Override) -> Source:
    path = key_path(override.key)
    if path == ("train", "seeds"):
        return apply_overrides(source, [replace(override, key="seeds")])
    if path[0] in StudyConfig.model_fields or path[0] not in Config.model_fields:
        return apply_overrides(source, [override])
    study = source.value if isinstance(source.value, dict) else {}
    layers: list[Path] = [("base",)]
    experiments = study.get("experiments")
    for name, experiment in experiments.items() if isinstance(experiments, dict) else ():
        if not isinstance(experiment, dict):
            continue
        if any(overlap(path, key) for key in _varied(experiment)):
            what = f"the experiment {shown_value(name)} varies this key"
            hint = "change the study file"
            raise ConfigError([Problem(override.option, override.key, what, hint)])
        if any(overlap(path, key) for key in _set_in(experiment.get("set"))):
            layers.append(("experiments", name, "set"))
    for layer in layers:
        # Not twice, dotted in the file and nested here.
        source = replace(source, value=_changed(source.value, layer, path))
        key = ".".join(str(part) for part in (*layer, *path))
        source = apply_overrides(source, [replace(override, key=key)])
    return source


def _changed(value: Plain, layer: Path, path: Path) -> Plain:
    """Return a study without a key, and the keys in it, of one of its partial configs."""
    if not isinstance(value, dict):
        return value
    if not layer:
        return _without(value, path)
    key = str(layer[0])
    return {**value, key: _changed(value[key], layer[1:], path)} if key in value else value


def _without(partial: dict[str, Plain], path: Path) -> dict[str, Plain]:
    kept: dict[str, Plain] = {}
    for key, value in partial.items():
        here = key_path(key)
        if here[: len(path)] == path:
            continue
        is_above = path[: len(here)] == here and isinstance(value, dict)
        kept[key] = _without(value, path[len(here) :]) if is_above else value  # type: ignore[arg-type]
    return kept


def _varied(experiment: dict[str, Plain]) -> Iterator[Path]:
    over, also = experiment.get("over"), experiment.get("also")
    yield from map(key_path, over if isinstance(over, dict) else ())
    for entry in also if isinstance(also, list) else ():
        yield from _set_in(entry)


def _set_in(partial: Plain) -> Iterator[Path]:
    if isinstance(partial, dict):
        yield from (setting.path for setting in settings_of(partial))
