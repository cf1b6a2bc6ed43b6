"""Numbers in words, at the places where rounding could lie."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bninit.show import words as text
from bninit.stats import spread


@pytest.mark.parametrize(
    ("write", "value", "written"),
    [
        (text.percent, 0.9812, "98.12 %"),
        (text.percent, 1.0, "100.00 %"),
        (text.percent, 0.0, "0.00 %"),
        (text.percent, 0.99999, "99.99 %"),
        (text.percent, 0.00001, "0.01 %"),
        (text.percent, None, "-"),
        (text.percent, math.nan, "-"),
        (text.percent_points, 0.0125, "+1.25 points"),
        (text.percent_points, -0.0125, "-1.25 points"),
        (text.percent_points, None, "-"),
        (text.target_percent, 0.97, "97 %"),
        (text.target_percent, 0.975, "97.5 %"),
        (text.target_percent, 0.29, "29 %"),
        (text.loss, 0.0812, "0.0812"),
        (text.loss, math.log(10), "2.3026"),
        (text.loss, 123.456, "123.46"),
        (text.loss, 1.2e-5, "1.20e-05"),
        (text.loss, 3.4e20, "3.40e+20"),
        (text.loss, 0.0, "0.0000"),
        (text.loss, math.nan, "nan"),
        (text.loss, None, "-"),
        (text.seconds, 0.031, "0.031 s"),
        (text.seconds, 2.14, "2.1 s"),
        (text.seconds, 9.97, "10 s"),
        (text.seconds, 59.6, "1 min 0 s"),
        (text.seconds, 75, "1 min 15 s"),
        (text.seconds, 3599.7, "1 h 0 min"),
        (text.seconds, 7500, "2 h 5 min"),
        (text.seconds, 3 * 86400 + 3600, "3 d 1 h"),
        (text.seconds, None, "-"),
        (text.count, 1234567, "1,234,567"),
        (text.count, 2.5, "2.5"),
        (text.count, 3.0, "3"),
        (text.count, None, "-"),
        (text.size, 312, "312 B"),
        (text.size, 1_134_000, "1.1 MB"),
        (text.size, 999_999, "1.0 MB"),
        (text.size, 5_000_000_000, "5.0 GB"),
        (lambda v: text.decimal(v, num_decimals=2), -0.001, "0.00"),
        (lambda v: text.decimal(v, num_decimals=2), -12345.6, "-12,346"),
        (lambda v: text.signed(v, num_decimals=1), 0.25, "+0.2"),
        (lambda v: text.signed(v, num_decimals=1), 0.01, "0.0"),
        (text.ranges, [4, 0, 1, 2, 9, 11, 10], "0-2, 4, 9-11"),
        (text.seeds, [3], "seed 3"),
        (text.seeds, [3, 4], "seeds 3-4"),
        (text.join, [], ""),
        (text.join, ["a"], "a"),
        (text.join, ["a", "b", "c"], "a, b and c"),
        (text.setting, [256, 256], "[256, 256]"),
        (text.setting, True, "true"),
        (text.setting, None, "null"),
        (text.setting, 1e-5, "1e-05"),
    ],
)
def test_written(write: Callable[[object], str], value: object, written: str) -> None:
    assert write(value) == written


@given(st.floats(0, 1))
def test_a_percentage_is_whole_only_when_it_is(fraction: float) -> None:
    assert (text.percent(fraction) == "100.00 %") == (fraction == 1)
    assert (text.percent(fraction) == "0.00 %") == (fraction == 0)


@given(st.floats(0, 1))
def test_a_percentage_is_at_most_a_step_off(fraction: float) -> None:
    assert abs(float(text.percent(fraction).removesuffix(" %")) - 100 * fraction) <= 0.01 + 1e-9


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.98, 0.982], "98.10 % (SD 0.14)"),
        ([0.9, 0.94], "92.0 % (SD 2.8)"),
        ([0.98], "98.00 %"),
        ([None], "-"),
    ],
)
def test_mean_with_standard_deviation(values: list[float | None], written: str) -> None:
    assert text.percent_with_sd(spread(values)) == written


def test_brackets_hold_what_else_there_is_to_say() -> None:
    assert text.percent_with_sd(spread([0.98]), extra="1 of 5 seeds") == "98.00 % (1 of 5 seeds)"
    found = spread([0.968, 0.973])
    assert text.percent_with_range(found) == "97.0 % (96.8 to 97.3)"
    assert text.percent_with_range(found, extra="2 seeds") == "97.0 % (96.8 to 97.3, 2 seeds)"
    assert text.percent_with_range(spread([0.968])) == "96.8 %"
    assert text.percent_with_range(None) == "-"
    assert text.loss_with_range(spread([0.1, 0.3])) == "0.2000 (0.1000 to 0.3000)"


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [(5, 5, "all 5"), (0, 5, "none of 5"), (2, 5, "2 of 5"), (1, 1, "1 of 1")],
)
def test_a_part_of_a_whole(part: int, whole: int, written: str) -> None:
    assert text.of(part, whole) == written


def test_plural() -> None:
    assert [text.plural(n, "seed") for n in (0, 1, 2000)] == ["0 seeds", "1 seed", "2,000 seeds"]


@given(st.lists(st.text("ab", min_size=1, max_size=12)), st.integers(1, 40))
def test_flow_loses_nothing_and_keeps_the_width(items: list[str], width: int) -> None:
    lines = text.flow(items, width=width)
    assert "".join(lines).replace(" ", "") == "".join(items)
    assert all(len(line) <= width or line in items for line in lines)
