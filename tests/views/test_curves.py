"""The picture of curves: what is in it, taken out of matplotlib's own objects."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bninit.errors import StoreError
from bninit.show.old_charts import BLUE, assign_styles, curves_figure, curves_png, draw_curves

NAN = math.nan
TARGETS = (0.95, 0.97, 0.98)


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


def seeds(*accuracies: float, **options: Any) -> pd.DataFrame:
    """Runs of one arm that end at these accuracies."""
    return pd.concat(
        [
            curve(seed=i, accuracies=(0.1, 0.92, 0.95, 0.96, last), **options)
            for i, last in enumerate(accuracies)
        ],
        ignore_index=True,
    )


def draw(rows: pd.DataFrame, **options: Any) -> tuple[Figure, Axes, Axes]:
    figure = curves_figure(rows, **{"targets": TARGETS, "title": "some title", **options})
    left, right = figure.axes
    return figure, left, right


def lines(axes: Axes, *, marker: str | None = None) -> list[Line2D]:
    """The data lines (guides have two points at 0 and 1), or the marks of one kind."""
    found = [line for line in axes.lines if list(line.get_xdata()) != [0, 1]]  # type: ignore[arg-type]
    return [line for line in found if (line.get_marker() == "x") == (marker == "x")]


def legend(figure: Figure) -> list[str]:
    (found,) = figure.legends
    return [t.get_text() for t in found.get_texts() if t.get_text().strip()]


def words(axes: Axes) -> str:
    return "\n".join(t.get_text() for t in axes.texts)


def test_one_seed_is_a_line_without_a_band() -> None:
    figure, left, right = draw(curve())
    (accuracy,) = lines(right)
    assert accuracy.get_xydata() == pytest.approx(
        np.array([[0, 10], [1, 92], [2, 95], [3, 97], [4, 97.5]])
    )
    training, validation = lines(left)
    assert list(training.get_ydata()) == [1.2, 0.2, 0.1, 0.05, 0.045]  # type: ignore[arg-type]
    assert list(validation.get_ydata()) == [2.4, 0.4, 0.2, 0.1, 0.09]  # type: ignore[arg-type]
    assert training.get_linestyle() != validation.get_linestyle()
    assert not left.collections
    assert not right.collections
    assert legend(figure) == ["validation, one seed", "training, one seed"]


def test_several_seeds_are_their_median_and_a_band_from_lowest_to_highest() -> None:
    figure, _, right = draw(seeds(0.97, 0.975, 0.985))
    (accuracy,) = lines(right)
    assert accuracy.get_ydata()[-1] == pytest.approx(97.5)  # type: ignore[index]
    (area,) = right.collections
    (path,) = area.get_paths()
    assert path.vertices is not None
    ends = [y for x, y in np.asarray(path.vertices) if x == 4]
    assert (min(ends), max(ends)) == (pytest.approx(97), pytest.approx(98.5))
    assert legend(figure) == [
        "validation, median of 3 seeds",
        "training, median of 3 seeds",
        "lowest to highest seed",
    ]


def test_targets_are_lines_with_labels() -> None:
    _, _, right = draw(curve())
    heights = [float(x.get_ydata()[0]) for x in right.lines if list(x.get_xdata()) == [0, 1]]  # type: ignore[index, arg-type]
    assert heights == pytest.approx([95, 97, 98])
    for target in ("target 95 %", "target 97 %", "target 98 %"):
        assert target in words(right)


def test_what_a_zoomed_axis_hides_is_told() -> None:
    _, _, right = draw(curve())
    assert right.get_ylim()[0] == 90
    assert "Axis begins at 90 %" in words(right)
    assert "epoch 0 (10.0 %)" in words(right)


def test_an_axis_from_zero_shows_what_guessing_gives() -> None:
    _, left, right = draw(curve(losses=[math.log(10)] * 5, accuracies=[0.1135] * 5))
    assert right.get_ylim()[0] == 0
    assert "Axis begins" not in words(right)
    assert "guessing" in words(right)
    assert "guessing" in words(left)
    assert left.get_yscale() == "linear"
    assert left.get_ylim()[0] == 0


def test_losses_over_decades_get_a_logarithmic_axis_and_it_is_said() -> None:
    _, left, _ = draw(curve())
    assert left.get_yscale() == "log"
    assert "log scale" in left.get_ylabel()
    assert "nats" in left.get_ylabel()


def test_a_diverged_seed_has_a_cross_at_its_last_finite_epoch_and_leaves_the_band() -> None:
    lost = curve(seed=1, losses=(2.4, 0.9, NAN), accuracies=(0.1, 0.8, 0.098))
    figure, left, right = draw(pd.concat([curve(), lost], ignore_index=True))
    (cross,) = lines(right, marker="x")
    assert cross.get_xydata() == pytest.approx(np.array([[1, 90]]), abs=0.1)
    (cross,) = lines(left, marker="x")
    assert cross.get_xydata() == pytest.approx(np.array([[1, 0.9]]))
    (accuracy,) = lines(right)
    assert accuracy.get_ydata() == pytest.approx([10, 86, 95, 97, 97.5])
    assert "diverged after this epoch: 1 of 2" in legend(figure)


def test_a_cross_off_the_axis_is_drawn_at_its_edge() -> None:
    lost = curve(seed=1, losses=(2.4, 1e20, NAN), accuracies=(0.1, 0.1, 0.1))
    _, left, _ = draw(pd.concat([curve(), lost], ignore_index=True))
    (cross,) = lines(left, marker="x")
    assert cross.get_ydata()[0] == left.get_ylim()[1] < 1e5  # type: ignore[index]


def test_arms_are_told_apart_by_colour_marker_and_legend() -> None:
    rows = pd.concat(
        [curve(name=n, arm=a) for n, a in (("a", "1" * 8), ("b", "2" * 8), ("b", "3" * 8))]
    )
    figure, left, right = draw(rows.reset_index(drop=True))
    assert len(lines(right)) == 3
    assert len({line.get_color() for line in lines(right)}) == 3
    assert len({line.get_marker() for line in lines(right)}) == 3
    assert [x.get_color() for x in lines(left)[::2]] == [x.get_color() for x in lines(right)]
    assert set(legend(figure)) >= {"a (1 seed)", "b-22222222 (1 seed)", "b-33333333 (1 seed)"}


def test_given_looks_are_used() -> None:
    _, _, right = draw(curve(), styles=assign_styles(["bn-pre"], placements={"bn-pre": "pre"}))
    assert lines(right)[0].get_color() == BLUE


def test_the_title_is_words_and_never_a_formula() -> None:
    figure, _, _ = draw(curve(), title="costs $5 and $6 " * 20)
    (title,) = [t for t in figure.texts if "costs" in t.get_text()]
    assert title.get_text().count("$") == 40
    assert max(map(len, title.get_text().split("\n"))) <= 100
    assert curves_png(curve(), targets=TARGETS, title="costs $5 and $6")


ODD = {
    "all diverged at once": pd.concat(
        [curve(seed=i, losses=(2.4, NAN), accuracies=(0.1, 0.1)) for i in range(3)],
        ignore_index=True,
    ),
    "never finite": curve(losses=(NAN,), accuracies=(0.1,)),
    "no rows": curve()[:0],
    "one epoch": curve(losses=(2.4, 0.3), accuracies=(0.1, 0.9)),
    "300 epochs": curve(losses=[0.1] * 301, accuracies=[0.97] * 301),
    "perfect": curve(losses=(2.4, 0.0, 0.0), accuracies=(0.1, 1.0, 1.0)),
    "unfinished seed": pd.concat([curve(), curve(seed=1)[:2]], ignore_index=True),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_cases_are_drawn(case: str, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_curves(ODD[case], targets=TARGETS, title=case, path=path)
    image = matplotlib.image.imread(path)
    height, width = image.shape[:2]
    assert (width, height) == (1575, 735)
    assert image.std() > 0.01


def test_a_picture_without_any_finite_loss_says_so() -> None:
    _, left, right = draw(ODD["never finite"])
    assert "nothing finite" in words(left)
    assert "nothing finite" in words(right)


def test_only_the_picture_is_left_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_curves(curve(), targets=TARGETS, title="t", path=path)
    before = path.read_bytes()
    draw_curves(curve(), targets=TARGETS, title="t", path=path)
    assert [each.name for each in tmp_path.iterdir()] == ["curves.png"]
    assert path.read_bytes() == before


def test_a_folder_that_is_gone_is_an_error_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        draw_curves(curve(), targets=TARGETS, title="t", path=tmp_path / "gone" / "curves.png")


def test_the_callers_settings_neither_show_nor_change() -> None:
    plain = curves_png(curve(), targets=TARGETS, title="t")
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30}):
        before = dict(mpl.rcParams)
        assert curves_png(curve(), targets=TARGETS, title="t") == plain
        assert dict(mpl.rcParams) == before


def test_drawing_leaves_pyplot_and_its_figures_alone() -> None:
    code = (
        "import sys, pandas as pd\n"
        "from bninit.show.old_charts import curves_png\n"
        "row = dict(name='a', arm='b', seed=0, epoch=0, train_loss=1., val_loss=1., "
        "val_accuracy=.5)\n"
        "curves_png(pd.DataFrame([row]), targets=[.9], title='t')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
