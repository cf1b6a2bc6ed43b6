from typing import Any

import numpy as np
import pytest

from bninit.errors import ConfigError
from bninit.fields import (
    MAX_DEPTH,
    MAX_NODES,
    dotted,
    from_values,
    path_in,
    shown_value,
)


def test_python_values_become_plain() -> None:
    values = {
        "seeds": range(3),
        "hidden": (np.int64(8), 4),
        "lr": np.float32(0.5),
        "flag": np.bool_(True),
        "widths": np.array([[1, 2]]),
        "none": None,
    }
    plain = from_values(values).value
    assert plain == {
        "seeds": [0, 1, 2],
        "hidden": [8, 4],
        "lr": 0.5,
        "flag": True,
        "widths": [[1, 2]],
        "none": None,
    }
    assert isinstance(plain, dict)
    assert type(plain["lr"]) is float
    assert type(plain["flag"]) is bool


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"a": {"b": object()}}, "config: a.b: a value of type object"),
        ({"a": [1, {2}]}, r"config: a\[1\]: a value of type set"),
        ({"a": b"x"}, "config: a: a value of type bytes"),
        ({1: 2}, "the key 1 is not text"),
        ({"a": "\ud800"}, "Unicode"),
        ({"\ud800": 1}, "Unicode"),
        ({"a": 10**5000}, "digits"),
        ({"a": [0] * MAX_NODES}, "more than"),
    ],
)
def test_what_cannot_stand_in_a_config_is_named(values: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_values(values)


def test_endless_values_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match=f"deeper than {MAX_DEPTH}"):
        from_values(endless)


def test_paths_and_values_are_shown_on_one_short_line() -> None:
    assert dotted(("a", "b", 2, "c")) == "a.b[2].c"
    assert dotted(("a", "\x1b[31m")) == r"a.'\x1b[31m'"
    assert len(dotted((0,) * 500)) <= 120
    for value in ("x" * 9999, "\x1b[31m\n", list(range(9999)), 10**5000, {"k": [1] * 99}):
        shown = shown_value(value)
        assert shown.isprintable()
        assert len(shown) <= 120


def test_path_in_stops_where_the_value_does() -> None:
    value: Any = {"a": [1, {"b": 2}]}
    assert path_in(value, ("a", 1, "b", "c")) == ("a", 1, "b")
    assert path_in(value, ("a", 2)) == ("a",)
    assert path_in(value, ("a", "b")) == ("a",)
