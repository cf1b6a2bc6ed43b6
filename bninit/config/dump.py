"""Writing plain values and configs as YAML that reads back as the very same values."""

from __future__ import annotations

import math
from typing import Any

import yaml

from bninit.config.schema import Config, leaf_values
from bninit.config.yaml_events import plain_scalar


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
