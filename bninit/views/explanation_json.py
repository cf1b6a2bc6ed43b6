"""Explanations as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from bninit.analysis.explanation import Course, DrawnLaw, Explanation
from bninit.config import leaf_values
from bninit.views.explanation_words import outlook, verdict


def json_text(found: Sequence[Explanation]) -> str:
    """All figures of some explanations; what is not a finite number is null."""
    value = [_plain(one) for one in found]
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(found: Explanation) -> dict[str, Any]:
    return {
        "name": found.label,
        "config": leaf_values(found.config),
        "seeds": list(found.seeds),
        "num_examples": found.num_examples,
        "input_mean_square": found.input_mean_square,
        "loss": found.loss,
        "layers": [
            {
                **_finite(asdict(layer)),
                "weights": _law(layer.weights),
                "biases": None if layer.biases is None else _law(layer.biases),
            }
            for layer in found.layers
        ],
        "parameters": [asdict(row) for row in found.parameters],
        "gradient_per_layer": _course(found.gradient),
        "signal_per_layer": _course(found.signal),
        "outlook": _finite(asdict(found.outlook)) if found.outlook else None,
        "advice": _finite(asdict(found.advice)),
        "is_symmetric": found.is_symmetric,
        "has_no_gradient": found.has_no_gradient,
        "gradient_fate": found.gradient_fate,
        "overflow": found.overflow,
        "verdict": verdict(found),
        "theory": outlook(found),
    }


def _law(drawn: DrawnLaw) -> dict[str, Any]:
    law = drawn.law
    return {
        "law": law.text,
        "mean": law.mean,
        "sd": law.sd,
        "limit": law.limit,
        "drawn_mean": drawn.mean,
        "drawn_sd": drawn.sd,
    }


def _course(course: Course | None) -> dict[str, Any] | None:
    if course is None:
        return None
    return {**_finite(asdict(course)), "num_layers": course.num_layers, "total": course.total}


def _finite(value: Any) -> Any:
    """The same with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    assert not is_dataclass(value)
    return value
