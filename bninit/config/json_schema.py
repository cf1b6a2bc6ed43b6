"""The JSON Schema of config files, for editors that complete and check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from bninit.config.schema import Config

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config file, short forms included.

    It checks keys, types, names and ranges; what keys demand of each other only loading tells.
    """
    return schema_of(Config, title="bninit config")


def schema_of(model_type: type[BaseModel], *, title: str) -> dict[str, Any]:
    """Return the JSON Schema of a file that a model is read from.

    Args:
        model_type: The model; null stands for the default of each of its keys that has one.
        title: Title of the schema.
    """
    schema = model_type.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        section.pop("title", None)
        required = section.get("required", [])
        section["properties"] = {
            key: part if key in required else _or_null(part)
            for key, part in section["properties"].items()
        }
    return {"$schema": _DIALECT, "title": title, **schema}


def _or_null(part: dict[str, Any]) -> dict[str, Any]:
    """Allow null, which stands for the default; what is told about the key stays on top."""
    part = {key: value for key, value in part.items() if key != "title"}
    told: dict[str, Any] = {
        key: part.pop(key) for key in ("description", "default", "examples") if key in part
    }
    kinds = part["anyOf"] if set(part) == {"anyOf"} else [part]
    if {"type": "null"} not in kinds:
        kinds = [*kinds, {"type": "null"}]
    return {**told, "anyOf": kinds}
