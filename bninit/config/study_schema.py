"""The JSON Schema of study files, for editors that complete and check them."""

from __future__ import annotations

from typing import Any

from bninit.config.json_schema import json_schema, schema_of
from bninit.config.nearest import all_keys, section_at
from bninit.config.schema import Config
from bninit.config.source import Path, dotted
from bninit.config.study import StudyConfig

_SECTIONS = ("data", "model", "optim", "train")
_PARTIAL = {"$ref": "#/$defs/Partial"}


def study_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a study file.

    It knows the keys of configs, dotted or nested, and what values they take. What arms and
    claims demand of each other only loading tells.
    """
    schema = schema_of(StudyConfig, title="bninit study")
    config = json_schema()
    sections: dict[str, Any] = config["$defs"]
    for section in sections.values():
        section.pop("required", None)  # what it lacks, another layer may give
    del sections["TrainConfig"]["properties"]["seeds"]
    nodes = {
        dotted(path): _node(path, config)
        for path in all_keys(Config)
        if path[0] in _SECTIONS and path != ("train", "seeds")
    }
    definitions = schema["$defs"]
    definitions["Partial"] = {
        "type": "object",
        "properties": nodes,
        "additionalProperties": False,
    }
    experiment = definitions["Experiment"]["properties"]
    claim = definitions["Claim"]["properties"]
    schema["properties"]["base"] |= _or_null(_PARTIAL)
    experiment["set"] |= _or_null(_PARTIAL)
    for key in ("also", "exclude"):
        experiment[key] |= _or_null({"type": "array", "items": _PARTIAL})
    experiment["over"] |= _or_null(
        {
            "type": "object",
            "properties": {
                key: {"type": "array", "minItems": 1, "items": node} for key, node in nodes.items()
            },
            "additionalProperties": False,
        }
    )
    for key in ("left", "given"):
        claim[key] |= _or_null(_PARTIAL)
    claim["right"] |= _or_null({"anyOf": [_PARTIAL, {"type": "number"}]})
    schema["$defs"] = {**sections, **definitions}
    return schema


def _node(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    section = section_at(Config, path[:-1])
    known = config if section in (None, Config) else config["$defs"][section.__name__]
    node: dict[str, Any] = known["properties"][str(path[-1])]
    return node


def _or_null(node: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [node, {"type": "null"}]}
