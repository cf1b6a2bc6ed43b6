"""Wild studies: whatever a study file is turned into, it is a study or a ConfigError."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import bninit

from bninit.errors import ConfigError, Problem
from bninit.verbs.study.expand import expand
from bninit.verbs.study.load import load_study, study_from_dict, study_to_yaml

FEW = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FEW, max_examples=2000, derandomize=False)

STUDY: dict[str, Any] = yaml.safe_load("""\
name: wild
title: A study
seeds: 3
targets: [0.5, 0.9]
base: {model: {hidden: [8]}, train: {epochs: 1}, optim: {lr: 0.1}}
experiments:
  placement:
    says: Where it stands
    set: {train.epochs: 2}
    over: {model.norm.placement: [none, pre], optim.lr: [0.1, 0.5]}
    also: [{model.norm.placement: post}]
    exclude: [{optim.lr: 0.5, model.norm.placement: none}]
  schemes: {over: {model.init: [{scheme: zeros}, {scheme: he_normal}]}}
claims:
- {id: A1, says: It is faster, in: placement, metric: epochs_to_accuracy, target: 0.5,
   left: {model.norm.placement: pre}, right: {model.norm.placement: none}, expect: less}
- {id: A2, says: It learns, in: schemes, metric: test_accuracy,
   left: {model.init: {scheme: he_normal}}, right: 0.5, expect: greater}
""")
KEYS = st.sampled_from(
    ["model", "model.norm.placement", "norm", "model.init", "model.init.scheme", "scheme", "std",
     "bias", "optim", "optim.lr", "optim.name", "name", "train", "train.epochs", "model.hidden",
     "optim.schedule", "train.seeds", "a..b", "", "in", "margin", "spread", "trend", "target"]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(["../..", "[red]", "\x1b[2J", "1e400", "!!python/object:os.system", "*x"])
    | st.sampled_from(["pre", "zeros", "normal", "adam", "less", "equal", "increasing", 0.1, 1])
)
WILD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | KEYS | st.just("<<"), inner, max_size=4)
    ),
    max_leaves=6,
)
TEXTS = st.sampled_from(
    [
        *"\t\n:[]{}'\"#|>%,&*!?-\u2028\ufeff\x85\x00\x1bé\ud7ff",
        *[": ", "- ", "&a ", "*a", "!!python/object/apply:os.system [id]", "!t ", "? ", "<<: *a\n"],
        *["1e999", ".nan", "-.inf", "0x", "9" * 5000, "---\n", "...\n", "%YAML 9.9\n", "\\x1b"],
        *["[" * 500, "{a: " * 500, "- " * 500, "  " * 300],
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\n"
        "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e]\n",
    ]
)


def holders(value: Any) -> list[Any]:
    """All the dicts and lists in a value, itself included."""
    if not isinstance(value, dict | list):
        return []
    items = value.values() if isinstance(value, dict) else value
    return [value, *(found for item in items for found in holders(item))]


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A study with something wrong in its values, its text or its bytes."""
    values = copy.deepcopy(STUDY)
    for _ in range(draw(st.integers(0, 3))):
        holder = draw(st.sampled_from(holders(values)))
        if isinstance(holder, dict):
            keys = st.sampled_from(sorted(holder)) if holder else st.just("name")
            holder[draw(keys | KEYS)] = draw(WILD)
        elif holder and draw(st.booleans()):
            holder[draw(st.integers(0, len(holder) - 1))] = draw(WILD)
        else:
            holder.append(draw(WILD))
    try:
        text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False)
    except (ValueError, RecursionError):
        text = repr(values)
    for _ in range(draw(st.integers(0, 2))):
        cut = draw(st.integers(0, len(text)))
        # Lines are doubled, too, so that keys come twice.
        text = text[:cut] + draw(TEXTS | st.just(text[cut : cut + 60])) + text[cut:]
    data = text.encode("utf-8", errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(data)))
        data = data[:cut] + draw(st.binary(max_size=20)) + data[cut + 5 :]
    return data


def check(folder: Path, data: bytes) -> None:
    """A study loads, expands and reads back equal; or every fault has its place."""
    path = folder / "study.yaml"
    path.write_bytes(data)
    problems: tuple[Problem, ...] | None = None
    try:
        study = load_study(path)
    except ConfigError as error:
        problems = error.problems
    if problems is None:
        assert expand(study)
        assert study_from_dict(yaml.safe_load(study_to_yaml(study))) == study
        return
    assert problems
    for problem in problems:
        assert problem.where.startswith(str(path)), "every fault names its place"
        for text in (problem.key, problem.what, problem.hint or ""):
            assert text.isprintable()
            assert len(text) < 2000


@FEW
@given(mutations())
def test_mutated_studies(tmp_path: Path, data: bytes) -> None:
    check(tmp_path, data)


@pytest.mark.slow
@MANY
@given(mutations())
def test_thousands_of_mutated_studies(tmp_path: Path, data: bytes) -> None:
    check(tmp_path, data)


@pytest.mark.slow
@settings(FEW, max_examples=100)
@given(mutations())
def test_mutated_studies_through_the_command_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "study.yaml").write_bytes(data)
    done = bninit("study", "study.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode in (0, 2)
    if done.returncode:
        assert done.stderr.startswith("error: study.yaml")
        assert done.stdout == ""
        assert "\x1b" not in done.stderr
    assert {one.name for one in tmp_path.iterdir()} == {"study.yaml"}


@pytest.mark.parametrize("verb", [("train", "--config"), ("study",)])
def test_what_is_no_file_of_text(tmp_path: Path, verb: tuple[str, ...]) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "empty.yaml").write_bytes(b"")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "large.yaml").write_bytes(b"a" * 2_000_000)
    (tmp_path / "deep.yaml").write_bytes(b"a: " + b"[" * 20_000)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for path in sorted(tmp_path.iterdir()):
        done = bninit(*verb, path.name, cwd=tmp_path)
        assert done.returncode == 2
        assert path.name in done.stderr
    assert not (tmp_path / "runs").exists()
