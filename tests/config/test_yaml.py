"""YAML and Python values become plain values with their places, and are written back."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bninit.config import yaml_source
from bninit.config.source import MAX_DEPTH, MAX_NODES, Place, Source, from_values
from bninit.config.write import to_yaml
from bninit.config.yaml_source import MAX_BYTES, parse_yaml, plain_scalar, read_yaml
from bninit.errors import ConfigError
from bninit.fields import dotted, path_in, shown_value


def parse(text: str) -> Source:
    return parse_yaml(text, place=Place("a.yaml"))


# The table of section 10.3.2 of the YAML 1.2 specification, and what YAML 1.1 made of its rows.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "NULL")],
        *[("true", True), ("False", False)],
        *[
            (text, text)
            for text in ("nULL", "yes", "no", "on", "Off", "1_000", "1:30", "2024-01-01")
        ],
        *[(text, text) for text in (".", "e3", "nan", "cuda:0")],
        *[("0", 0), ("-12", -12), ("+7", 7), ("010", 10), ("0o10", 8), ("0xff", 255)],
        *[("1e-3", 0.001), ("1E3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-0.25e+2", -25.0)],
        *[(".inf", math.inf), ("-.INF", -math.inf)],
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read = plain_scalar(text)
    assert read == value
    assert type(read) is type(value)
    assert math.isnan(plain_scalar(".nan"))  # type: ignore[arg-type]


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co", "Cf"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | PRINTABLE
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(PRINTABLE, inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(PLAIN)
def test_json_reads_as_the_json_module_reads_it(value: object) -> None:
    assert parse(json.dumps(value, ensure_ascii=False)).value == value


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(PRINTABLE, st.lists(st.integers() | st.booleans() | PRINTABLE)))
def test_quoted_block_yaml_reads_as_pyyaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True)
    # With every scalar quoted, PyYAML tags what is not text.
    untagged = text.replace("!!int ", "").replace("!!bool ", "")
    assert parse(untagged).value == yaml.load(untagged, Loader=yaml.BaseLoader)


def test_every_key_and_value_has_its_place() -> None:
    source = parse("name: a\nmodel:\n  hidden: [1,\n    2]\n  norm: {eps:\n      3}\n")
    assert source.value == {"name": "a", "model": {"hidden": [1, 2], "norm": {"eps": 3}}}
    assert {path: (place.line, place.column) for path, place in source.values.items()} == {
        (): (1, 1),
        ("name",): (1, 7),
        ("model",): (3, 3),
        ("model", "hidden"): (3, 11),
        ("model", "hidden", 0): (3, 12),
        ("model", "hidden", 1): (4, 5),
        ("model", "norm"): (5, 9),
        ("model", "norm", "eps"): (6, 7),
    }
    assert source.keys["model",] == Place("a.yaml", 2, 1)
    assert source.keys["model", "norm", "eps"] == Place("a.yaml", 5, 10)
    assert str(source.place_of(("model", "norm", "eps", "deeper"))) == "a.yaml:5"
    assert str(source.place_of(("nowhere",))) == "a.yaml"


def test_keys_are_text_as_written() -> None:
    text = "1: a\nno: b\n1e3: c\ntrue: d\n"
    assert parse(text).value == {"1": "a", "no": "b", "1e3": "c", "true": "d"}


def test_a_key_given_twice_names_both_lines_and_keeps_the_first() -> None:
    source = parse("a:\n  b: 1\n  c: {x: 1}\n  b: {d: &x 2, d: 3}\ne: *x\n")
    assert source.value == {"a": {"b": 1, "c": {"x": 1}}, "e": 2}
    [(place, problem)] = source.problems
    assert source.unread == frozenset()
    assert (place.line, problem.where, problem.key) == (4, "a.yaml:4", "a.b")
    assert "first on line 2" in problem.what


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!mine", "!!str", "!!binary", "!"]
)
def test_tags_are_refused_and_their_values_not_judged(tag: str) -> None:
    source = parse(f"a: &x {tag} [y]\nb: *x\nc: 1\n")
    [(_, problem)] = source.problems
    assert (problem.where, problem.key) == ("a.yaml:1", "a")
    assert shown_value(tag.replace("!!", "tag:yaml.org,2002:")) in problem.what
    assert source.unread == {("a",)}
    assert source.value == {"a": ["y"], "b": ["y"], "c": 1}


def test_faults_before_the_one_that_stops_are_told_too() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('a: !t 1\nb: "\\ud800"\nc: d: e\n')
    assert [problem.where for problem in caught.value.problems] == [
        *("a.yaml:1", "a.yaml:2", "a.yaml:3")
    ]


def test_aliases_are_copies_and_anchors_may_move() -> None:
    source = parse("a: &x {p: [1]}\nb: *x\nc: &x 2\nd: [*x]\n")
    assert source.value == {"a": {"p": [1]}, "b": {"p": [1]}, "c": 2, "d": [2]}
    assert isinstance(source.value, dict)
    assert source.value["a"] is not source.value["b"]
    assert str(source.place_of(("b", "p", 0))) == "a.yaml:2"
    assert str(source.place_of(("d", 0))) == "a.yaml:4"


def nested_aliases(number: int) -> str:
    return "\n".join(["a0: &a0 [1]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, number))])


def test_size_and_depth_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_NODES <= 100_000, "which take a second or two"
    too_deep = f"nested deeper than {MAX_DEPTH}"
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH).problems == ()
    assert parse(nested_aliases(MAX_DEPTH - 1)).problems == ()
    for text in ("[" * 100_000, "- " * 100_000, "{a: " * 100_000, nested_aliases(MAX_DEPTH + 2)):
        with pytest.raises(ConfigError, match=too_deep):
            parse(text)
    monkeypatch.setattr(yaml_source, "MAX_NODES", 1_000)
    assert parse("[" + ",".join(["1"] * 999) + "]")
    for text in ("[" + ",".join(["1"] * 1_000) + "]", "[&a [1, 1], " + "*a, " * 333 + "]"):
        with pytest.raises(ConfigError, match="more than 1000 values"):
            parse(text)


def test_half_surrogates_are_told_as_values_and_keys() -> None:
    source = parse('b: "\\ud800"\n"\\udfff": 1\n')
    assert [problem.where for _, problem in source.problems] == ["a.yaml:1", "a.yaml:2"]


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    source = read_yaml(path)
    assert source.value == {"a": 1, "b": 2}
    assert source.keys["b",].line == 2


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("name: a")
    (tmp_path / "large.yaml").write_bytes(b"a: 1\n" * (MAX_BYTES // 5 + 1))
    cases = {
        tmp_path / "quikstart.yaml": "did you mean",
        tmp_path / "other.yaml": "file not found",
        tmp_path: "a folder",
        tmp_path / "no" / "x.yaml": "no folder",
        tmp_path / ("x" * 5000): "cannot be read",
        Path("a\0b"): "cannot be read",
        tmp_path / "large.yaml": "larger than",
    }
    for path, said in cases.items():
        with pytest.raises(ConfigError, match=said):
            read_yaml(path)


def test_python_values_become_plain() -> None:
    values = {
        "seeds": range(3),
        "hidden": (np.int64(8), 4),
        "lr": np.float32(0.5),
        "flag": np.bool_(True),
        "widths": np.array([[1, 2]]),
        "none": None,
    }
    plain: Any = from_values(values).value
    assert plain == {
        "seeds": [0, 1, 2],
        "hidden": [8, 4],
        "lr": 0.5,
        "flag": True,
        "widths": [[1, 2]],
        "none": None,
    }
    assert (type(plain["lr"]), type(plain["flag"])) == (float, bool)


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


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
        (ENDLESS, f"deeper than {MAX_DEPTH}"),
    ],
)
def test_what_cannot_stand_in_a_config_is_named(values: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_values(values)


def test_paths_and_values_are_shown_on_one_short_line() -> None:
    assert dotted(("a", "b", 2, "c")) == "a.b[2].c"
    assert dotted(("a", "\x1b[31m")) == r"a.'\x1b[31m'"
    assert len(dotted((0,) * 500)) <= 120
    for value in ("x" * 9999, "\x1b[31m\n", list(range(9999)), 10**5000, {"k": [1] * 99}):
        shown = shown_value(value)
        assert shown.isprintable()
        assert len(shown) <= 120
    value = {"a": [1, {"b": 2}]}
    found = [path_in(value, path) for path in (("a", 1, "b", "c"), ("a", 2), ("a", "b"))]  # type: ignore[arg-type]
    assert found == [("a", 1, "b"), ("a",), ("a",)]


@settings(deadline=None, max_examples=300)
@given(st.floats(allow_nan=False))
@example(1e-5)
@example(1e16)
@example(5e-324)
@example(-0.0)
@example(float("inf"))
def test_floats_read_back_to_the_last_bit_in_both_yamls(value: float) -> None:
    text = to_yaml({"a": value})
    read: Any = parse(text).value
    assert str(read["a"]) == str(yaml.safe_load(text)["a"]) == str(value)


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
    assert parse(dumped).value == {"a": text, text: "b"}
    assert yaml.safe_load(dumped)["a"] == text


def test_written_values_are_readable() -> None:
    shared = [1, 2]
    text = to_yaml({"a": [{"b": shared, "c": None}, {"b": shared}], "d": {"e": True}})
    assert text == "a:\n- b: [1, 2]\n  c: null\n- b: [1, 2]\nd:\n  e: true\n"
