"""Pictures and tables of landscapes, on tables made by hand."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bninit.show.old_charts import assign_styles
from bninit.verbs.landscape.landscape import Landscape, LandscapeRun
from bninit.verbs.landscape.pictures import gradient_figure, lines_figure, pictures, planes_figure
from bninit.verbs.landscape.tables import csv_texts, json_text, number, print_landscape

SIDE = np.linspace(-1.0, 1.0, 5)


@pytest.fixture
def found() -> Landscape:
    runs = tuple(
        LandscapeRun(
            label=arm,
            arm=arm,
            arm_id="0" * 8,
            seed=3,
            placement=arm,
            learning_rate=0.1,
            replay_gap=0.0,
        )
        for arm in ("none", "pre")
    )
    labels = [run.label for run in runs]
    steps = pd.DataFrame({"label": np.repeat(labels, 2), "step": [1, 9] * 2})
    for column, values in {
        "shortest": [0.05] * 4,
        "longest": [0.4] * 4,
        "loss": [2.0, 0.5, 2.2, 0.1],
        "lowest_loss": [1.0, 0.3, 1.5, 0.05],
        "highest_loss": [math.inf, 0.6, 2.4, 0.2],
        "loss_range": [math.inf, 0.3, 0.9, 0.15],
        "gradient_change": [3.0, 1.0, 2.0, 0.5],
        "relative_gradient_change": [2.0, math.nan, 0.9, 0.4],
        "smoothness": [20.0, 10.0, 5.0, 1.0],
    }.items():
        steps[column] = values
    x, y = (axis.ravel() for axis in np.meshgrid(SIDE, SIDE, indexing="ij"))
    bowls = pd.concat(
        [
            pd.DataFrame({"label": one, "x": x, "y": y, "loss": scale * (0.01 + x**2 + y**2)})
            for one, scale in zip(labels, (1.0, 4.0), strict=True)
        ]
    )
    paths = pd.concat(
        [
            pd.DataFrame({"label": one, "epoch": [0, 1, 2], "x": [0.9, 0.4, 0.0], "y": [0.5, 0, 0]})
            for one in labels
        ]
    )
    lines = bowls[bowls["y"] == 0].rename(columns={"x": "position"}).assign(direction=1)
    return Landscape(
        runs=runs,
        settings={"lengths": None, "directions": 1},
        steps=steps,
        lines=lines,
        planes=bowls,
        trajectories=bowls,
        paths=paths,
        explained={"none": (0.8, 0.1), "pre": (0.7, 0.2)},
        notes=("A note.",),
    )


def test_a_picture_for_each_table_that_there_is(found: Landscape) -> None:
    names = ["gradient.png", "lines.png", "planes.png", "trajectories.png"]
    drawn = pictures(found)
    assert list(drawn) == names
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    nothing = replace(found, steps=None, lines=None, planes=None, trajectories=None)
    assert pictures(nothing) == {}


@pytest.mark.parametrize("trajectory", [False, True])
def test_planes_share_their_axes_and_their_colours(found: Landscape, trajectory: bool) -> None:
    figure = planes_figure(found, trajectory=trajectory)
    first, second, bar = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    scales = {tuple(axes.collections[0].norm.__dict__[k] for k in ("_vmin", "_vmax"))
              for axes in (first, second)}  # fmt: skip
    assert len(scales) == 1
    ((low, high),) = scales
    assert low <= 0.01
    assert high >= 4.0 * 2.01
    assert bar.get_ylabel() == "training loss (nats)"
    assert [axes.get_title(loc="left") for axes in (first, second)] == [
        "none (seed 3)",
        "pre (seed 3)",
    ]
    if trajectory:
        assert first.get_xlabel() == "1st principal component (80 % of variance)"
        assert second.get_ylabel() == "2nd principal component (20 %)"
        assert first.lines[1].get_xdata().tolist() == [0.9, 0.4, 0.0]


def test_what_is_infinite_does_not_squeeze_the_rest(found: Landscape) -> None:
    figure = gradient_figure(found, styles=assign_styles(["none", "pre"]))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "loss of the step's mini-batch (nats)",
        "highest minus lowest loss (nats)",
        "largest change / norm of the gradient",
        "largest change / distance moved",
    ]
    assert figure.axes[0].get_ylim()[1] < 4
    assert "1/2 to 4 learning rates" in figure.get_suptitle()
    lengths = replace(found, settings={"lengths": [0.05, 0.4], "directions": 1})
    figure = gradient_figure(lengths, styles=assign_styles(["none", "pre"]))
    assert "by 0.05 to 0.4 times it" in figure.get_suptitle()


def test_lines_have_the_arms_looks(found: Landscape) -> None:
    styles = assign_styles(["none", "pre"], placements={"none": "none", "pre": "pre"})
    axes = lines_figure(found, styles=styles).axes[0]
    assert [line.get_color() for line in axes.lines] == [s.colour for s in styles.values()]
    assert axes.lines[1].get_ydata()[2] == pytest.approx(0.04)


def test_tables_and_json(found: Landscape) -> None:
    out = io.StringIO()
    print_landscape(found, console=Console(file=out, width=100))
    told = out.getvalue()
    assert "median of 2 steps" in told
    assert "infinite" in told
    assert "80.0 %" in told
    assert told.rstrip().endswith("A note.")
    row = json.loads(json_text(found))["runs"][0]
    assert row["loss_range"] is None
    assert row["relative_gradient_change"] == 2.0
    assert set(csv_texts(found)) == {
        f"{name}.csv" for name in ("steps", "lines", "planes", "trajectories", "paths")
    }
    assert pd.read_csv(io.StringIO(csv_texts(found)["steps.csv"]))["loss_range"][0] == math.inf
    assert [number(value) for value in (None, math.nan, 0.012345, 1e-7)] == [
        "-", "-", "0.0123", "1e-07",
    ]  # fmt: skip


def test_nothing_but_json_is_printed_where_json_is_asked_for(found: Landscape) -> None:
    out = io.StringIO()
    print_landscape(found, as_json=True, console=Console(file=out, width=40))
    assert json.loads(out.getvalue()) == json.loads(json_text(found))
