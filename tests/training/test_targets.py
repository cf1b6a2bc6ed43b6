"""Reaching a target: at least it, the first time, on numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.training.targets import first_reached

ACCURACIES = st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=20)


@settings(deadline=None)
@given(accuracies=ACCURACIES, target=st.floats(0.01, 1))
def test_it_is_the_index_that_numpy_finds(accuracies: list[float], target: float) -> None:
    where = np.flatnonzero(np.array(accuracies, dtype=float) >= target)
    assert first_reached(accuracies, target) == (int(where[0]) if where.size else None)


def test_equal_is_reached() -> None:
    assert first_reached([0.1, 0.95, 0.96], 0.95) == 1


def test_epoch_0_counts() -> None:
    assert first_reached([0.2, 0.9], 0.1) == 0


def test_falling_below_later_changes_nothing() -> None:
    assert first_reached([0.1, 0.9, 0.2, 0.9], 0.9) == 1


@pytest.mark.parametrize("accuracies", [[], [float("nan")], [0.5, float("nan")]])
def test_nan_and_nothing_reach_nothing(accuracies: list[float]) -> None:
    assert first_reached(accuracies, 0.6) is None


def test_it_takes_an_array() -> None:
    assert first_reached(np.array([0.25, 0.5]), 0.5) == 1
