"""``bninit compare`` through the real command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import bninit

CONFIG = """
name: {name}
model: {{hidden: [8], init: {{scheme: {scheme}}}}}
train: {{epochs: 2, batch_size: 250, seeds: 2, device: cpu}}
targets: [0.5, 0.999]
"""


def test_configs_are_trained_once_and_compared(tmp_path: Path) -> None:
    for name, scheme in (("he", "he_normal"), ("zeros", "zeros")):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(name=name, scheme=scheme))
    done = bninit("compare", "he.yaml", "zeros.yaml", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [arm["label"] for arm in found["arms"]] == ["he", "zeros"]
    assert found["varied"] == ["model.init.scheme"]
    assert {run["stack_size"] for run in found["runs"]} == {4}, "all four in one stack"
    folder = tmp_path / "runs" / "compare" / "he-vs-zeros"
    assert json.loads((folder / "comparison.json").read_text()) == found
    assert str(folder.relative_to(tmp_path)) in done.stderr

    again = bninit(
        "compare", "he", "zeros.yaml", "--baseline", "zeros", "--name", "mine", cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr
    assert "epoch 1" not in again.stderr, "nothing is trained again"
    assert "Difference from zeros" in again.stdout
    assert (tmp_path / "runs" / "compare" / "mine" / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "a is one arm"),
        (["a", "a"], "are the same arm"),
        (["a", "nothing"], "unknown run, arm, folder or config file: 'nothing'"),
        (["a", "nothing.yaml"], "nothing.yaml"),
        (["a", "b", "--baseline", "c"], "--baseline: 'c' is none of the arms"),
        (["a", "b", "--targets", "x"], "--targets: invalid list of accuracies: 'x'"),
        (["a", "b", "--targets", "97"], "write 0.97"),
        (["a", "b", "--name", "../b"], "--name: '../b' cannot name"),
        (["a", "b", "--set", "optim.lr=1"], "no config among the arms"),
        (["a", "b", "--seeds", "7,"], "nothing is finished of a-"),
        (["a", "b", "--format", "xml"], "xml"),
    ],
)
def test_wrong_input_is_told_in_a_line(
    keep_run: Any, tmp_path: Path, arguments: list[str], said: str
) -> None:
    keep_run("a", [0.1, 0.6])
    keep_run("b", [0.1, 0.6], overrides=["optim.lr=0.3"])
    done = bninit("compare", *arguments, "--no-train", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "compare").exists()
