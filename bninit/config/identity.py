"""What an arm is: the part of a config that decides the result, and a short hash of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from bninit.config.schema import Config, leaf_values
from bninit.fields import Path, Plain, Section, naming_key

NUM_ID_DIGITS = 8

_UNDECISIVE = (
    ("name",),
    ("targets",),
    ("train", "seeds"),
    ("train", "device"),
    ("train", "tensorboard"),
    ("probes",),
)


def arm_dict(config: Config) -> dict[str, Any]:
    """Return what decides the result of a training, as plain nested values.

    Every key that plays a part is there, defaults included, so that a changed default is another
    arm. Left out are the name, seeds, device, TensorBoard, probes and targets; batch norm's
    parameters where there is no batch norm; and the law of the biases where there are none.

    Args:
        config: The config.
    """
    arm = leaf_values(config)
    for *sections, key in _UNDECISIVE:
        holder = arm
        for section in sections:
            holder = holder[section]
        del holder[key]
    model = arm["model"]
    if not config.model.has_norm:
        model["norm"] = {key: model["norm"][key] for key in ("placement", "input")}
    if not config.model.bias:
        del model["init"]["bias"]
    return arm


def arm_id(config: Config) -> str:
    """Return the arm's content id: 8 hexadecimal digits of the SHA-256 of `canonical_json`.

    Args:
        config: The config.
    """
    digest = hashlib.sha256(canonical_json(arm_dict(config)).encode())
    return digest.hexdigest()[:NUM_ID_DIGITS]


def canonical_json(values: Any) -> str:
    """Return the one JSON text of plain values: keys sorted, no spaces, shortest floats.

    Args:
        values: Nested dicts, lists, text, booleans, and finite numbers; -0.0 is written as 0.0.

    Raises:
        ValueError: A number that is not finite.
    """
    return json.dumps(
        _without_negative_zero(values), sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _without_negative_zero(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _without_negative_zero(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_without_negative_zero(value) for value in values]
    return values + 0.0 if isinstance(values, float) else values


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
    kind = naming_key(type(section))
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
