"""What is asked for: config files read with line numbers, checked, resolved and written out.

Modules:
    source: Plain values and their places.
    yaml_source, yaml_events: Reading YAML safely.
    fields, model, optim, probes, schema: The keys, as pydantic models.
    load, draft, messages, nearest: From a source to a model, or to all that is wrong with it.
    overrides: ``--set`` and ``--seeds``.
    identity: What an arm is, and its id.
    dump, starter, json_schema: Writing configs, and what editors need to know of them.
    study, claim: The study file, as pydantic models.
    study_file, study_schema, study_faults: Reading and writing it, and telling what is wrong.
    layers, grid, expansion, labels: From a study to its arms.
    sides, side_faults: Which arms a claim is about.

Importing this package imports neither torch nor numpy, and what is of studies alone is imported
when it is first used: a training needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bninit.config.dump import config_to_yaml, to_yaml
from bninit.config.identity import arm_dict, arm_id, canonical_json
from bninit.config.json_schema import json_schema
from bninit.config.load import config_from_dict, load_config, load_model
from bninit.config.model import BiasConfig, InitConfig, ModelConfig, NormConfig
from bninit.config.optim import OptimConfig, ScheduleConfig
from bninit.config.overrides import Override, apply_overrides, parse_override, parse_seeds
from bninit.config.probes import ProbesConfig
from bninit.config.schema import SCHEMA_VERSION, Config, DataConfig, TrainConfig, leaf_values
from bninit.config.source import Place, Source, from_values
from bninit.config.starter import starter
from bninit.config.yaml_source import parse_yaml, read_yaml

if TYPE_CHECKING:
    from bninit.config.claim import Claim, MetricInfo, TakesTarget
    from bninit.config.expansion import StudyArm, arm_value, expand, matches
    from bninit.config.sides import Sides, level_scores, sides_of
    from bninit.config.study import Experiment, StudyConfig
    from bninit.config.study_file import load_study, study_from_dict, study_to_yaml
    from bninit.config.study_schema import study_json_schema

_OF_STUDIES = {
    "Claim": "claim",
    "MetricInfo": "claim",
    "TakesTarget": "claim",
    "StudyArm": "expansion",
    "arm_value": "expansion",
    "expand": "expansion",
    "matches": "expansion",
    "Sides": "sides",
    "level_scores": "sides",
    "sides_of": "sides",
    "Experiment": "study",
    "StudyConfig": "study",
    "load_study": "study_file",
    "study_from_dict": "study_file",
    "study_to_yaml": "study_file",
    "study_json_schema": "study_schema",
}
"""Names of this package to the modules that they are in. No module has the name of one of them."""

__all__ = [
    "SCHEMA_VERSION",
    "BiasConfig",
    "Claim",
    "Config",
    "DataConfig",
    "Experiment",
    "InitConfig",
    "MetricInfo",
    "ModelConfig",
    "NormConfig",
    "OptimConfig",
    "Override",
    "Place",
    "ProbesConfig",
    "ScheduleConfig",
    "Sides",
    "Source",
    "StudyArm",
    "StudyConfig",
    "TakesTarget",
    "TrainConfig",
    "apply_overrides",
    "arm_dict",
    "arm_id",
    "arm_value",
    "canonical_json",
    "config_from_dict",
    "config_to_yaml",
    "expand",
    "from_values",
    "json_schema",
    "leaf_values",
    "level_scores",
    "load_config",
    "load_model",
    "load_study",
    "matches",
    "parse_override",
    "parse_seeds",
    "parse_yaml",
    "read_yaml",
    "sides_of",
    "starter",
    "study_from_dict",
    "study_json_schema",
    "study_to_yaml",
    "to_yaml",
]


def __getattr__(name: str) -> object:
    if name not in _OF_STUDIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_OF_STUDIES[name]}"), name)
    globals()[name] = value
    return value
