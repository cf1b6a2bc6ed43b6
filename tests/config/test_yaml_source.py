import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.config import yaml_source as yaml_events
from bninit.config.yaml_source import MAX_BYTES, parse_yaml, plain_scalar, read_yaml
from bninit.errors import ConfigError
from bninit.fields import MAX_DEPTH, MAX_NODES, Place, Source


def parse(text: str) -> Source:
    return parse_yaml(text, place=Place("a.yaml"))


def error_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


# The table of section 10.3.2 of the YAML 1.2 specification, and what YAML 1.1 made of its rows.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("NULL", None),
        ("nULL", "nULL"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("010", 10),
        ("0o10", 8),
        ("0xff", 255),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.25e+2", -25.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        (".", "."),
        ("e3", "e3"),
        ("nan", "nan"),
        ("cuda:0", "cuda:0"),
    ],
)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read = plain_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_float() -> None:
    read = plain_scalar(".nan")
    assert isinstance(read, float)
    assert math.isnan(read)


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
    strings = yaml.load(untagged, Loader=yaml.BaseLoader)
    assert parse(untagged).value == strings


def test_every_key_and_value_has_its_place() -> None:
    source = parse("name: a\nmodel:\n  hidden: [1,\n    2]\n  norm: {eps:\n      3}\n")
    assert source.value == {"name": "a", "model": {"hidden": [1, 2], "norm": {"eps": 3}}}
    places = {path: (place.line, place.column) for path, place in source.values.items()}
    assert places == {
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
    assert parse("1: a\nno: b\n1e3: c\ntrue: d\n").value == {
        "1": "a",
        "no": "b",
        "1e3": "c",
        "true": "d",
    }


def test_a_key_given_twice_names_both_lines_and_keeps_the_first() -> None:
    source = parse("a:\n  b: 1\n  c: {x: 1}\n  b: {d: 2, d: 3}\n")
    assert source.value == {"a": {"b": 1, "c": {"x": 1}}}
    [(place, problem)] = source.problems
    assert source.unread == frozenset()
    assert (place.line, problem.where, problem.key) == (4, "a.yaml:4", "a.b")
    assert "first on line 2" in problem.what


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!mine", "!!str", "!!binary", "!"]
)
def test_tags_are_refused_by_name(tag: str) -> None:
    source = parse(f"a: 1\nb: {tag} [x]\n")
    [(_, problem)] = source.problems
    assert problem.where == "a.yaml:2"
    assert "tag" in problem.what
    assert source.unread == {("b",)}
    assert source.value == {"a": 1, "b": ["x"]}


def test_aliases_are_copies() -> None:
    source = parse("a: &x {p: [1]}\nb: *x\n")
    assert source.value == {"a": {"p": [1]}, "b": {"p": [1]}}
    assert isinstance(source.value, dict)
    assert source.value["a"] is not source.value["b"]
    assert str(source.place_of(("b", "p", 0))) == "a.yaml:2"


def test_aliases_cannot_unfold_without_end() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert f"more than {MAX_NODES} values" in error_of("\n".join(lines))


def test_aliases_cannot_nest_without_end() -> None:
    lines = ["a0: &a0 [1]"]
    lines += [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 2)]
    assert f"nested deeper than {MAX_DEPTH}" in error_of("\n".join(lines))
    assert parse("\n".join(lines[: MAX_DEPTH - 1])).problems == ()


def test_nesting_is_bounded_without_recursion() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH).problems == ()
    for text in ("[" * 100_000, "- " * 100_000, "{a: " * 100_000):
        assert f"nested deeper than {MAX_DEPTH}" in error_of(text)


def test_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_NODES <= 100_000, "which take a second or two"
    monkeypatch.setattr(yaml_events, "MAX_NODES", 1_000)
    assert "more than 1000 values" in error_of("[" + ",".join(["1"] * 1_000) + "]")
    assert parse("[" + ",".join(["1"] * 998) + "]")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a:\n\tb: 1\n", 2, "a tab stands where YAML wants spaces"),
        ("a:\n  b:\t1\n", 2, "a tab stands where YAML wants spaces"),
        ("a: 1\nb: c: 2\n", 2, "mapping values are not allowed"),
        ("a: [1, 2\nb: 3\n", 2, "a bracket is not closed"),
        ("a: 'x\nb: 3\n", 3, "a quote is not closed"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a: 1\nb: *nowhere\n", 2, "nothing is anchored as 'nowhere'"),
        ("a: 1\nb: &r [*r]\n", 2, "nothing is anchored as 'r'"),
        ("a: 1\n? [b]\n: 2\n", 2, "a list or mapping cannot be a key"),
        ("a: &x b\n*x : 2\n", 2, "an alias cannot be a key"),
        ("a: 1\nb: \x07\n", 2, "the character '\\x07'"),
        ("a: 1\nb: @x\n", 2, "needs quotes"),
        ("%YAML 3.0\n---\na: 1\n", 1, "not YAML"),
        ('a: "\\UFFFFFFFF"\n', None, "not YAML"),
    ],
)
def test_broken_text_is_told_with_its_line(text: str, line: int | None, said: str) -> None:
    message = error_of(text)
    assert message.startswith(f"a.yaml:{line}: " if line else "a.yaml")
    assert said in message


def test_long_numbers_and_half_surrogates_are_told() -> None:
    source = parse(f'a: {"9" * 5000}\nb: "\\ud800"\n"\\udfff": 1\n')
    assert [problem.where for _, problem in source.problems] == ["a.yaml:1", "a.yaml:2", "a.yaml:3"]
    assert "5000 digits" in source.problems[0][1].what


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"name: caf\xe9\n", ":1: the file is not UTF-8 text"),
        (b"a: 1\nb: \xff\n", ":2: the file is not UTF-8 text"),
        ("name: a".encode("utf-16"), "saved as UTF-16"),
        (b"\x00\x01\x02PNG", "not a text file"),
        (b"a: 1\n" * (MAX_BYTES // 5 + 1), "larger than"),
    ],
)
def test_files_that_are_no_text_are_told(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    source = read_yaml(path)
    assert source.value == {"a": 1, "b": 2}
    assert source.keys["b",].line == 2


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("name: a")
    cases = {
        tmp_path / "quikstart.yaml": "did you mean",
        tmp_path / "other.yaml": "no such file",
        tmp_path: "a folder",
        tmp_path / "no" / "x.yaml": "no folder",
        tmp_path / ("x" * 5000): "cannot be read",
        Path("a\0b"): "cannot be read",
    }
    for path, said in cases.items():
        with pytest.raises(ConfigError, match=said):
            read_yaml(path)
