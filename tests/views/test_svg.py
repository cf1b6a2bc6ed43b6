"""Scales, ticks and marks of the small pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bninit.show.old_charts import LINE_STYLES, MARKERS
from bninit.verbs.study.pictures import Drawing, Scale, dash_of, scale_over, tick_labels


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-6, 1e6),
    at_most=st.integers(3, 8),
)
def test_ticks_are_round_within_and_few(low: float, width: float, at_most: int) -> None:
    scale = Scale(low, low + width, 0, 100)
    ticks = scale.ticks(at_most)
    assert len(ticks) <= at_most
    slack = 1e-6 * max(width, abs(low))
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)
    for step in (b - a for a, b in pairwise(ticks)):
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - good) for good in (1, 2, 5, 10)) < 0.01 + slack / step


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.0, 3.0), (0.0, 40.0), (3.2, 3.4)])
def test_whole_ticks_are_whole(low: float, high: float) -> None:
    assert all(tick == int(tick) for tick in Scale(low, high, 0, 1).ticks(whole=True))


def test_a_scale_maps_its_ends_and_holds_what_is_beyond() -> None:
    scale = Scale(10, 20, 100, 0)
    assert [scale(10), scale(15), scale(20), scale(99)] == [100, 50, 0, 0]


def test_a_scale_holds_all_finite_values() -> None:
    scale = scale_over([1.0, None, math.inf, 3.0, math.nan], start=0, end=100, pad=0.1)
    assert (scale.low, scale.high) == pytest.approx((0.8, 3.2))
    same = scale_over([0.1, 0.1], start=0, end=100)
    assert same.low < 0.1 < same.high
    assert scale_over([], start=0, end=1).high > 0


def test_tick_labels_tell_ticks_apart() -> None:
    assert (
        tick_labels([0.0, 0.25, 0.5]) == ["0.0", "0.2", "0.5"]
        or len(set(tick_labels([0.0, 0.25, 0.5]))) == 3
    )
    assert tick_labels([-0.002, 0.0, 0.002]) == ["\N{MINUS SIGN}0.002", "0.000", "0.002"]
    assert tick_labels([-10.0, 0.0]) == ["\N{MINUS SIGN}10", "0"]
    assert tick_labels([5.0]) == ["5"]


def test_what_is_written_is_not_markup() -> None:
    drawing = Drawing(100)
    drawing.text(0, 10, '</text><script>"&')
    root = ElementTree.fromstring(drawing.markup(alt='"><script>'))
    assert root.attrib["aria-label"] == '"><script>'
    assert [child.text for child in root] == ['</text><script>"&']


def test_every_look_of_the_palette_can_be_drawn() -> None:
    drawing = Drawing(100)
    for marker in (*MARKERS, "x"):
        drawing.mark(marker, 5, 5, size=3, kind="dot")
    assert len(ElementTree.fromstring(drawing.markup())) == len(MARKERS) + 1
    assert len({dash_of(style) for style in LINE_STYLES}) == len(LINE_STYLES)


def test_long_text_is_folded() -> None:
    drawing = Drawing(360)
    below = drawing.lines(0, 10, "word " * 30, width=200, leading=14)
    texts = [child.text or "" for child in ElementTree.fromstring(drawing.markup())]
    assert len(texts) > 1
    assert below == 10 + 14 * len(texts)
    assert " ".join(texts).split() == ["word"] * 30
    assert all(len(text) * 6.1 <= 200 for text in texts)
