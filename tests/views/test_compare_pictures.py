"""What the pictures of a comparison show, read back from their artists."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from bninit.arms import arms_of
from bninit.show.old_charts import PLACEMENT_COLOURS
from bninit.verbs.compare.compare import Comparison, compare_arms
from bninit.verbs.compare.pictures import differences_figure, pictures, styles_of, times_figure

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


def axes_titled(axes: list[Axes], title: str) -> Axes:
    (found,) = [one for one in axes if one.get_title(loc="left") == title]
    return found


def test_curves_of_time_step_up_where_runs_got_there(comparison: Comparison) -> None:
    figure = times_figure(comparison, styles=styles_of(comparison))
    (axes,) = figure.axes
    none, pre, zeros = axes.get_lines()
    assert none.get_drawstyle() == "steps-post"
    points = np.asarray(none.get_data()).T.tolist()
    assert points == [[0, 0], [2, 25], [3, 75], [4, 100], [4, 100]]
    assert np.asarray(zeros.get_ydata()).max() == 0
    assert none.get_color() == PLACEMENT_COLOURS["none"]
    assert pre.get_color() == PLACEMENT_COLOURS["pre"]
    assert none.get_linewidth() > pre.get_linewidth() > zeros.get_linewidth()
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "none: all 4 reached it, median 3",
        "pre: all 4 reached it, median 1.5",
        "zeros: none of 4 reached it",
    ]


def test_dots_are_at_the_differences_and_filled_when_decided(comparison: Comparison) -> None:
    figure = differences_figure(comparison, styles=styles_of(comparison))
    axes = axes_titled(figure.axes, "Test accuracy")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["pre", "zeros"]
    (found, _) = comparison.differences_in("test_accuracy")
    estimate = found.estimate
    assert estimate.effect is not None
    assert estimate.low is not None
    assert estimate.high is not None
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert dots[0].get_xdata() == pytest.approx([100 * estimate.effect])
    assert dots[0].get_markerfacecolor() == PLACEMENT_COLOURS["pre"]
    bar = next(line for line in axes.get_lines() if np.array_equal(line.get_ydata(), [0, 0]))
    assert bar.get_xdata() == pytest.approx([100 * estimate.low, 100 * estimate.high])
    left, right = axes.get_xlim()
    assert left < 0 < right
    assert axes.get_xlabel().startswith("← worse")
    assert axes.get_xlabel().endswith("better →")


def test_an_arm_far_off_does_not_squeeze_the_others(comparison: Comparison) -> None:
    figure = differences_figure(comparison, styles=styles_of(comparison))
    axes = axes_titled(figure.axes, "Test accuracy")
    assert axes.get_xlim()[0] > -10, "zeros is 80 points worse"
    texts = [text.get_text() for text in axes.texts]
    assert "off the scale" in texts
    assert any(text.startswith("-8") for text in texts), "its number is still told"


def test_an_undecided_dot_is_hollow(comparison: Comparison) -> None:
    figure = differences_figure(comparison, styles=styles_of(comparison))
    axes = axes_titled(figure.axes, "Seconds per epoch")
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert {dot.get_markerfacecolor() for dot in dots} == {"white"}


def test_what_was_never_reached_points_further(comparison: Comparison) -> None:
    figure = differences_figure(comparison, styles=styles_of(comparison))
    axes = axes_titled(figure.axes, "Epochs to 80 %")
    (arrow,) = [line for line in axes.get_lines() if line.get_marker() == ">"]
    assert np.asarray(arrow.get_ydata()).tolist() == [1]
    assert "Arrow: or further" in figure.get_supxlabel()


def test_pictures_are_png_files(comparison: Comparison) -> None:
    found = pictures(comparison)
    assert list(found) == ["curves.png", "time_to_accuracy.png", "differences.png"]
    for content in found.values():
        image = imread(io.BytesIO(content))
        assert image.shape[0] > 300
        assert image.std() > 0.05, "not a blank page"


def test_without_targets_there_is_no_picture_of_times(keep_run: Any) -> None:
    runs = [keep_run("none", climb(1)), keep_run("pre", climb(1), overrides=PRE)]
    comparison = compare_arms(arms_of(runs))
    assert list(pictures(comparison)) == ["curves.png", "differences.png"]
