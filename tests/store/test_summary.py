"""``summary.json``: each figure against a plain computation, and any change found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import CONFIG, make_config
from torch import nn

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store.epochs import Row
from bninit.store.files import DamagedFileError
from bninit.store.summary import (
    count_numbers,
    read_summary,
    summarise,
    targets_of,
    with_check_sums,
)
from bninit.training.records import EvalResult, FinalRecord

NAN, INF = float("nan"), float("inf")
ARM = arm_id(CONFIG)
FINAL = FinalRecord(
    replica=0, train=EvalResult(loss=0.1, accuracy=0.96), test=EvalResult(loss=0.3, accuracy=0.9)
)
STATE = {"0.weight": torch.tensor([[1.0, 2.0], [1.0, 2.0]]), "1.weight": torch.ones(2, 2)}


def epochs(*figures: tuple[float, float]) -> list[Row]:
    """(validation loss, validation accuracy) of each epoch from 0."""
    return [
        Row(epoch, epoch * 7, 0.1, None, loss / 2, accuracy, loss, accuracy, epoch * 0.5)
        for epoch, (loss, accuracy) in enumerate(figures)
    ]


def summary_of(
    rows: list[Row],
    final: FinalRecord | None = FINAL,
    diverged_step: int | None = None,
    config: Config = CONFIG,
) -> dict[str, Any]:
    found = summarise(rows, final, diverged_step, config=config, seed=5, state=STATE, stack_size=4)
    json.dumps(found, allow_nan=False)
    return found


def reached(target: float, **when: float) -> dict[str, Any]:
    about = {"reached": True, "censored": False, "censored_at_epochs": None}
    return {"target": target, **about, **when}


def not_reached(target: float, *, after: int) -> dict[str, Any]:
    never = {"epochs": None, "steps": None, "seconds": None}
    about = {"reached": False, "censored": True, "censored_at_epochs": after}
    return {"target": target, **about, **never}


def test_a_run_that_is_done() -> None:
    rows = epochs((2.3, 0.05), (0.4, 0.8), (0.2, 0.8), (0.3, 0.5))
    assert summary_of(rows) == {
        "schema_version": 1,
        "name": "tiny",
        "arm": ARM,
        "seed": 5,
        "status": "done",
        "epochs": 3,
        "steps": 21,
        "num_parameters": 8,
        "num_tracked": 0,
        "distinct_units": [1],
        "diverged_epoch": None,
        "diverged_step": None,
        "final": {
            "train_loss": 0.15,
            "train_accuracy": 0.5,
            "val_loss": 0.3,
            "val_accuracy": 0.5,
        },
        "best": {"epoch": 1, "val_loss": 0.2, "val_accuracy": 0.8},
        "train_loss": 0.1,
        "train_accuracy": 0.96,
        "test_loss": 0.3,
        "test_accuracy": 0.9,
        "generalization_gap": 0.96 - 0.9,
        "seconds": 1.5,
        "seconds_per_epoch": 0.5,
        "stack_size": 4,
        "targets": [
            reached(0.1, epochs=1, steps=7, seconds=0.5),
            reached(0.5, epochs=1, steps=7, seconds=0.5),
            not_reached(0.99, after=3),
        ],
    }
    assert summary_of(rows, config=make_config(targets=[]))["targets"] == []


def test_a_run_that_diverged() -> None:
    found = summary_of(epochs((2.3, 0.2), (NAN, 0.1)), None, 4)
    assert (found["status"], found["diverged_epoch"], found["diverged_step"]) == ("diverged", 1, 4)
    assert found["final"] == {
        "train_loss": None,
        "train_accuracy": 0.1,
        "val_loss": None,
        "val_accuracy": 0.1,
    }
    for key in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "generalization_gap"):
        assert found[key] is None
    # It was planned for 3 epochs and would not reach the target in the two that it was spared.
    assert found["targets"][1] == not_reached(0.5, after=3)
    assert found["targets"][0] == reached(0.1, epochs=0, steps=0, seconds=0.0)
    assert summary_of(epochs((NAN, 0.1)), None, 1)["seconds_per_epoch"] is None


def test_nothing_finite_at_all() -> None:
    rows = epochs((NAN, NAN), (INF, NAN), (-INF, NAN), (NAN, NAN))
    overflow = FinalRecord(
        replica=0, train=EvalResult(loss=INF, accuracy=0.1), test=EvalResult(loss=NAN, accuracy=0.1)
    )
    found = summary_of(rows, overflow)
    assert found["best"] == {"epoch": None, "val_loss": None, "val_accuracy": None}
    assert (found["train_loss"], found["test_loss"]) == (None, None)
    assert all(entry["censored"] for entry in found["targets"])


FIGURES = st.floats(0, 5) | st.sampled_from([NAN, INF])
TABLES = st.lists(st.tuples(FIGURES, st.floats(0, 1)), max_size=8)


@settings(deadline=None)
@given(table=TABLES, targets=st.lists(st.floats(0.01, 1), max_size=4))
def test_targets_against_a_plain_search(
    table: list[tuple[float, float]], targets: list[float]
) -> None:
    rows = epochs(*table)
    for entry in targets_of(rows, targets):
        by_then = [row for row in rows if row.val_accuracy >= entry["target"]]
        if by_then:
            first = min(by_then, key=lambda row: row.epoch)
            when = {"epochs": first.epoch, "steps": first.step, "seconds": first.seconds}
            assert entry == reached(entry["target"], **when)
        else:
            assert entry == not_reached(entry["target"], after=max(len(rows) - 1, 0))


def test_numbers_are_counted_as_the_notes_count_them() -> None:
    # N8: a layer of 5 units has 20 batch-norm numbers, 10 of them trained.
    norm = nn.BatchNorm1d(5)
    assert count_numbers(norm.state_dict()) == (10, 10)
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    trained = sum(parameter.numel() for parameter in network.parameters())
    assert count_numbers(network.state_dict()) == (trained, 6)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "summary.json"
    summary = with_check_sums(summary_of(epochs((2.3, 0.1), (0.1 + 0.2, 0.7))), {"a": "b"})
    path.write_text(json.dumps(summary))
    return path


def test_it_is_read_back_as_the_run_that_it_is_of(written: Path) -> None:
    found = read_summary(written, arm=ARM, seed=5)
    assert found
    assert found["final"]["val_loss"] == 0.1 + 0.2
    assert found["crc32"]["a"] == "b"
    assert with_check_sums(found, {"a": "b"}) == found
    for owner in ({"arm": ARM, "seed": 6}, {"arm": "01234567", "seed": 5}):
        with pytest.raises(DamagedFileError, match="of another run"):
            read_summary(written, **owner)  # type: ignore[arg-type]
    assert read_summary(written.with_name("none"), arm=ARM, seed=5) is None


def test_any_changed_figure_and_any_missing_key_is_found(written: Path) -> None:
    summary = json.loads(written.read_text())
    for key, value in summary.items():
        if isinstance(value, float):
            written.write_text(json.dumps({**summary, key: math.nextafter(value, INF)}))
            with pytest.raises(DamagedFileError, match="content was changed"):
                read_summary(written, arm=ARM, seed=5)
        if key != "schema_version":
            written.write_text(json.dumps({k: v for k, v in summary.items() if k != key}))
            with pytest.raises(DamagedFileError, match=f"{key} is missing"):
                read_summary(written, arm=ARM, seed=5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 0}, "not a summary of version 1"),
        ({"schema_version": "1"}, "not a summary of version 1"),
        ({"seed": None}, "invalid seed: 'None'"),
        ({"seed": True}, "invalid seed: 'True'"),
        ({"seed": "x" * 1000}, "invalid seed: 'xxx"),
        ({"status": "fine"}, "unknown status: 'fine'"),
        ({"targets": [7]}, "targets: not an entry"),
        ({"targets": [{}]}, "targets: target is missing"),
        ({"crc32": {"a": 5}}, "something other than check sums"),
        ({"crc32": {}}, "content was changed"),
        ({"test_accuracy": "0.98"}, "invalid test_accuracy: '0.98'"),
    ],
)
def test_what_is_wrong_is_named(written: Path, change: dict[str, Any], says: str) -> None:
    summary = json.loads(written.read_text())
    written.write_text(json.dumps({**summary, **change}))
    with pytest.raises(DamagedFileError, match=says):
        read_summary(written, arm=ARM, seed=5)


def test_a_newer_version_is_refused_and_not_taken_for_damage(written: Path) -> None:
    summary = json.loads(written.read_text())
    written.write_text(json.dumps({**summary, "schema_version": 2}))
    with pytest.raises(StoreError, match="a newer bninit wrote this") as caught:
        read_summary(written, arm=ARM, seed=5)
    assert not isinstance(caught.value, DamagedFileError)
