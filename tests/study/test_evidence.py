"""What experiments varied and held, and what their runs were made with."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bninit.store import find_runs
from bninit.verbs.study.evidence import (
    held_settings,
    missing_runs,
    provenance,
    summarise_experiment,
)
from bninit.verbs.study.expand import value_labels

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult


def test_an_experiment_in_short(tiny_study: StudyResult) -> None:
    found = summarise_experiment("rates", says="x", arms=tiny_study.arms, runs=tiny_study.runs)
    assert value_labels(found.arms) == {
        "model.norm.input": ("false", "true"),
        "optim.lr": ("0.001", "0.1", "300"),
    }
    assert found.held["data.scale"] == "raw"
    assert found.held["train.epochs"] == 1
    assert found.held["model.norm.momentum"] == 0.1, "held where there is batch norm at all"
    assert not {"optim.lr", "model.norm.input", "name", "train.seeds"} & set(found.held)
    assert len(found.arms) == 6
    assert [found.summaries[arm.id].num_diverged for arm in found.arms] == [0, 0, 0, 0, 0, 5]


def test_curves_are_medians_over_the_seeds(tiny_study: StudyResult) -> None:
    found = summarise_experiment("placement", says="", arms=tiny_study.arms, runs=tiny_study.runs)
    (none, _) = found.arms
    table = found.curves["val_accuracy"]
    last = table[(table["arm"] == none.id) & (table["epoch"] == 2)].iloc[0]
    ends = [tiny_study.runs[none.id, seed].metrics()["val_accuracy"].iloc[-1] for seed in range(5)]
    assert last["median"] == np.median(ends)
    assert (last["low"], last["high"], last["n"]) == (min(ends), max(ends), 5)


def test_what_arms_share_counts_as_held(tiny_study: StudyResult) -> None:
    two = [arm for arm in tiny_study.arms if arm.values.get("optim.lr") == 0.1]
    held = held_settings(two)
    assert held["optim.lr"] == 0.1
    assert "model.norm.input" not in held


def test_missing_runs_are_named_once(tiny_study: StudyResult) -> None:
    arm = tiny_study.arms[0]
    runs = {key: run for key, run in tiny_study.runs.items() if key not in {(arm.id, 1)}}
    assert missing_runs([*tiny_study.arms, arm], runs=runs) == {"placement: placement none": (1,)}
    assert missing_runs(tiny_study.arms, runs=tiny_study.runs) == {}


def test_a_target_that_was_not_asked_in_training_is_worked_out(tiny_study: StudyResult) -> None:
    arm = tiny_study.arms[0]
    asked = arm.config.model_copy(update={"targets": (0.5,)})
    other = type(arm)(arm.experiment, arm.id, asked, arm.values, arm.label)
    found = summarise_experiment("placement", says="", arms=[other], runs=tiny_study.runs)
    (target,) = found.summaries[arm.id].targets
    reached = [
        (tiny_study.runs[arm.id, seed].metrics()["val_accuracy"] >= 0.5).any() for seed in range(5)
    ]
    assert (target.target, target.num_reached) == (0.5, sum(reached))


def test_provenance_tells_every_value_where_runs_differ(
    tiny_study: StudyResult, tmp_path: Path
) -> None:
    found = provenance(tiny_study.runs, arms=tiny_study.arms)
    assert found["networks"] == "40 trained, 5 of them diverged"
    assert found["training time"].endswith("evaluation not counted")
    assert (found["device"], found["not known"]) == ("cpu", "")
    assert "torch " in found["versions"]
    assert re.fullmatch("SHA-256 [0-9a-f]{64}", found["data: mnist5k"])

    shutil.copytree(tiny_study.folder.parents[1], tmp_path / "runs")
    first, second, *rest = find_runs(tmp_path / "runs")
    environment = json.loads((first.folder / "environment.json").read_text())
    environment["versions"]["torch"] = "9.9"
    environment["git"] = {"commit": "abc", "dirty": True}
    environment |= {"device": "cuda:0", "device_name": "Big", "started": "1999-01-01T00:00:00"}
    (first.folder / "environment.json").write_text(json.dumps(environment))
    (second.folder / "environment.json").write_text("{")
    runs = {(run.arm, run.seed): run for run in (first, second, *rest)}
    mixed = provenance(runs, arms=tiny_study.arms)
    assert mixed["not known"] == "of 1 runs"
    assert "torch 9.9 and " in mixed["versions"]
    assert "git commit abc with changes" in mixed["code"]
    assert mixed["device"] == "cuda:0 (Big); cpu"
    assert mixed["trained"].startswith("1999-01-01 to ")
