"""Writing plain values and configs as YAML that reads back as the very same values."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from bninit.config.load import config_from_dict
from bninit.config.schema import Config, leaf_values
from bninit.config.yaml_source import plain_scalar
from bninit.fields import Path, Section, keys_of, sections_at


class _Dumper(yaml.SafeDumper):
    """Mappings in blocks, lists on one line, quotes wherever YAML 1.1 or 1.2 would not see text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_str(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread; 1e3 and 0o7 are numbers in YAML 1.2 alone.
    style = None if isinstance(_meaning(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _meaning(text: str) -> object:
    try:
        return plain_scalar(text)
    except ValueError:
        return None


def _represent_list(dumper: _Dumper, values: list[Any]) -> yaml.SequenceNode:
    is_flat = not any(isinstance(value, dict | list) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_flat)


def _represent_float(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    text = repr(value)
    if not math.isfinite(value):
        text = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[text]
    elif "e" in text:
        # YAML 1.1 wants a point and a signed exponent, where Python writes 1e-05.
        digits, exponent = text.split("e")
        text = f"{digits if '.' in digits else digits + '.0'}e{int(exponent):+d}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(list, _represent_list)


def to_yaml(values: Any) -> str:
    """Return plain nested values as YAML, keys in their order.

    Args:
        values: Nested dicts, lists, text, booleans, numbers and None.
    """
    text: str = yaml.dump(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return text


def config_to_yaml(config: Config) -> str:
    """Return a config as YAML, fully resolved; `load_config` reads it back as an equal config.

    Keys that mean nothing beside the others (another scheme's parameters) are left out.

    Args:
        config: The config.
    """
    return to_yaml(leaf_values(config))


_HEAD = """\
# A config of bninit. Train with it:  bninit train --config {name}.yaml
# Each key but the name may be left out, and then has the value that stands here.
# A key that is commented out belongs to another choice, named before the colon.
"""
_INDENT = "  "


def starter(name: str) -> str:
    """Return a starter config as YAML, each key explained, that loads as it stands.

    Args:
        name: The name of the config.

    Raises:
        ConfigError: The name is not fit for a runs folder.
    """
    config = config_from_dict({"name": name}, name="bninit init")
    lines = list(_lines(config, ()))
    return _HEAD.format(name=name) + "\n".join(lines) + "\n"


def _lines(section: Section, path: Path) -> Iterator[str]:
    indent = _INDENT * len(path)
    applicable = section.applicable_keys()
    for key, field in keys_of(*sections_at(Config, path)).items():
        if key == "schema_version":
            continue
        value = getattr(section, key, field.default)
        if not path:
            yield ""
        yield from textwrap.wrap(
            field.description or "",
            width=96,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
        )
        if isinstance(value, Section):
            yield f"{indent}{key}:"
            yield from _lines(value, (*path, key))
        elif key in applicable:
            yield f"{indent}{_entry(key, value)}"
        else:
            yield f"{indent}# {_entry(key, (field.examples or [value])[0])}"


def _entry(key: str, value: object) -> str:
    if key == "seeds" and isinstance(value, tuple) and value == tuple(range(len(value))):
        value = len(value)
    plain = list(value) if isinstance(value, tuple) else value
    return to_yaml({key: plain}).rstrip("\n")


_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a config file, short forms included.

    It checks keys, types, names and ranges; what keys demand of each other only loading tells.
    """
    return schema_of(Config, title="bninit config")


def schema_of(model_type: type[BaseModel], *, title: str) -> dict[str, Any]:
    """Return the JSON Schema of a file that a model is read from."""
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
    """Allow null, which stands for the default; the description of the key stays on top."""
    part = {key: value for key, value in part.items() if key != "title"}
    told: dict[str, Any] = {
        key: part.pop(key) for key in ("description", "default", "examples") if key in part
    }
    kinds = part["anyOf"] if set(part) == {"anyOf"} else [part]
    if {"type": "null"} not in kinds:
        kinds = [*kinds, {"type": "null"}]
    return {**told, "anyOf": kinds}
