"""All faults at once, in order, with hints; `tests/golden` has the table of their places."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from bninit.config import config_from_dict, load_config
from bninit.config.load import MAX_PROBLEMS, load_model
from bninit.config.source import Place, from_values
from bninit.config.yaml_source import parse_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import Fault, OneOf, Section, nearest, refuse


def problems_of(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a comment", "nothing is in it"),
        ("a:\n  b:\t1\n", "a tab stands where YAML wants spaces"),
        ("a: [1, 2\nb: 3\n", "a bracket is not closed"),
        ("a: 'x\nb: 3\n", "a quote is not closed"),
        ("a: 1\nb: c: 2\n", "text with ': ' in it needs quotes"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a: 1\nb: @x\n", "needs quotes"),
        ("name: 2024", "2024 is not text\n  in quotes it is text"),
        ("name: a\noptim:\n  lr:0.1", "a colon needs a space after it"),
        ("name: a\noptim: {lr:0.1}", "a colon needs a space after it"),
        ("name: a\ntrain: {batch_size: 1_000}", "write the bare number: 1000"),
        ("name: a\ntrain: {epochs: 1e2}", "100.0 is not a whole number\n  write 100"),
        ("name: a\nmodel: {hidden: 128}", "a list is written in brackets: [128]"),
        ("name: a\nmodel: {hidden: ['64']}", "write 64, without quotes"),
        (f"name: a\nmodel: {{hidden: [{'1, ' * 1001}]}}", "1001 entries\n  at most 1000"),
        ("name: a\nmodel: {bias: 'true'}", "write true, without quotes"),
        ("name: a\nmodel: {bias: off}", "yes, no, on and off are text"),
        ("name: a\n<<: {epochs: 3}", "merge keys are not read"),
        ("name: a\nmodel.norm.placement: pre", "as in model: {norm: {placement: ...}}"),
        ("name: a\ntargets: [97]", "accuracies are fractions: write 0.97"),
        ("name: a\noptim: {betas: [0.9, 0.99]}", "sgd takes lr, momentum, nesterov, weight_decay"),
        ("name: a\nmodel: {norm: {placment: pre}}", "did you mean placement? keys here: "),
        ("name: a\ndata: {scale: Unit}", "'Unit' is not a scale\n  did you mean unit? allowed: "),
    ],
)
def test_messages_say_what_to_do(tmp_path: Path, text: str, said: str) -> None:
    [problem] = [each for each in problems_of(tmp_path, text) if said in str(each)]
    assert problem.where.startswith(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        # adamm is not adam, and so nobody knows whether betas would be taken.
        ("optim: {nmae: adam, betas: [0.9, 0.99]}", ["optim.nmae"]),
        ("model: {init: {scheme: norml, std: 0.1}}", ["model.init.scheme"]),
        # A data set that is not known has no size to compare with.
        ("data: mnist\ntrain: {batch_size: 50000}", ["data"]),
        # The list is too short only because its one entry was bad.
        ("train: {seeds: [-1]}", ["train.seeds[0]"]),
        ("optim: {name: adam, betas: [x, 0.9]}", ["optim.betas[0]"]),
        # A value that could not be read is not judged.
        ("train: {epochs: !!int 5, batch_size: x}", ["train.epochs", "train.batch_size"]),
        # A fault between keys is told beside one elsewhere, and in the order of the file.
        ("targets: [97]\ntrain: {batch_size: 4000}", ["targets[0]", "train.batch_size"]),
        # What is hidden in one section is told in another.
        ("optim: {name: x, eps: 1}\nmodel: {init: {std: 1}}", ["optim.name", "model.init.std"]),
    ],
)
def test_what_only_follows_from_another_fault_is_left_unsaid(
    tmp_path: Path, text: str, keys: list[str]
) -> None:
    assert [problem.key for problem in problems_of(tmp_path, f"name: a\n{text}\n")] == keys


def test_many_faults_are_cut(tmp_path: Path) -> None:
    text = f"name: a\nmodel: {{hidden: [{', '.join(['0'] * 900)}]}}"
    problems = problems_of(tmp_path, text)
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].what == f"{900 - MAX_PROBLEMS} more problems like these"


class Item(Section):
    kind: Annotated[Literal["mean", "spread"], OneOf("a kind")]
    low: int = Field(default=0, ge=0)
    tags: tuple[str, ...] = ()


class Study(Section):
    title: str = Field(examples=["x"])
    items: list[Item] = Field(default_factory=list)

    @model_validator(mode="after")
    def _lows_differ(self) -> "Study":
        lows = [item.low for item in self.items]
        twice = [index for index, low in enumerate(lows) if low in lows[:index]]
        refuse([Fault(("items", index, "low"), "given twice") for index in twice], section="study")
        return self


def test_other_models_load_the_same_way() -> None:
    text = """\
items:
  - {kind: mean, low: 3}
  - {kind: maen}
  - {kind: mean, lwo: 3}
  - 7
  - {kind: spread, low: -1}
  - {kind: spread, low: 3}
"""
    with pytest.raises(ConfigError) as caught:
        load_model(Study, parse_yaml(text, place=Place("s.yaml")))
    problems = caught.value.problems
    assert [(problem.where, problem.key) for problem in problems] == [
        ("s.yaml", "title"),
        ("s.yaml:3", "items[1].kind"),
        ("s.yaml:4", "items[2].lwo"),
        ("s.yaml:5", "items[3]"),
        ("s.yaml:6", "items[4].low"),
        # Found when the others were taken out, and told with its own index.
        ("s.yaml:7", "items[5].low"),
    ]
    assert "did you mean mean? allowed: mean, spread" in str(problems[1])
    study = load_model(Study, from_values({"title": "t", "items": [{"kind": "mean"}]}))
    assert study == Study(title="t", items=[Item(kind="mean")])


@pytest.mark.parametrize(
    "bad",
    [
        *[{"name": name} for name in (".", "..", "a/b", "a\\b", "-a", ".a", "a\n", "é", "C:x")],
        *[{"train": {"device": device}} for device in ("cuda:", "cuda:-1", "cuda:01", "CPU", 0)],
        *[{"train": {"seeds": seeds}} for seeds in (-1, 10**50, [2**32], [0.5], [True], True, {})],
        *[{"targets": [target]} for target in (-0.1, 101, "0.9", None, float("nan"))],
        *[{"model": {"hidden": hidden}} for hidden in ([64.0], [True], "64", {"64": 1}, [[64]])],
        *[{"optim": {"name": "adam", "betas": betas}} for betas in ([-0.1, 0.9], 0.9, [], "ab")],
    ],
    ids=str,
)
def test_values_near_valid_ones_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"config: {next(iter(bad))}"):
        config_from_dict({"name": "a", **bad})


def test_nearest() -> None:
    names = ["placement", "input", "eps", "norm"]
    assert nearest("placment", names) == "placement"
    assert nearest("Place-Ment", names) == "placement"
    assert nearest("normalization", names) == "norm"
    assert nearest("zzz", names) is nearest("", names) is nearest("placement" * 20, names) is None


def test_importing_the_config_leaves_heavy_packages_alone() -> None:
    code = (
        "import sys, bninit.config\n"
        "bninit.config.starter('a'), bninit.config.json_schema()\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'vl_convert', 'torchvision'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
