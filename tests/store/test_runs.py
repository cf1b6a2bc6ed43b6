"""Finding runs (all, only them, quickly) and reading them: figures, tables and the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ABOUT, CONFIG, FINAL, PROBED, Story, make_config
from torch import nn

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.nets.reference import build_sequential
from bninit.store import Run, RunWriter, find_runs, load_layers, load_runs, run_folder
from bninit.store.epochs import COLUMNS, row_of
from bninit.store.names import parse_arm_folder, parse_run_folder
from bninit.store.summary import with_check_sums

ARM = arm_id(CONFIG)
KEYS = ["name", "arm", "seed", "status"]


@settings(deadline=None)
@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_names_of_folders_are_read_back(name: str, seed: int) -> None:
    config = Config.model_validate({"name": name})
    folder = run_folder("runs", config, seed)
    assert folder == Path("runs") / f"{name}-{arm_id(config)}" / f"seed-{seed}"
    assert parse_arm_folder(folder.parent.name) == (name, arm_id(config))
    assert parse_run_folder(folder.name) == seed


def test_other_names_are_neither_arms_nor_runs_nor_lead_elsewhere() -> None:
    for name in ("", "x", "x-123", "x-0123456g", "-01234567", "a/b-01234567", "x-01234567 "):
        assert parse_arm_folder(name) is None
    for name in ("seed-", "seed-01", "seed--1", "seed-1.5", "Seed-1", "seed-٣", "x"):
        assert parse_run_folder(name) is None
    for name in ("../up", "/root", "a/b", "..", "", "a\\b", "a\0"):
        # A Config refuses it, too; this one was made behind its back.
        config = CONFIG.model_copy(update={"name": name})
        with pytest.raises(StoreError, match="cannot name a folder"):
            run_folder("runs", config, 0)


def test_a_thousand_runs_are_listed_about_as_quickly_as_their_files_are_read(
    runs_dir: Path, finished: Path
) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    for number in range(1000):
        arm, seed = f"{number // 10:08x}", number % 10
        folder = runs_dir / f"many-{arm}" / f"seed-{seed}"
        folder.mkdir(parents=True)
        own = with_check_sums({**summary, "name": "many", "arm": arm, "seed": seed}, {})
        (folder / "summary.json").write_text(json.dumps(own, indent=2))

    def plainly() -> int:
        paths = sorted(runs_dir.glob("*/*/summary.json"))
        return sum(json.loads(path.read_text())["epochs"] >= 0 for path in paths)

    def ours() -> int:
        return sum(run.status == "done" for run in find_runs(runs_dir))

    # In turns, so that the load of the machine strikes both.
    seconds: dict[Callable[[], int], list[float]] = {plainly: [], ours: []}
    for _ in range(7):
        for function, times in seconds.items():
            began = time.perf_counter()
            assert function() == 1001
            times.append(time.perf_counter() - began)
    assert min(seconds[ours]) < 5 * min(seconds[plainly])


def test_listing_imports_nothing_heavy(finished: Path, runs_dir: Path) -> None:
    script = """
import sys
from bninit.store import find_runs
for run in find_runs(sys.argv[1]):
    print(run.status, run.summary and run.summary["test_accuracy"])
print(sorted({"torch", "numpy", "pandas", "pydantic", "yaml", "vl_convert"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(runs_dir)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "done 0.75\n[]\n"


def test_only_runs_are_found_in_order(runs_dir: Path) -> None:
    short = {"epochs": 1}
    for name, seed in (("b", 10), ("b", 9), ("a", 3)):
        Story(make_config(name=name, train=short), seed=seed).play(runs_dir)
    arm = arm_id(make_config(train=short))
    for other in ("claims", "a-1234", f"a-{arm}/seed-x", f"a-{arm}/old", "a-01234567"):
        (runs_dir / other).mkdir()
    for file in ("notes.txt", "b-01234567", f"a-{arm}/seed-7"):
        (runs_dir / file).write_text("")
    ids = [f"a-{arm}/seed-3", f"b-{arm}/seed-9", f"b-{arm}/seed-10"]
    assert [run.id for run in find_runs(runs_dir)] == ids
    assert [run.seed for run in find_runs(runs_dir / f"b-{arm}")] == [9, 10]
    assert [run.seed for run in find_runs(runs_dir / f"b-{arm}" / "seed-9")] == [9]
    assert len(find_runs(runs_dir, runs_dir / f"b-{arm}")) == 3


def test_where_runs_are_looked_for(
    tmp_path: Path, runs_dir: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [run.folder for run in find_runs()] == [finished.relative_to(tmp_path)]
    (tmp_path / "empty").mkdir()
    assert find_runs("empty") == []
    like_an_arm = tmp_path / "study-01234567"
    runs_dir.rename(like_an_arm)
    assert [run.name for run in find_runs(like_an_arm)] == ["tiny"]
    (tmp_path / "file").write_text("")
    for place in ("none", "file", "file/x", "x-01234567", "x-01234567/seed-0"):
        with pytest.raises(StoreError, match="folder not found") as caught:
            find_runs(tmp_path / place)
        assert caught.value.where == str(tmp_path / place)


def test_whatever_lies_there_is_listed(runs_dir: Path, finished: Path) -> None:
    strange = runs_dir / "tiny-01234567"
    for seed in (3, 4):
        (strange / f"seed-{seed}").mkdir(parents=True)
    os.mkfifo(strange / "seed-3" / "summary.json")
    (strange / "seed-4" / "metrics.csv").write_text("not, ours")
    assert {run.seed: run.status for run in find_runs(runs_dir)} == {
        0: "done",
        3: "damaged",
        4: "partial",
    }
    with pytest.warns(UserWarning, match=r"left out: .*seed-3"):
        assert set(load_runs(runs_dir)["seed"]) == {0}


def test_a_finished_run(finished: Path) -> None:
    run = Run(finished)
    assert (run.name, run.arm, run.seed, run.id) == ("tiny", ARM, 0, f"tiny-{ARM}/seed-0")
    assert (run.status, run.problem) == ("done", None)
    assert run.summary == json.loads((finished / "summary.json").read_text())
    assert run.config.model == CONFIG.model
    assert run.config.train.seeds == (0,)
    assert run.environment["stack_size"] == 3
    story = Story()
    told = [story.epoch(number) for number in range(4)]
    assert run.rows() == [row_of(metrics) for metrics, _, _ in told]
    assert run.step_losses().tolist() == np.concatenate([losses for _, losses, _ in told]).tolist()
    # Validation accuracies are 0.05, 0.525, 0.683..., 0.7625.
    entries = run.targets([0.01, 0.6, 0.9])
    assert [entry["epochs"] for entry in entries] == [0, 2, None]
    assert entries[2]["censored_at_epochs"] == 3


def test_an_unfinished_run(half: Path, runs_dir: Path) -> None:
    run = Run(half)
    assert (run.status, run.summary) == ("partial", None)
    assert (len(run.metrics()), run.step_losses().size) == (2, 5)
    assert run.targets([0.6])[0]["censored_at_epochs"] == 1
    with pytest.raises(StoreError, match="missing"):
        run.load_network()
    with RunWriter(runs_dir, CONFIG, 0):
        assert Run(half).status == "running"
    assert Run(half).status == "partial"
    (half / "metrics.csv").unlink()
    assert len(load_runs(runs_dir)) == 0


def test_a_diverged_run(runs_dir: Path, seed_dir: Path) -> None:
    Story(diverges=True).play(runs_dir)
    run = Run(seed_dir)
    assert run.status == "diverged"
    assert np.isnan(run.metrics()["train_loss"].iloc[-1])
    assert np.isinf(run.metrics()["val_loss"].iloc[-1])
    run.load_network()


def test_layers_of_runs(runs_dir: Path, finished: Path) -> None:
    probed = make_config(name="probed", probes={"enabled": True})
    Story(probed).play(runs_dir)
    Story(probed, seed=1, diverges=True).play(runs_dir)
    table = load_layers(runs_dir)
    assert table.groupby(KEYS)["epoch"].apply(list).to_dict() == {
        ("probed", ARM, 0, "done"): [0, 0, 1, 1, 2, 2, 3, 3],
        ("probed", ARM, 1, "diverged"): [0, 0, 1, 1, 2, 2],
    }
    run = find_runs(runs_dir)[0]
    assert run.stored_layers().probes == PROBED.probes.model_dump(mode="json")
    with pytest.raises(StoreError, match="no probes") as caught:
        Run(finished).layers()
    assert "probes=true" in str(caught.value)
    assert list(load_layers(finished).columns) == list(table.columns)
    (run.folder / "layers.safetensors").write_bytes(b"x")
    with pytest.warns(UserWarning, match=r"left out: .*layers.safetensors"):
        assert set(load_layers(runs_dir)["seed"]) == {1}


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_network_is_the_one_that_was_trained(
    runs_dir: Path, placement: str, precision: str
) -> None:
    norm = {"placement": placement, "input": True, "running": "cumulative"}
    config = make_config(
        model={"hidden": [4, 3], "activation": "gelu", "norm": norm},
        train={"epochs": 1, "precision": precision},
    )
    dtype = torch.float64 if precision == "float64" else torch.float32
    trained = build_sequential(config.architecture, dtype=dtype)
    for _ in range(3):
        trained(torch.randn(8, 784, dtype=dtype))
    story = Story(config)
    with RunWriter(runs_dir, config, 0) as writer:
        writer.describe(ABOUT)
        for number in range(2):
            metrics, losses, _ = story.epoch(number)
            exact = losses.astype(np.float64) / 3
            writer.epoch(metrics, exact, None)
        writer.finish(trained.state_dict(), FINAL, None)
    run = Run(writer.folder)
    assert run.step_losses().tolist() == exact.astype(precision).tolist()
    network = run.load_network()
    assert isinstance(network, nn.Sequential)
    assert not network.training
    x = torch.randn(5, 784, dtype=dtype)
    assert torch.equal(network(x), trained.eval()(x))


def test_what_cannot_be_read_is_named(runs_dir: Path, finished: Path) -> None:
    for name in ("config.yaml", "environment.json"):
        (finished / name).write_text("[")
    for attribute in ("config", "environment"):
        with pytest.raises(StoreError, match=str(finished)):
            getattr(Run(finished), attribute)
    assert Run(finished).status == "done"
    (finished / "environment.json").unlink()
    with pytest.raises(StoreError, match="missing"):
        _ = Run(finished).environment
    story = Story(seed=1)
    with RunWriter(runs_dir, CONFIG, 1) as writer:
        for number in range(4):
            writer.epoch(*story.epoch(number))
        writer.finish({"0.weight": torch.ones(3)}, FINAL, None)
    with pytest.raises(StoreError, match="do not fit the config") as caught:
        Run(writer.folder).load_network()
    assert caught.value.where == str(writer.folder / "final.safetensors")


def test_a_run_is_a_folder_named_like_one(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("runs", "x-01234567", "x-01234567/seed-x", "x/seed-0", "/"):
        with pytest.raises(StoreError, match="not a run's folder"):
            Run(folder)
    monkeypatch.chdir(finished)
    assert (Run(".").seed, Run(".").status) == (0, "done")
    assert repr(Run(".")) == "Run('.')"


def test_a_row_for_each_run_and_epoch(runs_dir: Path) -> None:
    long, short = make_config(name="long"), make_config(name="short", train={"epochs": 1})
    Story(long).play(runs_dir)
    Story(long, seed=1, diverges=True).play(runs_dir)
    Story(short).play(runs_dir, until=0)
    table = load_runs(runs_dir)
    assert list(table.columns) == [*KEYS, *COLUMNS]
    assert table.groupby(KEYS, sort=True).size().to_dict() == {
        ("long", arm_id(long), 0, "done"): 4,
        ("long", arm_id(long), 1, "diverged"): 3,
        ("short", arm_id(short), 0, "partial"): 1,
    }
    for run in find_runs(runs_dir):
        own = table[(table["name"] == run.name) & (table["seed"] == run.seed)][list(COLUMNS)]
        read = pd.read_csv(run.folder / "metrics.csv").astype(own.dtypes)
        pd.testing.assert_frame_equal(own.reset_index(drop=True), read, check_exact=False)
        pd.testing.assert_frame_equal(own.reset_index(drop=True), run.metrics())
        assert own["val_loss"].to_list() == [row.val_loss for row in run.rows()]


def test_tables_of_some_runs_of_none_and_beside_damaged_ones(
    tmp_path: Path, runs_dir: Path, finished: Path
) -> None:
    for seed in (1, 2):
        Story(seed=seed).play(runs_dir)
    assert set(load_runs(finished)["seed"]) == {0}
    assert set(load_runs(finished, Run(finished.with_name("seed-2")))["seed"]) == {0, 2}
    assert set(load_runs(finished.parent)["seed"]) == {0, 1, 2}
    (tmp_path / "empty").mkdir()
    empty = load_runs(tmp_path / "empty")
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, load_runs(finished).dtypes)
    (finished / "metrics.csv").write_text("epoch\n")
    with pytest.warns(UserWarning, match=r"left out: .*seed-0.metrics.csv: line 1"):
        assert set(load_runs(runs_dir)["seed"]) == {1, 2}
