"""Configs: settings read from YAML, checked, resolved, identified and written.

Modules:
    schema: The keys of a config; its sections stand beside the components that take them.
    source: Plain values with the place of each; Python values as such.
    yaml_source, overrides: Reading YAML; options such as ``--set`` over it.
    load: From a source to a config, or to all of its faults.
    identity: Arms: their ids and labels.
    write: YAML, the starter config and the JSON Schema.
    overlay: Partial configs over each other, for studies.

Importing this package imports neither torch nor NumPy.
"""

from __future__ import annotations

from bninit.config.identity import arm_dict, arm_id
from bninit.config.load import config_from_dict, load_config
from bninit.config.overrides import Override, parse_seeds
from bninit.config.schema import Config, leaf_values
from bninit.config.write import config_to_yaml, json_schema, starter

__all__ = [
    "Config",
    "Override",
    "arm_dict",
    "arm_id",
    "config_from_dict",
    "config_to_yaml",
    "json_schema",
    "leaf_values",
    "load_config",
    "parse_seeds",
    "starter",
]
