"""Tidy tables: one row for each run and epoch, every number as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store import Run, find_runs, load_runs
from bninit.store.metrics import COLUMNS

KEYS = ["name", "arm", "seed", "status"]


def test_a_row_for_each_run_and_epoch(
    runs_dir: Path, configure: Callable[..., Config], tell: Any
) -> None:
    long, short = configure(name="long"), configure(name="short", train={"epochs": 1})
    tell(long).play(runs_dir)
    tell(long, seed=1, diverges=True).play(runs_dir)
    tell(short).play(runs_dir, until=0)
    table = load_runs(runs_dir)
    assert list(table.columns) == [*KEYS, *COLUMNS]
    about = table.groupby(KEYS, sort=True).size()
    assert about.to_dict() == {
        ("long", arm_id(long), 0, "done"): 4,
        ("long", arm_id(long), 1, "diverged"): 3,
        ("short", arm_id(short), 0, "partial"): 1,
    }
    for run in find_runs(runs_dir):
        own = table[(table["name"] == run.name) & (table["seed"] == run.seed)]
        read = pd.read_csv(run.folder / "metrics.csv")
        pd.testing.assert_frame_equal(
            own[list(COLUMNS)].reset_index(drop=True),
            read.astype(own[list(COLUMNS)].dtypes),
            check_exact=False,
        )
        assert own["val_loss"].to_list() == [row.val_loss for row in run.rows()]


def test_of_some_runs_only(runs_dir: Path, finished: Path, config: Config, tell: Any) -> None:
    for seed in (1, 2):
        tell(config, seed=seed).play(runs_dir)
    assert set(load_runs(finished)["seed"]) == {0}
    assert set(load_runs(finished, Run(finished.with_name("seed-2")))["seed"]) == {0, 2}
    assert set(load_runs(finished.parent)["seed"]) == {0, 1, 2}


def test_no_runs_give_an_empty_table_of_the_same_kind(tmp_path: Path, finished: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = load_runs(tmp_path / "empty")
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, load_runs(finished).dtypes)


def test_damage_is_told_and_the_others_stay(
    runs_dir: Path, finished: Path, config: Config, tell: Any
) -> None:
    tell(config, seed=1).play(runs_dir)
    (finished / "metrics.csv").write_text("epoch\n")
    with pytest.warns(UserWarning, match=r"left out: .*seed-0.metrics.csv: line 1"):
        table = load_runs(runs_dir)
    assert set(table["seed"]) == {1}
    with pytest.raises(StoreError, match="line 1"):
        Run(finished).metrics()


def test_a_run_without_epochs_yet_is_nothing_to_tell(
    runs_dir: Path, half: Path, finished: Path
) -> None:
    (half / "metrics.csv").unlink(missing_ok=True)
    (half / "summary.json").unlink(missing_ok=True)
    assert len(load_runs(runs_dir)) == 0
