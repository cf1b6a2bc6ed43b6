"""Training what is missing, comparing, and keeping what came out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import bninit
from bninit.engines import driver
from bninit.engines.interface import Job
from bninit.errors import UserError
from bninit.store.output import check_name
from bninit.verbs.compare.compare import compare, default_name, keep_comparison

TINY: dict[str, Any] = {
    "model": {"hidden": [4]},
    "train": {"epochs": 1, "batch_size": 500, "seeds": 2, "device": "cpu"},
    "targets": [0.05, 0.99],
}
BN = ("model.norm.placement=pre",)


def tiny(name: str, **init: Any) -> dict[str, Any]:
    return {"name": name, **TINY, "model": {"hidden": [4], "init": init}}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, int]]]:
    """What the driver is told to train."""
    told: list[list[tuple[str, int]]] = []
    run = driver.train_jobs

    def telling(jobs: list[Job], **options: Any) -> Any:
        told.append([(job.config.name, job.seed) for job in jobs])
        return run(jobs, **options)

    monkeypatch.setattr(driver, "train_jobs", telling)
    return told


def test_what_is_missing_is_trained_all_at_once(
    tmp_path: Path, calls: list[list[tuple[str, int]]]
) -> None:
    a, b = tiny("a", scheme="he_normal"), tiny("b", scheme="zeros")
    found = bninit.compare([a, b], runs_dir=tmp_path / "runs")
    assert calls == [[("a", 0), ("a", 1), ("b", 0), ("b", 1)]]
    assert [arm.seeds for arm in found.arms] == [(0, 1), (0, 1)]
    assert set(found.runs["stack_size"]) == {4}, "they share a stack"
    assert found.targets == (0.05, 0.99)
    assert (tmp_path / "runs" / f"a-{found.arms[0].id}" / "curves.png").exists()

    again = compare([a, b], runs_dir=tmp_path / "runs", seeds=[0, 1, 2])
    assert calls[1:] == [[("a", 2), ("b", 2)]]
    assert again.arms[0].seeds == (0, 1, 2)

    (tmp_path / "runs" / f"a-{found.arms[0].id}" / "seed-1" / "metrics.csv").write_text("?")
    compare(["a", "b"], runs_dir=tmp_path / "runs")
    assert calls[2:] == [[("a", 1)]], "a damaged run is trained again"

    compare(["a", "b"], runs_dir=tmp_path / "runs")
    assert len(calls) == 3, "nothing is left to train"


def test_without_training_what_is_missing_is_told(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6])
    b = [keep_run("b", [0.1, 0.6], seed=s, overrides=BN) for s in range(2)]
    (b[1].folder / "summary.json").unlink()
    runs_dir = tmp_path / "runs"
    found = compare(["a", "b"], runs_dir=runs_dir, train_missing=False)
    assert "seed 1 of b" in found.warnings[0]
    (b[0].folder / "summary.json").unlink()
    with pytest.raises(UserError, match=f"nothing is finished of b-{b[0].arm}"):
        compare(["a", "b"], runs_dir=runs_dir, train_missing=False)


def test_targets_are_those_of_the_arms_or_asked_for(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6], overrides=["targets=[0.3]"])
    keep_run("b", [0.1, 0.6], overrides=[*BN, "targets=[0.2, 0.3]"])
    runs_dir = tmp_path / "runs"
    assert compare(["a", "b"], runs_dir=runs_dir).targets == (0.2, 0.3)
    asked = compare(["a", "b"], runs_dir=runs_dir, targets=[0.7, 0.55])
    assert asked.targets == (0.55, 0.7)
    assert [at.num_reached for at in asked.arms[0].targets] == [1, 0]
    with pytest.raises(UserError, match=r"97 is no target\n.*write 0\.97"):
        compare(["a", "b"], runs_dir=runs_dir, targets=[97.0])


def test_one_arm_is_no_comparison(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6])
    with pytest.raises(UserError, match="a is one arm"):
        compare(["a"], runs_dir=tmp_path / "runs")


def test_what_is_kept_is_whole(
    keep_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_run("a", [0.1, 0.6])
    keep_run("b", [0.1, 0.6], overrides=BN)
    runs_dir = tmp_path / "runs"
    found = compare(["a", "b"], runs_dir=runs_dir)
    folder = keep_comparison(found, runs_dir=runs_dir)
    assert folder == runs_dir / "compare" / "a-vs-b"
    assert sorted(path.name for path in folder.iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "curves.png",
        "differences.png",
        "report.md",
        "runs.csv",
        "time_to_accuracy.png",
    ]
    report = (folder / "report.md").read_text()
    for picture in folder.glob("*.png"):
        assert f"]({picture.name})" in report
    before = (folder / "comparison.json").read_text()
    json.loads(before)

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(UserError, match="no space is left"):
        keep_comparison(found, runs_dir=runs_dir)
    assert (folder / "comparison.json").read_text() == before
    assert [run.name for run in bninit.find_runs(runs_dir)] == ["a", "b"], "it is no arm's folder"


def test_names_stay_in_their_folder(keep_run: Any, tmp_path: Path) -> None:
    for name in ("../x", "a/b", "", ".", "-x", "x" * 65):
        with pytest.raises(UserError, match="cannot name a folder"):
            check_name(name)
    names = [f"an-arm-of-a-study-with-a-long-name-{i}" for i in range(3)]
    for i, name in enumerate(names):
        keep_run(name, [0.1, 0.6], overrides=[f"optim.lr=0.{i + 1}"])
    found = compare(names, runs_dir=tmp_path / "runs")
    check_name(default_name(found))
    other = compare(names, runs_dir=tmp_path / "runs", baseline=names[1])
    assert default_name(other) != default_name(found)
