"""One JSON for everything that is written and printed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest

from bninit.store.files import json_text


@dataclass(frozen=True)
class Point:
    x: float
    places: tuple[int, ...]


def test_what_json_does_not_have_is_null_and_numpy_is_plain() -> None:
    value = {
        "z": math.nan,
        "a": [math.inf, -math.inf, 0.1],
        "array": np.array([[1.0, np.nan], [2.0, 3.0]]),
        "scalars": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64("nan")),
        "point": Point(math.nan, (1, 2)),
        "when": datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "none": None,
    }
    assert json.loads(json_text(value)) == {
        "z": None,
        "a": [None, None, 0.1],
        "array": [[1.0, None], [2.0, 3.0]],
        "scalars": [0.5, 3, True, None],
        "point": {"x": None, "places": [1, 2]},
        "when": "2020-01-02T03:04:05+00:00",
        "none": None,
    }
    assert list(json.loads(json_text(value))) == list(value), "keys keep their order"


def test_the_text_is_indented_and_ends_a_line() -> None:
    assert json_text({"name": "größe"}) == '{\n  "name": "größe"\n}\n'
    assert json_text(["ö"], ascii_only=True) == '[\n  "\\u00f6"\n]\n'


def test_what_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError):
        json_text({"one": object()})
