"""What the writer refuses, with what is there left as it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store import RunWriter, is_finished

ABOUT = {"device": "cpu", "stack_size": 3}


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_epochs_out_of_order_are_refused(runs_dir: Path, config: Config, tell: Any) -> None:
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        first, second = story.epoch(0), story.epoch(1)
        with pytest.raises(ValueError, match="epoch 1 is not the next"):
            writer.epoch(*second)
        with pytest.raises(ValueError, match="checkpoint of epoch 1 is not one of 0"):
            writer.epoch(first[0], first[1], second[2])
        with pytest.raises(ValueError, match="-1 epochs"):
            writer.finish(story.network, story.final(), None)
        writer.epoch(*first)
        with pytest.raises(ValueError, match="epoch 0 is not the next"):
            writer.epoch(*first)
        with pytest.raises(ValueError, match="0 epochs are kept of 3"):
            writer.finish(story.network, story.final(), None)
        for final, step in ((None, None), (story.final(), 3)):
            with pytest.raises(ValueError, match="or else it has diverged"):
                writer.finish(story.network, final, step)


def test_an_error_gives_the_lock_back(
    runs_dir: Path, half: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("bninit.store.writer.inspect", fail)
        with pytest.raises(RuntimeError):
            RunWriter.open(runs_dir, config, 0, environment=ABOUT)
    RunWriter.open(runs_dir, config, 0, environment=ABOUT).close()


def test_the_second_writer_is_told(runs_dir: Path, half: Path, config: Config) -> None:
    script = """
import sys
from bninit.config import load_config
from bninit.errors import StoreError
from bninit.store import RunWriter
config = load_config(sys.argv[2])
try:
    RunWriter.open(sys.argv[1], config, 0, environment={}, fresh=True)
except StoreError as error:
    print(error)
"""
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT):
        before = files_of(half)
        done = subprocess.run(
            [sys.executable, "-c", script, str(runs_dir), str(half / "config.yaml")],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert "another process is training this run" in done.stdout
        assert str(half) in done.stdout
        assert files_of(half) == before


def test_other_seeds_can_be_trained_meanwhile(runs_dir: Path, config: Config, tell: Any) -> None:
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT):
        tell(config, seed=1).play(runs_dir)


def test_the_folder_of_another_arm_is_left_as_it_is(
    runs_dir: Path, half: Path, configure: Callable[..., Config], config: Config
) -> None:
    other = configure(train={"epochs": 7})
    taken = runs_dir / f"tiny-{arm_id(other)}"
    taken.mkdir()
    shutil.copytree(half, taken / "seed-0")
    before = {path.name: path.read_bytes() for path in (taken / "seed-0").iterdir()}
    for fresh in (False, True):
        with pytest.raises(StoreError, match="holds another run, and is left as it is"):
            RunWriter.open(runs_dir, other, 0, environment=ABOUT, fresh=fresh)
    assert {path.name: path.read_bytes() for path in (taken / "seed-0").iterdir()} == before
    shutil.copytree(half, half.parent / "seed-4")
    with pytest.raises(StoreError, match="holds another run"):
        RunWriter.open(runs_dir, config, 4, environment=ABOUT)


def test_a_newer_schema_is_refused_unless_fresh(
    runs_dir: Path, half: Path, config: Config, tell: Any
) -> None:
    path = half / "config.yaml"
    path.write_text(path.read_text().replace("schema_version: 1", "schema_version: 2"))
    before = files_of(half)
    with pytest.raises(StoreError, match="a newer bninit") as caught:
        RunWriter.open(runs_dir, config, 0, environment=ABOUT)
    assert str(path) in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert files_of(half) == before
    tell(config).play(runs_dir, fresh=True)
    assert is_finished(runs_dir, config, 0)


def test_a_folder_that_is_removed_meanwhile(runs_dir: Path, config: Config, tell: Any) -> None:
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        writer.epoch(*story.epoch(0))
        shutil.rmtree(runs_dir)
        with pytest.raises(StoreError, match="its folder is not there"):
            writer.epoch(*story.epoch(1))
        tell(config).play(runs_dir, until=1)
        with pytest.raises(StoreError, match="replaced by another"):
            writer.epoch(*story.epoch(1))
    tell(config).play(runs_dir)
    assert is_finished(runs_dir, config, 0)


def test_a_run_that_was_moved_goes_on(
    tmp_path: Path, half: Path, config: Config, tell: Any
) -> None:
    shutil.copytree(half.parent.parent, tmp_path / "elsewhere")
    assert tell(config).play(tmp_path / "elsewhere") == []
    assert is_finished(tmp_path / "elsewhere", config, 0)


def test_a_runs_folder_without_permission(
    public_dir: Path, config: Config, unprivileged: Callable[[], Any]
) -> None:
    public_dir.chmod(0o555)
    with unprivileged(), pytest.raises(StoreError, match="no access") as caught:
        RunWriter.open(public_dir, config, 0, environment=ABOUT)
    assert "--runs-dir" in str(caught.value)


def test_double_precision_losses_stay_so(
    runs_dir: Path, configure: Callable[..., Config], tell: Any
) -> None:
    config = configure(train={"epochs": 1, "precision": "float64"})
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        writer.epoch(*story.epoch(0))
        metrics, losses, _ = story.epoch(1)
        exact = losses.astype(np.float64) / 3
        writer.epoch(metrics, exact, None)
        assert np.load(writer.folder / "steps.npy").tolist() == exact.tolist()
