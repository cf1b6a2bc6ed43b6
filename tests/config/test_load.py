"""All faults at once, each with its place, its value, what is allowed and the nearest name."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from bninit.config import from_values, load_config, load_model, parse_yaml
from bninit.config.load import MAX_PROBLEMS
from bninit.errors import ConfigError, Problem
from bninit.fields import Place, Section, nearest

ISSUE_EXAMPLE = """\
name: bn-pre
data: {name: mnist, scale: unit, val_size: 5000}
model:
  hidden: [256, 256, 256]
  activation: relu
  norm: {placement: pre, input: false, eps: 1.0e-5, momentum: 0.1, affine: true, running: ema}
  init: {scheme: he_normal}
optim: {name: sgd, lr: 0.1, momentum: 0.9}
train: {epochs: 10, batch_size: 128, seeds: 5, device: auto}   # seeds: a count or a list
targets: [0.95, 0.97, 0.98]
"""


def problems_of(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return list(caught.value.problems)


def lines_and_keys(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.where.rpartition(":")[2], problem.key) for problem in problems]


def test_the_example_loads(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(ISSUE_EXAMPLE)
    config = load_config(path)
    assert config.name == "bn-pre"
    assert config.model.norm.placement == "pre"
    assert config.train.seeds == (0, 1, 2, 3, 4)
    assert config.iterations_per_epoch == 429
    assert load_config(str(path)) == config


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
name: bn pre
data: {nam: kmnist, scale: Unit}
lr: 0.1
model:
  hidden: [256, 0, "64"]
  norm:
    placment: pre
    input: no
  init: {scheme: zeros, std: 0.1}
  init: {scheme: lsuv}
optim: {name: adam, lr:0.1, momentum: 0.9}
train:
  epochs: !!int 5
  batch_size: 4000
targets: [97]
"""
    problems = problems_of(tmp_path, text)
    assert lines_and_keys(problems) == [
        ("1", "name"),
        ("2", "data.nam"),
        ("2", "data.scale"),
        ("3", "lr"),
        ("5", "model.hidden[1]"),
        ("5", "model.hidden[2]"),
        ("7", "model.norm.placment"),
        ("8", "model.norm.input"),
        ("9", "model.init.std"),
        ("10", "model.init"),
        ("11", "optim.lr:0.1"),
        ("11", "optim.momentum"),
        ("13", "train.epochs"),
        ("15", "targets[0]"),
    ]
    hints = {problem.key: problem.hint or "" for problem in problems}
    assert "bn-pre would do" in hints["name"]
    assert "did you mean name?" in hints["data.nam"]
    assert "did you mean unit?" in hints["data.scale"]
    assert "did you mean optim.lr?" in hints["lr"]
    assert "at least 1" in hints["model.hidden[1]"]
    assert "write 64, without quotes" in hints["model.hidden[2]"]
    assert "did you mean placement?" in hints["model.norm.placment"]
    assert "write true or false" in hints["model.norm.input"]
    assert "a colon needs a space" in hints["optim.lr:0.1"]
    assert "adam takes lr" in hints["optim.momentum"]
    assert "write 0.97" in hints["targets[0]"]


def test_a_batch_too_large_is_told_beside_faults_elsewhere(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, "targets: [97]\ntrain: {batch_size: 4000, epochs: ten}\n")
    assert [problem.key for problem in problems] == [
        "name",
        "targets[0]",
        "train.batch_size",
        "train.epochs",
    ]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        # adamm is not adam, and so nobody knows whether betas would be taken.
        ("optim: {name: adamm, betas: [0.9, 0.99]}", ["optim.name"]),
        ("optim: {nmae: adam, betas: [0.9, 0.99]}", ["optim.nmae"]),
        ("model: {init: {scheme: norml, std: 0.1}}", ["model.init.scheme"]),
        # A data set that is not known has no size to compare with.
        ("data: {name: mnst}\ntrain: {batch_size: 50000}", ["data.name"]),
        ("data: mnist\ntrain: {batch_size: 50000}", ["data"]),
        # The list is too short only because its one entry was bad.
        ("train: {seeds: [-1]}", ["train.seeds[0]"]),
        ("optim: {name: adam, betas: [x, 0.9]}", ["optim.betas[0]"]),
        # min_lr is above lr only if lr is not what is wrong.
        ("optim: {lr: -1, schedule: {name: cosine, min_lr: 5}}", ["optim.lr"]),
    ],
)
def test_what_only_follows_from_another_fault_is_left_unsaid(
    tmp_path: Path, text: str, keys: list[str]
) -> None:
    problems = problems_of(tmp_path, f"name: a\n{text}\n")
    assert [problem.key for problem in problems] == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is in it"),
        ("# a comment", "nothing is in it"),
        ("just text", "the text 'just text' is not a mapping"),
        ("[1, 2]", "[1, 2] is not a mapping"),
        ("name: 2024", "2024 is not text\n  in quotes it is text"),
        ("name: a\nmodel: {init: zeros}", "write {scheme: zeros}"),
        ("name: a\nmodel: {norm: pre}", "write {placement: pre}"),
        ("name: a\noptim: adam", "write {name: adam}"),
        ("name: a\noptim:\n  lr:0.1", "a colon needs a space after it"),
        ("name: a\ntrain: {batch_size: 1_000}", "write the bare number: 1000"),
        ("name: a\ntrain: {epochs: 1e2}", "100.0 is not a whole number\n  write 100"),
        ("name: a\noptim: {weight_decay: 5%}", "write the bare number: 5"),
        ("name: a\nmodel: {hidden: 128}", "a list is written in brackets: [128]"),
        ("name: a\nmodel.norm.placement: pre", "as in model: {norm: {placement: ...}}"),
        ("name: a\nlearning_rate: 0.1", "did you mean optim.lr?"),
        ("name: a\nmodel: {normalization: {}}", "did you mean norm?"),
        ("name: a\n<<: {epochs: 3}", "merge keys are not read"),
        ("name: a\noptim: {lr: .nan}", "nan is not a finite number"),
        ("name: a\nmodel: {bias: 'true'}", "write true, without quotes"),
        ("name: a\nmodel: {bias: off}", "yes, no, on and off are text"),
        ('name: "\\x1b[31m"', r"'\x1b[31m' cannot name a run"),
        ('"\\x1b[31m": 1', r"'\x1b[31m': there is no such key"),
    ],
)
def test_messages_say_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    problems = problems_of(tmp_path, text)
    assert any(said in str(problem) for problem in problems), problems


def test_many_faults_are_cut(tmp_path: Path) -> None:
    text = f"name: a\nmodel: {{hidden: [{', '.join(['0'] * 900)}]}}"
    problems = problems_of(tmp_path, text)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].what == f"{900 - MAX_PROBLEMS} more problems like these"


class Item(Section):
    kind: Literal["mean", "spread"]
    low: int = Field(default=0, ge=0)
    tags: tuple[str, ...] = ()


class Study(Section):
    title: str = Field(examples=["x"])
    items: list[Item] = Field(default_factory=list)


def test_other_models_load_the_same_way() -> None:
    text = """\
items:
  - {kind: mean, low: 3}
  - {kind: maen}
  - {kind: mean, lwo: 3}
  - 7
  - {kind: spread, low: -1}
"""
    source = parse_yaml(text, place=Place("s.yaml"))
    with pytest.raises(ConfigError) as caught:
        load_model(Study, source)
    problems = caught.value.problems
    assert [(problem.where, problem.key) for problem in problems] == [
        ("s.yaml", "title"),
        ("s.yaml:3", "items[1].kind"),
        ("s.yaml:4", "items[2].lwo"),
        ("s.yaml:5", "items[3]"),
        ("s.yaml:6", "items[4].low"),
    ]
    assert "did you mean mean? allowed: mean, spread" in str(problems[1])
    study = load_model(Study, from_values({"title": "t", "items": [{"kind": "mean"}]}))
    assert study == Study(title="t", items=[Item(kind="mean")])


def test_nearest() -> None:
    names = ["placement", "input", "eps", "norm"]
    assert nearest("placment", names) == "placement"
    assert nearest("Place-Ment", names) == "placement"
    assert nearest("normalization", names) == "norm"
    assert nearest("zzz", names) is None
    assert nearest("", names) is None
    assert nearest("placement" * 20, names) is None


def test_importing_the_config_leaves_heavy_packages_alone() -> None:
    code = (
        "import sys, bninit.config\n"
        "bninit.config.starter('a'), bninit.config.json_schema()\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'matplotlib', 'torchvision'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
