"""Charts: axes that show what matters, curves, intervals, maps, and what is rendered of them."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from drawn import layers, look, panels, png_size, rows
from hypothesis import given
from hypothesis import strategies as st

from bninit.show import charts
from bninit.show.charts import BLUE, Axis, arm_styles, curves, loss_axis, spread_apart

NAN = math.nan
TARGETS = (0.95, 0.97, 0.98)


@given(st.lists(st.floats(1e-9, 1e4), min_size=1))
def test_all_losses_lie_within_the_axis(losses: list[float]) -> None:
    axis = loss_axis(losses, title="loss")
    low, high = axis.ends
    assert low <= min(losses)
    assert max(losses) <= high
    assert axis.log == (max(losses) / min(losses) >= 10)
    assert low > 0 if axis.log else low == 0


def test_losses_beyond_all_bounds_and_none_at_all_have_an_axis() -> None:
    assert loss_axis([0.1, 2.3, 1e30], title="").ends[1] < 1e5, "does not squeeze the others"
    low, high = loss_axis([1e30, 2e30], title="").ends
    assert low < 1e30 < high < math.inf
    assert loss_axis([], title="").ends == loss_axis([0.0], title="").ends == (0.0, 1.0)


def band(*lows: float, arm: str = "a") -> pd.DataFrame:
    fractions = [low / 100 for low in lows]
    return pd.DataFrame({"name": arm, "arm": arm, "epoch": range(len(lows)), "low": fractions})


@pytest.mark.parametrize(
    ("lows", "targets", "bottom"),
    [
        ((10, 90, 96, 97, 97.5), (0.95, 0.98), 90),
        ((10, 90, 97, 98, 98.2), (0.98,), 95),
        ((10, 90, 97, 98, 98.2), (0.5, 0.98), 0),
        ((10, 30, 60, 70, 75), (), 50),
        ((11, 11, 11, 11, 11), (0.95,), 0),
        ((10, 97, 98), (0.97,), 0),
    ],
)
def test_an_accuracy_axis_begins_below_the_later_half_and_the_targets(
    lows: tuple[float, ...], targets: tuple[float, ...], bottom: float
) -> None:
    assert charts.accuracy_bottom(band(*lows), targets=targets) == bottom
    both = pd.concat([band(*lows), band(10, 20, 30, 40, 40, arm="worst")])
    assert charts.accuracy_bottom(both, targets=targets) == 0


@given(st.lists(st.floats(0, 1), max_size=12).map(sorted))
def test_labels_are_pushed_apart_and_keep_their_order(places: list[float]) -> None:
    found = spread_apart(places, distance=0.05)
    assert len(found) == len(places)
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(found))


def test_labels_that_do_not_touch_stay_and_those_that_do_are_centred() -> None:
    found = spread_apart([0.1, 0.5, 0.5], distance=0.052)
    assert found == pytest.approx([0.1, 0.474, 0.526])
    assert spread_apart([0.1, 0.3], distance=0.2) == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.03, 3, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (1e-3, 10, [1e-3, 1e-2, 0.1, 1, 10]),
        (1e-20, 1, [1e-20, 1e-18, 1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1]),
    ],
)
def test_a_logarithmic_axis_has_few_plain_ticks(low: float, high: float, ticks: Any) -> None:
    assert charts.log_ticks(low, high) == ticks


def line_rows(*ys: float | None, low: float = 0.0, high: float = 0.0) -> list[dict[str, Any]]:
    ends = [(None, None) if y is None else (y - low, y + high) for y in ys]
    return [
        {"arm": "a", "x": x, "y": y, "low": ends[x][0], "high": ends[x][1]}
        for x, y in enumerate(ys)
    ]


def test_what_has_no_place_on_an_axis_is_left_out() -> None:
    found = charts.lines(
        line_rows(1.0, 0.0, None, NAN, -1.0, 10.0),
        x=Axis(),
        y=Axis(log=True),
        styles=arm_styles(["a"]),
    )
    (points,) = layers(found, "point")
    assert [row["x"] for row in rows(points)] == [0, 5]
    empty = charts.lines([], x=Axis(), y=Axis(log=True), styles=arm_styles(["a"]))
    assert layers(empty, "text", text="no finite values")
    assert charts.png(empty)


def test_lines_and_bands_end_where_they_cross_the_axis() -> None:
    """From 0 to 100 over an axis from 50: the line enters in the middle."""
    found = charts.lines(
        line_rows(0.0, 100.0, low=10, high=10),
        x=Axis(),
        y=Axis(low=50, high=120),
        styles=arm_styles(["a"]),
    )
    (line,) = layers(found, "line")
    places = [(row["x"], row["y"]) for row in rows(line) if row["y"] is not None]
    assert [x for x, _ in places] == pytest.approx([0.5, 0.6, 1])
    assert [y for _, y in places] == pytest.approx([50, 60, 100])
    (area,) = layers(found, "area")
    assert all(50 <= row[end] <= 120 for row in rows(area) for end in ("low", "high"))
    enters = [row["x"] for row in rows(area) if row["high"] == 50]
    assert max(enters) == pytest.approx(0.4)
    assert [row["x"] for row in rows(layers(found, "point")[0])] == [1]


def curve(
    *,
    seed: int = 0,
    name: str = "bn-pre",
    arm: str = "0123abcd",
    losses: Sequence[float] = (2.4, 0.4, 0.2, 0.1, 0.09),
    accuracies: Sequence[float] = (0.1, 0.92, 0.95, 0.97, 0.975),
) -> pd.DataFrame:
    """One run; the training loss is half the validation loss."""
    return pd.DataFrame(
        {
            "name": name,
            "arm": arm,
            "seed": seed,
            "status": "done" if all(map(math.isfinite, losses)) else "diverged",
            "epoch": range(len(losses)),
            "train_loss": [loss / 2 for loss in losses],
            "val_loss": list(losses),
            "train_accuracy": list(accuracies),
            "val_accuracy": list(accuracies),
        }
    )


def draw(table: pd.DataFrame, **options: Any) -> tuple[dict[str, Any], dict[str, Any], str]:
    chart = curves(table, **{"targets": TARGETS, "title": "some title", **options})
    left, right = panels(chart)
    return left, right, " ".join(chart["title"]["text"])


def heights(chart: dict[str, Any]) -> dict[str, float]:
    """The guides of a panel."""
    return {row["says"]: row["y"] for layer in layers(chart, "text") for row in rows(layer)}


def test_one_seed_is_a_line_without_a_band() -> None:
    left, right, note = draw(curve())
    accuracy, crosses = layers(right, "point")
    assert [row["x"] for row in rows(accuracy)] == [1, 2, 3, 4]
    assert [row["y"] for row in rows(accuracy)] == pytest.approx([92, 95, 97, 97.5])
    assert not rows(crosses)
    training, validation = layers(left, "line")
    assert [row["y"] for row in rows(training)] == pytest.approx([1.2, 0.2, 0.1, 0.05, 0.045])
    assert [row["y"] for row in rows(validation)] == pytest.approx([2.4, 0.4, 0.2, 0.1, 0.09])
    assert training["mark"]["strokeDash"] != validation["mark"]["strokeDash"]
    assert not layers(left, "area") + layers(right, "area")
    assert "Bands" not in note
    guides = {"target 95 %": 95, "target 97 %": 97, "target 98 %": 98}
    assert heights(right) == pytest.approx(guides)
    assert "The axis begins at 90 %. Below it: epoch 0 (from 10.0 %)." in note
    scale = left["layer"][0]["encoding"]["y"]["scale"]
    assert scale["type"] == "log"
    assert left["layer"][0]["encoding"]["y"]["title"].endswith("(nats, log scale)")


def test_several_seeds_are_their_median_and_a_band_from_lowest_to_highest() -> None:
    seeds = [
        curve(seed=i, accuracies=(0.1, 0.92, 0.95, 0.96, last))
        for i, last in enumerate((0.97, 0.975, 0.985))
    ]
    _, right, note = draw(pd.concat(seeds, ignore_index=True))
    (area,) = layers(right, "area")
    (end,) = rows(area, x=4)
    assert (end["low"], end["y"], end["high"]) == pytest.approx((97, 97.5, 98.5))
    assert "Bands: lowest to highest seed." in note


def test_an_axis_from_zero_shows_what_guessing_gives() -> None:
    left, right, note = draw(curve(losses=[math.log(10)] * 5, accuracies=[0.1135] * 5))
    assert heights(right)["guessing"] == 10
    assert heights(left) == pytest.approx({"guessing": math.log(10)})
    for chart in (left, right):
        assert chart["layer"][0]["encoding"]["y"]["scale"]["domain"][0] == 0
    assert "axis begins" not in note


def test_a_diverged_seed_has_a_cross_at_its_last_finite_epoch_and_leaves_the_band() -> None:
    lost = curve(seed=1, losses=(2.4, 0.9, NAN), accuracies=(0.1, 0.8, 0.098))
    left, right, note = draw(pd.concat([curve(), lost], ignore_index=True))
    for chart, height in ((left, 0.9), (right, 90)):
        (cross,) = rows(layers(chart, "point", shape=charts.CROSS)[0])
        assert (cross["x"], cross["y"]) == (1, height), "at the edge where it lies beyond"
    (line,) = layers(right, "line")
    inside = {row["x"]: row["y"] for row in rows(line)}
    assert inside[2] == pytest.approx(95)
    assert "Cross: diverged after this epoch (1 of 2)." in note


def test_arms_are_told_apart_by_colour_shape_and_legend() -> None:
    names = (("a", "1" * 8), ("b", "2" * 8), ("b", "3" * 8))
    table = pd.concat([curve(name=n, arm=a) for n, a in names]).reset_index(drop=True)
    left, right, _ = draw(table)
    labels = ("a", "b-22222222", "b-33333333")
    for chart in (left, right):
        points = next(each for each in layers(chart, "point") if "shape" in each["encoding"])
        assert len({look(points, "color", label) for label in labels}) == 3
        assert len({look(points, "shape", label) for label in labels}) == 3
        legend = points["encoding"]["color"]["legend"]["labelExpr"]
        assert all(f"{label} (1 seed)" in legend for label in labels)
    given = arm_styles(["bn-pre"], placements={"bn-pre": "pre"})
    _, right, _ = draw(curve(), styles=given)
    assert look(layers(right, "line")[0], "color", "bn-pre") == BLUE


ODD = {
    "all diverged at once": pd.concat(
        [curve(seed=i, losses=(2.4, NAN), accuracies=(0.1, 0.1)) for i in range(3)],
        ignore_index=True,
    ),
    "never finite": curve(losses=(NAN,), accuracies=(0.1,)),
    "no rows": curve()[:0],
    "300 epochs": curve(losses=[0.1] * 301, accuracies=[0.97] * 301),
    "perfect": curve(losses=(2.4, 0.0, 0.0), accuracies=(0.1, 1.0, 1.0)),
    "on its way to infinity": curve(losses=(2.4, 1e20, NAN), accuracies=(0.1, 0.1, 0.1)),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_cases_are_drawn(case: str) -> None:
    content = charts.png(curves(ODD[case], targets=TARGETS, title="costs $5 and $6 " * 20))
    width, height = png_size(content)
    assert width > 1500
    assert height > 700
    assert len(content) > 10_000


def test_a_picture_is_the_same_each_time_and_an_svg_fits_its_page() -> None:
    chart = curves(curve(), targets=TARGETS, title="<b>title</b> & more")
    assert charts.png(chart) == charts.png(chart)
    drawn = charts.svg(chart, alt='in "words" & <more>')
    assert drawn == charts.svg(chart, alt='in "words" & <more>')
    root = ET.fromstring(drawn)
    assert root.get("aria-label") == 'in "words" & <more>'
    assert root.get("width") is None
    assert root.get("viewBox")
    assert "var(--c0, #000000)" in drawn
    assert "var(--ink, " in drawn
    assert "<b>" not in drawn
    other = charts.svg(curves(curve(name="b"), targets=TARGETS, title="b"))
    ids = [
        {each.get("id") for each in ET.fromstring(one).iter()} - {None} for one in (drawn, other)
    ]
    assert not ids[0] & ids[1], "two pictures on a page do not take each other's clips"


def test_open_and_distant_intervals_point_to_where_they_go() -> None:
    found = charts.intervals(
        [
            {"label": "a", "colour": BLUE, "value": 1.0, "low": 0.5, "high": None},
            {"label": "b", "colour": BLUE, "value": -1.0, "low": -2.0, "high": 0.5, "open": "low"},
            {"label": "c", "colour": BLUE, "value": 500.0, "low": 400.0, "high": 600.0},
            {"label": "d", "colour": BLUE, "says": "no number"},
        ],
        x=Axis(title="difference"),
    )
    (arrows,) = layers(found, "point", size=45)
    assert [(row["place"], row["shape"]) for row in rows(arrows)] == [
        (0, "triangle-right"),
        (1, "triangle-left"),
    ]
    (dots,) = layers(found, "point", size=75)
    assert [row["at"] for row in rows(dots)] == [1.0, -1.0, 2.0]
    assert [
        row["place"] for row in rows(layers(found, "text", text="off the scale", align="right")[0])
    ] == [2]
    (says,) = [each for each in layers(found, "text") if "text" in each["encoding"]]
    assert [row["says"] for row in rows(says)] == ["no number"]
    assert charts.png(found)


def test_maps_share_one_scale_and_are_grey_where_nothing_is() -> None:
    table = [
        {
            "panel": panel,
            "x": x,
            "y": y,
            "value": None if x == y else 10.0 ** (x + 3 * (panel == "b")),
        }
        for panel in "ab"
        for x in range(3)
        for y in (2, 1, 0)
    ]
    options: dict[str, Any] = {"x_title": "step", "y_title": "layer", "unit": "SD", "log": True}
    drawn = charts.heat_maps(table, panels={"a": "A\nmean", "b": "B"}, **options)
    assert [chart["title"] for chart in drawn] == [["A", "mean"], ["B"]]
    domains = []
    for chart in drawn:
        ground, cells = layers(chart, "rect")
        assert (len(rows(ground)), len(rows(cells))) == (9, 6)
        domains.append(cells["encoding"]["color"]["scale"]["domain"])
        assert cells["encoding"]["y"]["scale"]["domain"] == [0, 1, 2]
    assert domains == [[1.0, 1e5]] * 2
    assert charts.png(charts.page(drawn, title="t", note="n"))
