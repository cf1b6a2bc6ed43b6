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

from bninit.config.identity import arm_dict, arm_id, canonical_json
from bninit.config.load import config_from_dict, load_config, load_model
from bninit.config.overrides import Override, apply_overrides, parse_override, parse_seeds
from bninit.config.schema import SCHEMA_VERSION, Config, leaf_values
from bninit.config.source import Place, Source, from_values
from bninit.config.write import config_to_yaml, json_schema, starter, to_yaml
from bninit.config.yaml_source import parse_yaml, read_yaml

__all__ = [
    "SCHEMA_VERSION",
    "Config",
    "Override",
    "Place",
    "Source",
    "apply_overrides",
    "arm_dict",
    "arm_id",
    "canonical_json",
    "config_from_dict",
    "config_to_yaml",
    "from_values",
    "json_schema",
    "leaf_values",
    "load_config",
    "load_model",
    "parse_override",
    "parse_seeds",
    "parse_yaml",
    "read_yaml",
    "starter",
    "to_yaml",
]
