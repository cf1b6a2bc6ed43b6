"""Short words for what varies between arms: ``placement pre, lr 0.5``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bninit.config.fields import Section
from bninit.config.schema import Config
from bninit.config.source import Path, Plain

MAX_NAME_LENGTH = 64
_LONG = 4
"""From this many equal layers on they are counted: 20 x 100."""


def short_keys(axes: Sequence[Path]) -> dict[Path, str]:
    """Name axes by the end of their keys, as much of it as tells them apart.

    Args:
        axes: Different keys.
    """
    names = {}
    for axis in axes:
        for length in range(1, len(axis) + 1):
            end = axis[-length:]
            if sum(other[-length:] == end for other in axes) == 1:
                break
        names[axis] = ".".join(str(part) for part in end)
    return names


def resolved(config: Config, path: Path) -> Plain | Section:
    """Return what a config has at a key: a value, a section, or None where the key plays no part.

    Args:
        config: The config.
        path: A key of configs.
    """
    held: object = config
    for part in path:
        if not isinstance(held, Section) or part not in held.applicable_keys():
            return None
        held = getattr(held, str(part))
    if isinstance(held, tuple):
        return list(held)
    return held  # type: ignore[return-value]


def value_label(value: Plain | Section) -> str:
    """Return a value as labels show it; equal texts mean equal values of one key.

    A section shows its kind, and of the rest what is not the kind's default: ``he_normal``,
    ``normal (std 0.01)``. Equal layers are counted: ``20 x 100``.

    Args:
        value: What `resolved` returns.
    """
    if isinstance(value, Section):
        return _section_label(value)
    if isinstance(value, list):
        return _list_label(value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _list_label(values: list[Plain]) -> str:
    if len(values) >= _LONG and all(value == values[0] for value in values):
        return f"{len(values)} x {value_label(values[0])}"
    return "-".join(value_label(value) for value in values) or "no layers"


def _section_label(section: Section) -> str:
    kind = section.naming_key
    known: dict[str, object] = {kind: getattr(section, kind)} if kind else {}
    parts = []
    for key in section.applicable_keys():
        if key == kind:
            continue
        value = getattr(section, key)
        field = type(section).model_fields[key]
        default = field.get_default(call_default_factory=True, validated_data={**known})
        if value != default:
            plain = list(value) if isinstance(value, tuple) else value
            parts.append(f"{key} {value_label(plain)}")
    text = ", ".join(parts)
    if kind is None:
        return text or "defaults"
    name = str(known[kind])
    return f"{name} ({text})" if text else name


def run_name(study: str, label: str) -> str:
    """Return a name for an arm's runs: the study's, and what varies, cut to 64 characters.

    Args:
        study: Name of the study.
        label: Label of the arm.
    """
    varied = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-._")
    return f"{study}-{varied}"[:MAX_NAME_LENGTH].rstrip("-._")
