import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bninit.config import (
    config_from_dict,
    config_to_yaml,
    load_config,
    parse_yaml,
    to_yaml,
)
from bninit.fields import Place


def test_a_dump_is_fully_resolved_and_reads_back(tmp_path: Path) -> None:
    config = config_from_dict({"name": "1e3", "optim": {"name": "adam", "eps": 1e-12}})
    text = config_to_yaml(config)
    assert text.splitlines()[:3] == ["schema_version: 1", 'name: "1e3"', "data:"]
    assert "  hidden: [256, 256, 256]\n" in text
    assert "  eps: 1.0e-12\n" in text
    assert "momentum: 0.9" not in text
    assert "null" not in text
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path) == config


@settings(deadline=None, max_examples=300)
@given(st.floats(allow_nan=False))
@example(1e-5)
@example(1e16)
@example(5e-324)
@example(-0.0)
@example(float("inf"))
def test_floats_read_back_to_the_last_bit_in_both_yamls(value: float) -> None:
    text = to_yaml({"a": value})
    read = parse_yaml(text, place=Place("x")).value
    assert isinstance(read, dict)
    assert str(read["a"]) == str(value)
    assert str(yaml.safe_load(text)["a"]) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        *["1e3", "0o7", "0x1f", "1_000", "yes", "no", "null", "~", "true", "1:30", ".5", ".inf"],
        *["2024-01-01", "#", "*a", "&a", "!t", "%", "@", "<<", "=", "[", "{"],
        *["", "9" * 200, "- a", "a: b", "é", "a\nb", " a ", "\t", "\x07", "\u2028", "'", '"'],
        *["x" * 300, "a b " * 60],
    ],
)
def test_text_stays_text_in_both_yamls(text: str) -> None:
    dumped = to_yaml({"a": text, text: "b"})
    assert parse_yaml(dumped, place=Place("x")).value == {"a": text, text: "b"}
    assert yaml.safe_load(dumped)["a"] == text


def test_nested_values_are_readable() -> None:
    shared = [1, 2]
    text = to_yaml({"a": [{"b": shared, "c": None}, {"b": shared}], "d": {"e": True}})
    assert text == "a:\n- b: [1, 2]\n  c: null\n- b: [1, 2]\nd:\n  e: true\n"
    assert json.loads(json.dumps(yaml.safe_load(text))) == {
        "a": [{"b": [1, 2], "c": None}, {"b": [1, 2]}],
        "d": {"e": True},
    }
