"""A commented config to begin with, made from the schema so that the two cannot disagree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from bninit.config.dump import to_yaml
from bninit.config.fields import Section
from bninit.config.load import config_from_dict

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
    lines = list(_lines(config, depth=0))
    return _HEAD.format(name=name) + "\n".join(lines) + "\n"


def _lines(section: Section, *, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    applicable = section.applicable_keys()
    for key, field in type(section).model_fields.items():
        if key == "schema_version":
            continue
        value = getattr(section, key)
        if depth == 0:
            yield ""
        yield from textwrap.wrap(
            field.description or "",
            width=96,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
        )
        if isinstance(value, Section):
            yield f"{indent}{key}:"
            yield from _lines(value, depth=depth + 1)
        elif key in applicable:
            yield f"{indent}{_entry(key, value)}"
        else:
            yield f"{indent}# {_entry(key, (field.examples or [value])[0])}"


def _entry(key: str, value: object) -> str:
    if key == "seeds" and isinstance(value, tuple) and value == tuple(range(len(value))):
        value = len(value)
    plain = list(value) if isinstance(value, tuple) else value
    return to_yaml({key: plain}).rstrip("\n")
