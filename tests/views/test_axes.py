"""Axes: limits that show what matters, and labels that do not overlap."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bninit.show.old_charts import (
    accuracy_bottom,
    label_lines,
    loss_limits,
    mark_epochs,
    set_log_scale,
    spread_apart,
)


@given(st.lists(st.floats(1e-9, 1e4), min_size=1))
def test_all_losses_lie_within_the_limits(losses: list[float]) -> None:
    low, high, is_log = loss_limits(losses)
    assert low <= min(losses)
    assert max(losses) <= high
    assert is_log == (max(losses) / min(losses) >= 10)
    assert low > 0 if is_log else low == 0


def test_a_loss_on_the_way_to_infinity_does_not_squeeze_the_others() -> None:
    _, high, _ = loss_limits([0.1, 2.3, 1e30])
    assert high < 1e5


def test_losses_beyond_all_bounds_and_none_at_all_still_have_limits() -> None:
    low, high, _ = loss_limits([1e30, 2e30])
    assert low < 1e30 < high < math.inf
    assert loss_limits([]) == loss_limits([0.0]) == (0.0, 1.0, False)


def band(*lows: float) -> pd.DataFrame:
    return pd.DataFrame({"epoch": range(len(lows)), "low": lows})


@pytest.mark.parametrize(
    ("lows", "targets", "bottom"),
    [
        ((10, 90, 96, 97, 97.5), (0.95, 0.98), 90),
        ((10, 90, 97, 98, 98.2), (0.98,), 95),
        ((10, 90, 97, 98, 98.2), (0.5, 0.98), 0),
        ((10, 30, 60, 70, 75), (), 50),
        ((11, 11, 11, 11, 11), (0.95,), 0),
        ((10, 97, 98), (0.97,), 0),
        ((), (0.97,), 0),
    ],
)
def test_an_accuracy_axis_begins_below_the_later_half_and_the_targets(
    lows: tuple[float, ...], targets: tuple[float, ...], bottom: float
) -> None:
    assert accuracy_bottom([band(*lows)], targets=targets) == bottom


def test_the_worst_arm_decides() -> None:
    good, bad = band(10, 97, 98, 98.5, 98.5), band(10, 20, 30, 40, 40)
    assert accuracy_bottom([good], targets=[]) > accuracy_bottom([good, bad], targets=[]) == 0


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_labels_are_pushed_apart_and_keep_their_order(places: list[float]) -> None:
    found = spread_apart(places, distance=0.05)
    assert len(found) == len(places)
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(found))


def test_labels_that_do_not_touch_stay_and_those_that_do_are_centred() -> None:
    assert spread_apart([0.1, 0.5, 0.5]) == pytest.approx([0.1, 0.474, 0.526])
    assert spread_apart([0.1, 0.3], distance=0.2) == pytest.approx([0.1, 0.3])


def test_labels_stand_at_their_lines() -> None:
    axes = Figure().subplots()
    axes.set_ylim(0, 200)
    label_lines(axes, {150: "b", 50: "a"}, line_style="-")
    assert [t.get_text() for t in axes.texts] == ["a", "b"]
    assert [t.xyann[1] for t in axes.texts] == pytest.approx([0.25, 0.75])  # type: ignore[attr-defined]
    assert sorted(float(line.get_ydata()[0]) for line in axes.lines) == [50, 150]  # type: ignore[index, arg-type]


@pytest.mark.parametrize("last", [0, 1, 3, 300])
def test_epochs_are_whole_and_all_in_sight(last: int) -> None:
    axes = Figure().subplots()
    mark_epochs(axes, last_epoch=last)
    low, high = axes.get_xlim()
    assert low < 0
    assert high > max(last, 1)
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_logarithmic_axis_has_plain_numbers() -> None:
    figure = Figure()
    axes = figure.subplots()
    set_log_scale(axes, num_decades=2)
    axes.set_ylim(0.01, 1)
    figure.canvas.draw()
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.01", "0.05", "0.2", "1"} <= set(shown)
