"""A run that is left within an epoch: what is kept of it, and from where it goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.config import Config, arm_id
from bninit.store import Run, RunWriter
from bninit.store.inspection import inspect
from bninit.training.records import Checkpoint

ABOUT = {"device": "cpu", "stack_size": 3}
BEGUN = np.array([1.5, 1.25], dtype=np.float32)


def cut_of(checkpoint: Checkpoint) -> Checkpoint:
    """Two steps after a checkpoint."""
    return dataclasses.replace(checkpoint, step=checkpoint.step + BEGUN.size, begun=BEGUN)


@pytest.fixture
def cut(runs_dir: Path, config: Config, tell: Any) -> Checkpoint:
    """Two steps into the second epoch of the run of seed 0."""
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer:
        writer.epoch(*story.epoch(0))
        writer.epoch(*story.epoch(1))
        kept = cut_of(story.checkpoint(1))
        writer.cut(kept)
    return kept


def test_it_goes_on_from_the_step(
    runs_dir: Path, seed_dir: Path, config: Config, tell: Any, cut: Checkpoint
) -> None:
    run = Run(seed_dir)
    assert run.status == "partial"
    assert [row.step for row in run.rows()] == [0, 5]
    assert run.step_losses().size == 5, "only those of finished epochs are on record"
    with RunWriter.open(runs_dir, config, 0, environment={**ABOUT, "stack_size": 1}) as writer:
        assert writer.notes == []
        found = writer.resume()
        assert found is not None
        assert (found.epoch, found.step, found.place) == (1, 7, (1, 2))
        assert found.begun.tobytes() == BEGUN.tobytes()
        for name, tensor in cut.network.items():
            assert found.network[name].numpy().tobytes() == tensor.numpy().tobytes()
        story = tell(config)
        for number in (1, 2, 3):
            told = story.epoch(number)
            if number > 1:
                writer.epoch(*told)
        writer.finish(story.network, story.final(), None)
    summary = run.__class__(seed_dir).summary
    assert summary is not None
    assert summary["steps"] == 15
    assert summary["stack_size"] == 3, "it shared its clock for a while"
    environment = json.loads((seed_dir / "environment.json").read_text())
    assert environment["resumed"] == [{"epoch": 1, "steps": 2, "stack_size": 1}]


def test_a_cut_that_does_not_follow_is_refused(
    runs_dir: Path, config: Config, tell: Any, finished: Path, configure: Callable[..., Config]
) -> None:
    story = tell(config)
    with (
        RunWriter.open(runs_dir, config, 0, environment=ABOUT) as writer,
        pytest.raises(ValueError, match="does not follow"),
    ):
        writer.cut(cut_of(story.checkpoint(3)))
    other = configure(name="other")
    with RunWriter.open(runs_dir, other, 0, environment=ABOUT) as writer:
        with pytest.raises(ValueError, match="does not follow"):
            writer.cut(cut_of(story.checkpoint(0)))
        writer.epoch(*story.epoch(0))
        with pytest.raises(ValueError, match="does not follow"):
            writer.cut(cut_of(story.checkpoint(1)))
        told = story.epoch(1)
        with pytest.raises(ValueError, match="is not one of"):
            writer.epoch(told[0], told[1], cut_of(story.checkpoint(1)))


@pytest.mark.parametrize("file", ["metrics.csv", "steps.npy"])
def test_a_cut_goes_with_what_was_recorded_before_it(
    seed_dir: Path, config: Config, cut: Checkpoint, file: str
) -> None:
    del cut
    path = seed_dir / file
    path.write_bytes(path.read_bytes()[:-1] + b"7")
    found = inspect(seed_dir, arm=arm_id(config), seed=0)
    assert found.checkpoint is None
    assert "trained again" in found.notes[0]


def test_a_checkpoint_from_before_there_were_cuts_is_read(
    half: Path, config: Config, tell: Any, runs_dir: Path
) -> None:
    """Its file has no trace of them: between epochs nothing of an epoch has begun."""
    assert b"step_losses" not in (half / "checkpoint.safetensors").read_bytes()
    found = inspect(half, arm=arm_id(config), seed=0).checkpoint
    assert found is not None
    assert found.load().place == (1, 0)
    assert tell(config).play(runs_dir) == []
