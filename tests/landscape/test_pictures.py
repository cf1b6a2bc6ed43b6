"""Pictures, tables and JSON of a landscape made by hand."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bninit.verbs.landscape.landscape import Landscape, LandscapeRun
from bninit.verbs.landscape.pictures import (
    arm_lines,
    arm_steps,
    gradient_chart,
    lines_chart,
    pictures,
    planes_chart,
    trajectories_chart,
)
from bninit.verbs.landscape.tables import csv_texts, landscape_json, print_landscape, summary_rows

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
    path = {"epoch": [0, 1, 2], "x": [0.9, 0.4, 0.0], "y": [0.5, 0, 0]}
    return Landscape(
        runs=runs,
        settings={"lengths": None, "directions": 1},
        tables={
            "steps": steps,
            "lines": bowls[bowls["y"] == 0].rename(columns={"x": "position"}).assign(direction=1),
            "planes": bowls,
            "trajectories": bowls,
            "paths": pd.concat([pd.DataFrame({"label": one, **path}) for one in labels]),
        },
        explained={"none": (0.8, 0.1), "pre": (0.7, 0.2)},
        notes=("A note.",),
    )


def _panels(chart: dict[str, Any]) -> list[dict[str, Any]]:
    return list(chart["vconcat"][0]["concat"])


def _y(panel: dict[str, Any]) -> dict[str, Any]:
    (axis,) = (
        layer["encoding"]["y"] for layer in panel["layer"] if layer["mark"]["type"] == "line"
    )
    return dict(axis)


def test_a_picture_for_each_table(found: Landscape) -> None:
    drawn = pictures(found)
    assert list(drawn) == ["gradient.png", "lines.png", "planes.png", "trajectories.png"]
    assert all(content.startswith(b"\x89PNG") for content in drawn.values())
    assert (
        list(pictures(replace(found, tables={"steps": found.tables["steps"]}))) == list(drawn)[:1]
    )


@pytest.mark.parametrize("draw", [planes_chart, trajectories_chart])
def test_planes_share_their_axes_and_their_colours(found: Landscape, draw: Any) -> None:
    panels = _panels(draw(found))
    assert [panel["title"] for panel in panels] == [["none (seed 3)"], ["pre (seed 3)"]]
    areas = [panel["layer"][0]["encoding"] for panel in panels]
    assert areas[0]["fill"]["scale"] == areas[1]["fill"]["scale"]
    assert areas[0]["fill"]["legend"]["title"] == "training loss (nats)"
    low, high = areas[0]["fill"]["scale"]["domain"]
    assert low <= 0.01
    assert high >= 4.0 * 2.01
    for axis in ("x", "y"):
        assert areas[0][axis]["scale"] == areas[1][axis]["scale"]
    if draw is trajectories_chart:
        assert areas[0]["x"]["title"] == "1st principal component (80 % of variance)"
        assert areas[1]["y"]["title"] == "2nd component (20 %)"
        path = panels[0]["layer"][3]["data"]["values"]
        assert [row["x"] for row in path] == [0.9, 0.4, 0.0]


def test_bands_fill_the_plane_once(found: Landscape) -> None:
    """Rings are closed polygons with holes: their areas add up to that of the plane."""
    rows = _panels(planes_chart(found))[1]["layer"][0]["data"]["values"]
    rings: dict[int, list[tuple[float, float]]] = {}
    for row in rows:
        rings.setdefault(row["ring"], []).append((row["x"], row["y"]))
    assert len(rings) > 4
    areas = []
    for points in rings.values():
        x, y = np.array(points).T
        areas.append(0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))
    assert sum(areas) == pytest.approx(4.0)
    middle = next(row for row in rows if max(abs(row["x"]), abs(row["y"])) < 0.2)
    assert middle["loss"] < 0.1, "the network lies in the lowest band"


def test_what_is_infinite_does_not_squeeze_the_rest(found: Landscape) -> None:
    chart = gradient_chart(found)
    axes = [_y(panel) for panel in _panels(chart)]
    assert [axis["title"] for axis in axes] == [
        "loss of the mini-batch (nats)",
        "highest minus lowest loss (nats)",
        "largest change / norm of the gradient",
        "largest change / distance moved",
    ]
    assert axes[0]["scale"]["domain"][1] < 4
    assert "1/2 to 4 learning rates" in str(chart)
    lengths = replace(found, settings={"lengths": [0.05, 0.4], "directions": 1})
    assert "by 0.05 to 0.4" in str(gradient_chart(lengths))


def test_arms_are_put_together_over_seeds_and_directions(found: Landscape) -> None:
    runs = (found.runs[0], replace(found.runs[1], arm="none"))
    together = replace(found, runs=runs)
    assert arm_steps(together)["smoothness"].tolist() == [12.5, 5.5]
    bands = arm_lines(together).set_index("position")
    assert bands.loc[1.0, ["low", "median", "high"]].tolist() == [1.01, 2.525, 4.04]
    (panel,) = _panels(lines_chart(found))
    colours = panel["layer"][0]["encoding"]["color"]["scale"]
    assert dict(zip(colours["domain"], colours["range"], strict=True)) == {
        "none": "#000000",
        "pre": "#0072B2",
    }


def test_a_summary_takes_lines_at_the_nearest_distance(found: Landscape) -> None:
    lines = pd.DataFrame(
        {
            "label": "none",
            "direction": [1] * 5 + [2] * 5,
            "position": [-0.8, -0.4, 0.0, 0.4, 0.8] * 2,
            "loss": [9.0, 2.0, 1.0, 3.0, 9.0, 9.0, 4.0, 1.0, 5.0, 9.0],
        }
    )
    (row,) = summary_rows(replace(found, runs=found.runs[:1], tables={"lines": lines}))
    assert (row["loss_in_the_middle"], row["away"], row["loss_away"]) == (1.0, 0.4, 3.5)
    assert "loss_range" not in row


def test_tables_and_json(found: Landscape) -> None:
    out = io.StringIO()
    print_landscape(found, console=Console(file=out, width=100))
    told = out.getvalue()
    assert "median of 2 training steps" in told
    assert "infinite" in told
    assert "80.0 %" in told
    assert told.rstrip().endswith("A note.")
    row = json.loads(landscape_json(found))["runs"][0]
    assert row["loss_range"] is None
    assert row["relative_gradient_change"] == 2.0
    texts = csv_texts(found)
    assert set(texts) == {
        f"{name}.csv" for name in ("steps", "lines", "planes", "trajectories", "paths")
    }
    assert pd.read_csv(io.StringIO(texts["steps.csv"]))["loss_range"][0] == math.inf
    out = io.StringIO()
    print_landscape(found, as_json=True, console=Console(file=out, width=40))
    assert out.getvalue() == landscape_json(found)
