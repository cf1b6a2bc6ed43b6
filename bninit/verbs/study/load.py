"""Loading and writing study files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bninit.config.load import Search, in_order
from bninit.config.overlay import key_path, settings_of
from bninit.config.overrides import Override, apply_overrides, parse_override
from bninit.config.schema import Config
from bninit.config.source import Source, from_values
from bninit.config.write import to_yaml
from bninit.config.yaml_source import read_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, overlap, shown_value
from bninit.verbs.study.expand import Expansion, StudyFaults
from bninit.verbs.study.schema import StudyConfig
from bninit.verbs.study.sides import check_claim


def load_study(
    path: str | os.PathLike[str], *, overrides: Sequence[str | Override] = ()
) -> StudyConfig:
    """Load a study file, and check every arm and claim of it."""
    return _load(_with_options(read_yaml(path), overrides))


def study_from_dict(
    values: Mapping[str, object],
    *,
    overrides: Sequence[str | Override] = (),
    name: str = "study",
) -> StudyConfig:
    """Make a study of a dict with the keys of a study file."""
    return _load(_with_options(from_values(values, name=name), overrides))


def study_to_yaml(study: StudyConfig) -> str:
    """Return a study as YAML; `load_study` reads it back as an equal study.

    Seeds, targets and claims are written out. The base and what experiments set over it stay as
    they were given: with defaults filled in, an arm with another optimiser would get the
    learning rate of the base's. The resolved config of each arm is kept beside its runs.
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


def _load(source: Source) -> StudyConfig:
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
            at = search.original(("claims", index))
            check_claim(claim, at=at, arms=expansion.arms, damaged=damaged, faults=faults)
        found += faults.found
    if study is None or found or not search.is_whole:
        raise ConfigError(in_order(found, name=source.name))
    return study


def _with_options(source: Source, overrides: Sequence[str | Override]) -> Source:
    """Lay options over a study: those for keys of a config win over the base and each ``set``."""
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
    path, study = key_path(override.key), source.value
    if path == ("train", "seeds"):
        return apply_overrides(source, [replace(override, key="seeds")])
    is_of_study = path[0] in StudyConfig.model_fields or path[0] not in Config.model_fields
    if is_of_study or not isinstance(study, dict):
        return apply_overrides(source, [override])
    study = dict(study)
    experiments = study.get("experiments")
    if isinstance(experiments, dict):
        for name, experiment in experiments.items():
            if any(overlap(path, key) for key in _varied(experiment)):
                what = f"the experiment {shown_value(name)} varies this key"
                hint = "change the study file"
                raise ConfigError([Problem(override.option, override.key, what, hint)])
        study["experiments"] = {
            name: {**experiment, "set": _without(experiment["set"], path)}
            if isinstance(experiment, dict) and "set" in experiment
            else experiment
            for name, experiment in experiments.items()
        }
    if "base" in study:
        study["base"] = _without(study["base"], path)  # not twice, dotted and nested
    in_base = replace(override, key=f"base.{override.key}")
    return apply_overrides(replace(source, value=study), [in_base])


def _without(partial: Plain, path: Path, above: Path = ()) -> Plain:
    """Return a partial config without a key, the keys in it, and nulls for its sections."""
    if not isinstance(partial, dict):
        return partial
    kept: dict[str, Plain] = {}
    for key, value in partial.items():
        here = (*above, *key_path(key))
        if isinstance(value, dict):
            if here[: len(path)] != path:
                kept[key] = _without(value, path, here)
            continue
        settings = settings_of({key: value}, path=above)
        is_in_it = any(setting.path[: len(path)] == path for setting in settings)
        if not is_in_it and not (value is None and overlap(here, path)):
            kept[key] = value
    return kept


def _varied(experiment: Plain) -> Iterator[Path]:
    if not isinstance(experiment, dict):
        return
    over, also = experiment.get("over"), experiment.get("also")
    yield from map(key_path, over if isinstance(over, dict) else ())
    for entry in also if isinstance(also, list) else ():
        if isinstance(entry, dict):
            yield from (setting.path for setting in settings_of(entry))
