"""Keeping a run: what is there after each step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from bninit.config import Config, arm_id, load_config
from bninit.store import RunWriter, is_finished
from bninit.store.metrics import format_rows, row_of

ABOUT = {"device": "cpu", "stack_size": 3}


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_kept_of_a_finished_run(finished: Path, config: Config, tell: Any) -> None:
    story = tell(config)
    told = [story.epoch(number) for number in range(4)]
    assert files_of(finished) == {
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "steps.npy",
        "final.safetensors",
        "summary.json",
        ".lock",
    }
    assert (finished / "metrics.csv").read_text() == format_rows(row_of(m) for m, _, _ in told)
    losses = np.load(finished / "steps.npy", allow_pickle=False)
    assert losses.dtype == np.float32
    assert losses.tolist() == np.concatenate([steps for _, steps, _ in told[1:]]).tolist()
    state = load_file(finished / "final.safetensors")
    assert set(state) == set(story.network)
    assert all(torch.equal(state[name], story.network[name]) for name in state)
    summary = json.loads((finished / "summary.json").read_text())
    assert (summary["status"], summary["epochs"], summary["steps"]) == ("done", 3, 15)
    assert (summary["seed"], summary["arm"]) == (0, arm_id(config))
    assert (summary["stack_size"], summary["test_accuracy"]) == (3, 0.75)
    assert (summary["num_parameters"], summary["num_tracked"]) == (784 * 2 + 2 + 4 + 2 * 10 + 10, 4)
    environment = json.loads((finished / "environment.json").read_text())
    assert environment == {**ABOUT, "products": {"2x2": "each"}}


def test_the_config_is_the_resolved_one_with_its_seed(
    runs_dir: Path, configure: Callable[..., Config], tell: Any
) -> None:
    config = configure(train={"epochs": 1, "seeds": 4})
    tell(config, seed=2).play(runs_dir)
    path = runs_dir / f"tiny-{arm_id(config)}" / "seed-2" / "config.yaml"
    assert yaml.safe_load(path.read_text())["train"]["seeds"] == [2]
    assert yaml.safe_load(path.read_text())["schema_version"] == 1
    there = load_config(path)
    assert there.train.seeds == (2,)
    assert there.model == config.model
    assert arm_id(there) == arm_id(config)


def test_what_is_kept_of_an_unfinished_run(half: Path, config: Config) -> None:
    assert files_of(half) == {
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "steps.npy",
        "checkpoint.safetensors",
        ".lock",
    }
    with safe_open(half / "checkpoint.safetensors", framework="pt") as file:
        names, metadata = set(file.keys()), json.loads(file.metadata()["bninit"])
    assert {"network/0.weight", "network/2.running_mean", "optimiser/momentum.0.weight"} <= names
    assert all(name.startswith(("network/", "optimiser/")) for name in names)
    assert {
        "epoch": "1",
        "step": "5",
        "arm": arm_id(config),
        "seed": "0",
    }.items() <= metadata.items()
    assert float(metadata["seconds"]) == 1 / 3


def test_it_goes_on_from_the_checkpoint(
    runs_dir: Path, half: Path, config: Config, tell: Any
) -> None:
    story = tell(config)
    for number in range(2):
        story.epoch(number)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        assert writer.status == "partial"
        assert writer.notes == []
        assert [row.epoch for row in writer.rows] == [0, 1]
        checkpoint = writer.resume()
    assert checkpoint
    assert (checkpoint.epoch, checkpoint.step, checkpoint.seconds) == (1, 5, 1 / 3)
    for there, told in (
        (checkpoint.network, story.network),
        (checkpoint.optimiser, story.optimiser),
    ):
        assert set(there) == set(told)
        for name, tensor in told.items():
            assert there[name].dtype == tensor.dtype
            assert torch.equal(there[name], tensor)


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("stop", [0, 1, 2, 3])
@pytest.mark.parametrize("diverges", [False, True])
def test_interrupted_and_undisturbed_runs_are_the_same(
    tmp_path: Path,
    configure: Callable[..., Config],
    tell: Any,
    results: Callable[[Path], dict[str, bytes]],
    every: int,
    stop: int,
    diverges: bool,
) -> None:
    config = configure(train={"epochs": 4})
    for runs_dir, stops in ((tmp_path / "a", []), (tmp_path / "b", [stop, stop])):
        for until in stops:
            tell(config, every=every, diverges=diverges).play(runs_dir, until=until)
        tell(config, every=every, diverges=diverges).play(runs_dir)
    folder = f"tiny-{arm_id(config)}/seed-0"
    assert results(tmp_path / "a" / folder) == results(tmp_path / "b" / folder)


def test_a_diverged_run_is_a_result(
    runs_dir: Path, seed_dir: Path, config: Config, tell: Any
) -> None:
    tell(config, diverges=True).play(runs_dir)
    summary = json.loads((seed_dir / "summary.json").read_text())
    assert (summary["status"], summary["diverged_epoch"], summary["diverged_step"]) == (
        "diverged",
        2,
        9,
    )
    assert summary["final"]["val_loss"] is None
    assert (seed_dir / "metrics.csv").read_text().splitlines()[-1].split(",")[4:7:2] == [
        "nan",
        "inf",
    ]
    assert is_finished(runs_dir, config, 0)


def test_a_finished_run_is_left_as_it_is(
    runs_dir: Path, finished: Path, config: Config, tell: Any
) -> None:
    before = {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.iterdir()
    }
    assert is_finished(runs_dir, config, 0)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        assert writer.status == "finished"
        assert writer.resume() is None
        assert len(writer.rows) == 4
        metrics, losses, checkpoint = tell(config).epoch(4)
        with pytest.raises(ValueError, match="not the next"):
            writer.epoch(metrics, losses, checkpoint)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in finished.iterdir()}
    assert before == after


def test_new_targets_are_answered_without_training(
    runs_dir: Path, finished: Path, config: Config, configure: Callable[..., Config]
) -> None:
    before = json.loads((finished / "summary.json").read_text())
    asked = configure(targets=[0.6, 0.75])
    assert not is_finished(runs_dir, asked, 0)
    with RunWriter.open(runs_dir, asked, 0, environment=ABOUT) as writer:
        assert writer.status == "finished"
    assert is_finished(runs_dir, asked, 0)
    assert not is_finished(runs_dir, config, 0)
    after = json.loads((finished / "summary.json").read_text())
    # Validation accuracies are 0.05, 0.525, 0.683..., 0.7625.
    assert [(entry["target"], entry["epochs"]) for entry in after["targets"]] == [
        (0.6, 2),
        (0.75, 3),
    ]
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"targets", "crc32"}
    assert yaml.safe_load((finished / "config.yaml").read_text())["targets"] == [0.6, 0.75]


def test_another_device_is_no_other_run(
    runs_dir: Path, half: Path, configure: Callable[..., Config]
) -> None:
    asked = configure(train={"epochs": 3, "device": "cpu"})
    with RunWriter.open(runs_dir, asked, 0, environment=ABOUT) as writer:
        assert writer.resume() is not None


def test_fresh_starts_over(runs_dir: Path, finished: Path, config: Config, tell: Any) -> None:
    (finished / "events.out.tfevents.1").write_text("old")
    (finished / "my-notes.txt").write_text("mine")
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT, fresh=True) as writer:
        assert writer.status == "absent"
        assert writer.resume() is None
        assert writer.rows == []
        assert files_of(finished) == {"config.yaml", "environment.json", ".lock", "my-notes.txt"}
    assert tell(config).play(runs_dir) == []
    assert is_finished(runs_dir, config, 0)


def test_what_a_resumed_run_was_trained_with(runs_dir: Path, half: Path, config: Config) -> None:
    later = {"device": "cpu", "stack_size": 1, "started": "later"}
    for _ in range(2):
        with RunWriter.open(runs_dir, config, 0, environment=later):
            pass
    resumed = {"epoch": 1, "stack_size": 1, "started": "later"}
    environment = json.loads((half / "environment.json").read_text())
    assert environment == {**ABOUT, "resumed": [resumed, resumed]}


def test_a_run_that_starts_over_forgets_what_it_was_trained_with(
    runs_dir: Path, half: Path, config: Config
) -> None:
    (half / "checkpoint.safetensors").unlink()
    with RunWriter.open(runs_dir, config, 0, environment={"device": "other"}) as writer:
        assert writer.status == "partial"
        assert writer.resume() is None
    assert json.loads((half / "environment.json").read_text()) == {"device": "other"}
    assert files_of(half) == {"config.yaml", "environment.json", ".lock"}


def test_leftovers_are_removed(runs_dir: Path, half: Path, config: Config) -> None:
    (half / ".metrics.csv.0123abcd.tmp").write_text("epo")
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT):
        assert not [name for name in files_of(half) if name.endswith(".tmp")]
