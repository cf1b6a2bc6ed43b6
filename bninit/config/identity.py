"""What an arm is: the part of a config that decides the result, and a short hash of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bninit.config.schema import Config, leaf_values

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
