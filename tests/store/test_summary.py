"""``summary.json``: each figure against a plain computation, and any change found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store.files import DamagedFileError
from bninit.store.summary import (
    check_owner,
    count_numbers,
    read_summary,
    summarise,
    targets_of,
    with_check_sums,
)
from bninit.training.records import EpochMetrics, EvalResult, FinalRecord

NAN, INF = float("nan"), float("inf")


def epochs(*figures: tuple[float, float]) -> list[EpochMetrics]:
    """(validation loss, validation accuracy) of each epoch from 0."""
    return [
        EpochMetrics(
            epoch=epoch,
            step=epoch * 7,
            learning_rate=0.1,
            batch_loss=None,
            train_loss=val_loss / 2,
            train_accuracy=val_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds=epoch * 0.5,
        )
        for epoch, (val_loss, val_accuracy) in enumerate(figures)
    ]


FINAL = FinalRecord(
    replica=0, train=EvalResult(loss=0.1, accuracy=0.96), test=EvalResult(loss=0.3, accuracy=0.9)
)
COUNTS = {"num_parameters": 20, "num_tracked": 10, "stack_size": 4, "distinct_units": [2]}


def summary_of(
    config: Config,
    rows: list[EpochMetrics],
    final: FinalRecord | None = FINAL,
    diverged_step: int | None = None,
) -> dict[str, Any]:
    return summarise(rows, final, diverged_step, config=config, seed=5, **COUNTS)  # type: ignore[arg-type]


def test_a_run_that_is_done(config: Config) -> None:
    rows = epochs((2.3, 0.05), (0.4, 0.8), (0.2, 0.8), (0.3, 0.5))
    assert summary_of(config, rows) == {
        "schema_version": 1,
        "name": "tiny",
        "arm": arm_id(config),
        "seed": 5,
        "status": "done",
        "epochs": 3,
        "steps": 21,
        "num_parameters": 20,
        "num_tracked": 10,
        "distinct_units": [2],
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


def reached(target: float, **when: float) -> dict[str, Any]:
    about = {"reached": True, "censored": False, "censored_at_epochs": None}
    return {"target": target, **about, **when}


def not_reached(target: float, *, after: int) -> dict[str, Any]:
    never = {"epochs": None, "steps": None, "seconds": None}
    return {
        "target": target,
        "reached": False,
        **never,
        "censored": True,
        "censored_at_epochs": after,
    }


def test_a_run_that_diverged(config: Config) -> None:
    found = summary_of(config, epochs((2.3, 0.2), (NAN, 0.1)), None, 4)
    assert found["status"] == "diverged"
    assert (found["diverged_epoch"], found["diverged_step"]) == (1, 4)
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
    json.dumps(found, allow_nan=False)


def test_nothing_finite_at_all(config: Config) -> None:
    rows = epochs((NAN, NAN), (INF, NAN), (-INF, NAN), (NAN, NAN))
    overflow = FinalRecord(
        replica=0, train=EvalResult(loss=INF, accuracy=0.1), test=EvalResult(loss=NAN, accuracy=0.1)
    )
    found = summary_of(config, rows, overflow)
    assert found["best"] == {"epoch": None, "val_loss": None, "val_accuracy": None}
    assert (found["train_loss"], found["test_loss"]) == (None, None)
    assert all(entry["censored"] for entry in found["targets"])
    json.dumps(found, allow_nan=False)


def test_a_run_that_ended_before_training_has_no_speed(config: Config) -> None:
    assert summary_of(config, epochs((NAN, 0.1)), None, 1)["seconds_per_epoch"] is None


FIGURES = st.floats(0, 5) | st.sampled_from([NAN, INF])
TABLES = st.lists(st.tuples(FIGURES, st.floats(0, 1)), min_size=1, max_size=8)


@settings(deadline=None)
@given(table=TABLES, targets=st.lists(st.floats(0.01, 1), max_size=4))
def test_targets_against_a_plain_search(
    table: list[tuple[float, float]], targets: list[float]
) -> None:
    rows = epochs(*table)
    for entry in targets_of(rows, targets):
        by_then = [row for row in rows if row.val_accuracy >= entry["target"]]
        if by_then:
            when = {key: entry[key] for key in ("epochs", "steps", "seconds")}
            first = min(by_then, key=lambda row: row.epoch)
            assert when == {"epochs": first.epoch, "steps": first.step, "seconds": first.seconds}
        else:
            assert entry == not_reached(entry["target"], after=len(rows) - 1)


def test_targets_of_a_run_without_epochs() -> None:
    assert targets_of([], [0.5]) == [not_reached(0.5, after=0)]


def test_numbers_are_counted_as_the_notes_count_them() -> None:
    # N8: a layer of 5 units has 20 batch-norm numbers, 10 of them trained.
    norm = nn.BatchNorm1d(5)
    assert count_numbers(norm.state_dict()) == (10, 10)
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    trained = sum(parameter.numel() for parameter in network.parameters())
    assert count_numbers(network.state_dict()) == (trained, 6)
    assert count_numbers({"0.weight": torch.zeros(2, 3)}) == (6, 0)


@pytest.fixture
def written(tmp_path: Path, config: Config) -> Path:
    path = tmp_path / "summary.json"
    summary = with_check_sums(summary_of(config, epochs((2.3, 0.1), (0.1 + 0.2, 0.7))), {"a": "b"})
    path.write_text(json.dumps(summary))
    return path


def test_it_is_read_back(written: Path, config: Config) -> None:
    found = read_summary(written)
    assert found
    assert found["final"]["val_loss"] == 0.1 + 0.2
    assert found["crc32"]["a"] == "b"
    check_owner(written, found, arm=arm_id(config), seed=5)
    with pytest.raises(DamagedFileError, match="another run's"):
        check_owner(written, found, arm=arm_id(config), seed=6)


def test_no_summary_is_none(tmp_path: Path) -> None:
    assert read_summary(tmp_path / "summary.json") is None


def test_any_changed_figure_is_found(written: Path) -> None:
    summary = json.loads(written.read_text())
    for key, value in summary.items():
        if isinstance(value, float):
            written.write_text(json.dumps({**summary, key: math.nextafter(value, INF)}))
            with pytest.raises(DamagedFileError, match="check sum"):
                read_summary(written)


def test_check_sums_are_made_anew() -> None:
    once = with_check_sums({"a": 1}, {"f": "0"})
    assert with_check_sums(once, {"f": "0"}) == once
    assert with_check_sums({"a": 2}, {"f": "0"})["crc32"] != once["crc32"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 0}, "not a summary of version 1"),
        ({"schema_version": "1"}, "not a summary of version 1"),
        ({"seed": None}, "seed is 'None'"),
        ({"seed": True}, "seed is 'True'"),
        ({"seed": "x" * 1000}, "seed is 'xxx"),
        ({"status": "fine"}, "status 'fine'"),
        ({"targets": [7]}, "targets: no entry"),
        ({"targets": [{}]}, "targets: target is missing"),
        ({"crc32": {"a": 5}}, "something other than check sums"),
        ({"crc32": {}}, "check sum does not fit"),
        ({"test_accuracy": "0.98"}, "test_accuracy is '0.98'"),
    ],
)
def test_what_is_wrong_is_named(written: Path, change: dict[str, Any], says: str) -> None:
    summary = json.loads(written.read_text())
    written.write_text(json.dumps({**summary, **change}))
    with pytest.raises(DamagedFileError, match=says):
        read_summary(written)


def test_a_newer_version_is_refused_and_not_taken_for_damage(written: Path) -> None:
    summary = json.loads(written.read_text())
    written.write_text(json.dumps({**summary, "schema_version": 2}))
    with pytest.raises(StoreError, match="a newer bninit wrote this") as caught:
        read_summary(written)
    assert not isinstance(caught.value, DamagedFileError)


def test_missing_keys_are_named(written: Path) -> None:
    summary = json.loads(written.read_text())
    for key in set(summary) - {"schema_version"}:
        written.write_text(json.dumps({k: v for k, v in summary.items() if k != key}))
        with pytest.raises(DamagedFileError, match=f"{key} is missing"):
            read_summary(written)


def test_a_config_without_targets(configure: Callable[..., Config]) -> None:
    assert summary_of(configure(targets=[]), epochs((1.0, 0.5)))["targets"] == []
