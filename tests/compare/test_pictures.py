"""What the pictures of a comparison show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import layers, look, panel, panels, png_size, rows

from bninit.arms import arms_of
from bninit.show.charts import ORDERED, PLACEMENT_COLOURS
from bninit.verbs.compare.compare import Comparison, compare_arms
from bninit.verbs.compare.pictures import differences_chart, pictures, styles_of, times_chart

PRE = ("model.norm.placement=pre",)
ZEROS = ("model.init={scheme: zeros}",)


def climb(reaches: int | None) -> list[float]:
    return [0.8 if reaches is not None and epoch >= reaches else 0.1 for epoch in range(5)]


@pytest.fixture
def comparison(keep_run: Any) -> Comparison:
    rng = np.random.default_rng(0)
    runs = []
    for name, reached, accuracy, overrides in (
        ("none", (2, 3, 3, 4), 0.90, ()),
        ("pre", (1, 1, 2, 2), 0.93, PRE),
        ("zeros", (None, None, None, None), 0.10, ZEROS),
    ):
        for seed, epoch in enumerate(reached):
            test = accuracy + rng.normal(0, 0.003)
            runs.append(
                keep_run(name, climb(epoch), seed=seed, test_accuracy=test, overrides=overrides)
            )
    return compare_arms(arms_of(runs), targets=[0.8])


def test_curves_of_time_step_up_where_runs_got_there(comparison: Comparison) -> None:
    (times,) = panels(times_chart(comparison, styles=styles_of(comparison)))
    (line,) = layers(times, "line", interpolate="step-after")
    points = [[row["x"], row["y"]] for row in rows(line, arm="none")]
    assert points == [[0, 0], [2, 25], [3, 75], [4, 100], [4, 100]]
    assert {row["y"] for row in rows(line, arm="zeros")} == {0}
    assert look(line, "color", "none") == PLACEMENT_COLOURS["none"]
    assert look(line, "color", "pre") == PLACEMENT_COLOURS["pre"]
    widths = [float(look(line, "size", arm)) for arm in ("none", "pre", "zeros")]
    assert widths == sorted(set(widths), reverse=True)
    for said in ("none: all 4 reached it, median 3", "zeros: none of 4 reached it"):
        assert said in line["encoding"]["color"]["legend"]["labelExpr"]


def test_differences_have_dots_bars_numbers_and_arrows(comparison: Comparison) -> None:
    chart = differences_chart(comparison, styles=styles_of(comparison))
    accuracy = panel(chart, "Test accuracy")
    found, _ = [each for each in comparison.differences if each.metric.name == "test_accuracy"]
    estimate = found.estimate
    assert estimate.effect is not None
    assert estimate.low is not None
    assert estimate.high is not None
    (dots,) = layers(accuracy, "point", size=75)
    (dot, far) = dots["data"]["values"]
    assert dot["at"] == pytest.approx(100 * estimate.effect)
    assert dot["fill"] == dot["colour"] == PLACEMENT_COLOURS["pre"], "decided"
    (bars,) = layers(accuracy, "rule", strokeWidth=2.4)
    (bar,) = rows(bars, place=0)
    ends = (bar["low"], bar["high"])
    assert ends == pytest.approx((100 * estimate.low, 100 * estimate.high))
    low, high = dots["encoding"]["x"]["scale"]["domain"]
    assert -10 < low < 0 < high, "80 points worse do not squeeze the other"
    assert far["shape"] == "triangle-left"
    assert far["says"].startswith("-8"), "its number is still there"
    assert dots["encoding"]["x"]["title"].startswith("← worse")
    seconds = panel(chart, "Seconds per epoch")
    assert {row["fill"] for row in rows(layers(seconds, "point", size=75)[0])} == {"#FFFFFF"}
    epochs = panel(chart, "Epochs to 80 %")
    (arrow,) = rows(layers(epochs, "point", size=45)[0])
    assert (arrow["place"], arrow["shape"]) == (1, "triangle-right")
    assert "Arrow: or further" in " ".join(chart["title"]["text"])


def test_arms_of_one_number_have_an_ordered_palette(keep_run: Any) -> None:
    rates = (0.3, 0.1, 0.2)
    runs = [keep_run(f"lr{lr}", climb(1), overrides=[f"optim.lr={lr}"]) for lr in rates]
    styles = styles_of(compare_arms(arms_of(runs)))
    assert [style.colour for style in styles.values()] == [ORDERED[-1], ORDERED[0], ORDERED[3]]


def test_pictures_are_png_files(comparison: Comparison, keep_run: Any) -> None:
    found = pictures(comparison)
    assert list(found) == ["curves.png", "time_to_accuracy.png", "differences.png"]
    for content in found.values():
        width, height = png_size(content)
        assert min(width, height) > 300
        assert len(content) > 10_000, "not a blank page"
    runs = [keep_run("none", climb(1), seed=9), keep_run("pre", climb(1), seed=9, overrides=PRE)]
    assert list(pictures(compare_arms(arms_of(runs)))) == ["curves.png", "differences.png"]
