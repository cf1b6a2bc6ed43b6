"""Spreads, bands and censored medians against numpy, scipy and counting by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bninit.stats import (
    bands,
    finite_rows,
    last_before_divergence,
    median_of_censored,
    spread,
    spread_of_epoch,
)
from bninit.training.records import Checkpoint, EpochMetrics, EpochRecord, ReplicaEpoch

NAN = math.nan


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_spread_equals_numpy(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert (found.low, found.high, found.n) == (min(values), max(values), len(values))


def test_spread_leaves_out_what_is_no_number_and_counts_the_rest() -> None:
    found = spread([0.5, None, NAN, math.inf, 0.7])
    assert found is not None
    assert found.mean == pytest.approx(0.6)
    assert found.n == 2


def test_a_single_value_has_no_standard_deviation() -> None:
    found = spread([0.25])
    assert found is not None
    assert found.sd is None
    assert (found.mean, found.low, found.high, found.n) == (0.25, 0.25, 0.25, 1)


def test_no_value_has_no_spread() -> None:
    assert spread([None, NAN]) is None


def record(*losses: float, diverged: tuple[int, ...] = ()) -> EpochRecord:
    def no_checkpoint() -> Checkpoint:
        raise AssertionError("nothing here needs a checkpoint")

    return EpochRecord(
        epoch=3,
        stack_seconds=2.0,
        replicas=tuple(
            ReplicaEpoch(
                replica=i,
                metrics=EpochMetrics(
                    epoch=3,
                    step=30,
                    learning_rate=0.1,
                    batch_loss=2 * loss,
                    train_loss=loss,
                    train_accuracy=0.5,
                    val_loss=3 * loss,
                    val_accuracy=0.9 + 0.01 * i,
                    seconds=1.0,
                ),
                step_losses=np.zeros(10),
                diverged_step=25 if i in diverged else None,
                checkpoint=no_checkpoint,
            )
            for i, loss in enumerate(losses)
        ),
    )


def test_an_epoch_is_summed_up_over_the_networks_that_are_finite() -> None:
    found = spread_of_epoch(record(0.1, NAN, 0.3, diverged=(1,)))
    assert (found.epoch, found.num_replicas, found.num_diverged) == (3, 3, 1)
    assert found.batch_loss is not None
    assert found.batch_loss.mean == pytest.approx(0.4)
    assert found.train_loss is not None
    assert found.train_loss.mean == pytest.approx(0.2)
    assert found.val_loss is not None
    assert found.val_loss.high == pytest.approx(0.9)
    # The diverged network's 0.91 is not among them.
    assert found.val_accuracy is not None
    assert found.val_accuracy.low == 0.9
    assert found.val_accuracy.high == pytest.approx(0.92)
    assert found.val_accuracy.n == 2


def test_an_epoch_in_which_all_diverge_has_no_figures() -> None:
    found = spread_of_epoch(record(NAN, NAN, diverged=(0, 1)))
    assert (found.num_diverged, found.val_accuracy, found.train_loss) == (2, None, None)


def rows(*runs: tuple[str, int, list[float]], **columns: Any) -> pd.DataFrame:
    """Runs as (arm, seed, validation loss of each epoch); accuracy is 1 - loss / 10."""
    table = pd.DataFrame(
        [
            {"name": "x", "arm": arm, "seed": seed, "epoch": epoch, "val_loss": loss}
            for arm, seed, losses in runs
            for epoch, loss in enumerate(losses)
        ]
    )
    table["train_loss"] = table["val_loss"]
    table["val_accuracy"] = 1 - table["val_loss"].fillna(9) / 10
    return table.assign(**columns)


def test_bands_hold_median_lowest_highest_and_count_of_each_epoch_and_arm() -> None:
    table = rows(("b", 0, [2.0, 1.0]), ("b", 1, [4.0, 2.0]), ("b", 2, [9.0, 3.0]), ("a", 0, [5.0]))
    found = bands(table, "val_loss")
    one = found[(found["arm"] == "b") & (found["epoch"] == 0)].iloc[0]
    assert (one["median"], one["low"], one["high"], one["n"]) == (4.0, 2.0, 9.0, 3)
    assert list(found["arm"]) == ["b", "a", "b"]
    assert list(found["epoch"]) == [0, 0, 1]


@pytest.mark.parametrize("bad", [NAN, math.inf])
def test_bands_leave_out_a_network_from_where_it_diverged(bad: float) -> None:
    found = bands(rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, bad])), "val_accuracy")
    assert list(found["n"]) == [2, 1]
    assert found["low"][1] == pytest.approx(0.9)


def test_finite_rows_keeps_the_rest_as_it_is() -> None:
    table = rows(("a", 0, [2.0, NAN, 1.0]))
    assert list(finite_rows(table)["epoch"]) == [0, 2]


def test_the_last_finite_epoch_of_each_diverged_network_is_found() -> None:
    table = rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, 3.0, NAN]), ("b", 0, [3.0, NAN]))
    found = last_before_divergence(table)
    assert list(zip(found["arm"], found["seed"], found["epoch"], strict=True)) == [
        ("b", 0, 0),
        ("a", 1, 1),
    ]


def test_a_status_tells_of_a_divergence_that_no_row_shows() -> None:
    table = rows(("a", 0, [2.0, 1.0]), ("a", 1, [4.0, 3.0]))
    table["status"] = np.where(table["seed"] == 1, "diverged", "done")
    found = last_before_divergence(table)
    assert list(zip(found["seed"], found["epoch"], strict=True)) == [(1, 1)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_the_median_of_known_times_is_numpys(times: list[int]) -> None:
    assert median_of_censored(times) == np.median(times)


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([3, 5, None], 5),
        ([None, 3, None], None),
        ([3, 5, 9, None], 7),
        ([3, 5, None, None], None),
        ([None], None),
        ([], None),
        ([0, 0], 0),
    ],
)
def test_a_time_that_never_came_is_later_than_all_others(
    times: list[int | None], median: float | None
) -> None:
    assert median_of_censored(times) == median


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 4))
def test_an_odd_count_has_the_median_of_kaplan_and_meier(known: list[int], lost: int) -> None:
    times = [*known, *[None] * lost]
    if len(times) % 2 == 0:
        times.pop()
        known = [time for time in times if time is not None]
    found = median_of_censored(times)
    censored = stats.CensoredData.right_censored(
        np.array([10.0 if time is None else time for time in times]),
        np.array([time is None for time in times]),
    )
    if not known:
        assert found is None
        return
    survival = stats.ecdf(censored).sf
    there = [
        q
        for q, p in zip(survival.quantiles, survival.probabilities, strict=True)
        if p <= 0.5 and q < 10
    ]
    assert found == (min(there) if there else None)
