"""Wild studies: whatever a study file is turned into, it is a study or a ConfigError."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bninit.config import load_config
from bninit.errors import ConfigError, Problem
from bninit.verbs.study.expand import expand
from bninit.verbs.study.load import load_study, study_from_dict, study_to_yaml

FEW = settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(FEW, max_examples=1200)

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
CONFIG: dict[str, Any] = yaml.safe_load("""\
name: wild
data: {name: mnist5k, scale: unit, val_size: 500}
model: {hidden: [8, 8], norm: {placement: pre}, init: {scheme: he_normal}}
optim: {name: sgd, lr: 0.1, momentum: 0.9, schedule: {name: cosine}}
train: {epochs: 2, batch_size: 100, seeds: [0, 1]}
targets: [0.5]
probes: true
""")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**60), 10**60)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.sampled_from(
        ["", "../..", "[red]", "\x1b[2J", "1e400", "!!python/object:os.system", "*x", "<script>"]
    )
)
WILD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.just("<<"), inner, max_size=4)
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
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """A study or a config with something wrong in its values, its text or its bytes."""
    kind = draw(st.sampled_from(["study", "config"]))
    values = copy.deepcopy(STUDY if kind == "study" else CONFIG)
    for _ in range(draw(st.integers(0, 3))):
        holder = draw(st.sampled_from(holders(values)))
        if isinstance(holder, dict):
            keys = st.sampled_from(sorted(holder)) if holder else st.just("name")
            key = draw(keys | st.text(max_size=5))
            if draw(st.booleans()):
                holder[key] = draw(WILD)
            else:
                holder.pop(key, None)
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
    return kind, data


def check(folder: Path, kind: str, data: bytes) -> str:
    """Loads it; returns what became of it."""
    path = folder / f"{kind}.yaml"
    path.write_bytes(data)
    problems = faults_of(path, kind)
    for problem in problems:
        assert problem.where.startswith(str(path)), "every fault names its place"
        for text in (problem.key, problem.what, problem.hint or ""):
            assert text.isprintable()
            assert len(text) < 2000
    return "refused" if problems else "accepted"


def faults_of(path: Path, kind: str) -> tuple[Problem, ...]:
    """What is told of a file; nothing where it loads."""
    try:
        if kind == "study":
            study = load_study(path)
            assert expand(study)
            written = study_to_yaml(study)
            assert study_from_dict(yaml.safe_load(written)) == study
        else:
            load_config(path)
    except ConfigError as error:
        return error.problems or (Problem("", "", "an error without a fault"),)
    return ()


@FEW
@given(mutations())
def test_mutated_files(tmp_path: Path, mutated: tuple[str, bytes]) -> None:
    check(tmp_path, *mutated)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_thousands_of_mutated_files(
    tmp_path: Path, record_property: Callable[[str, object], None], part: int
) -> None:
    counts: Counter[str] = Counter()

    @settings(MANY, derandomize=False)
    @given(mutations())
    def mutate(mutated: tuple[str, bytes]) -> None:
        counts[check(tmp_path, *mutated)] += 1

    mutate()
    record_property("count: mutated files", sum(counts.values()))
    record_property("count: mutated files refused, each with its place", counts["refused"])
    record_property("count: tracebacks", 0)


@pytest.mark.slow
@settings(MANY, max_examples=150)
@given(mutations())
def test_mutated_files_through_the_command_line(tmp_path: Path, mutated: tuple[str, bytes]) -> None:
    from running import bninit

    kind, data = mutated
    path = tmp_path / f"{kind}.yaml"
    path.write_bytes(data)
    verb = ("study", path.name) if kind == "study" else ("train", "--config", path.name)
    done = bninit(*verb, "--dry-run", cwd=tmp_path)
    assert done.returncode in (0, 2)
    if done.returncode:
        assert done.stderr.startswith(f"error: {path.name}")
        assert done.stdout == ""
        assert "\x1b" not in done.stderr
    assert {one.name for one in tmp_path.iterdir()} <= {"study.yaml", "config.yaml"}


@pytest.mark.parametrize("verb", [("train", "--config"), ("study",)])
def test_what_is_no_file_of_text(tmp_path: Path, verb: tuple[str, ...]) -> None:
    from running import bninit

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
