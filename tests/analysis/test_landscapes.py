"""What is made of measurements along gradients and of slices, on tables made by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bninit.verbs.landscape.landscape import (
    Landscape,
    LandscapeRun,
    LandscapeWish,
    arm_lines,
    arm_steps,
    common_ranges,
    grid,
    measured_steps,
    median,
    notes_of,
    summary_rows,
)


def run(arm: str, seed: int, *, lr: float = 0.1, gap: float | None = 0.0) -> LandscapeRun:
    return LandscapeRun(
        label=f"{arm} seed {seed}",
        arm=arm,
        arm_id=f"{arm:0<8}",
        seed=seed,
        placement="pre",
        learning_rate=lr,
        replay_gap=gap,
    )


def test_measured_steps_are_spread_from_the_first_to_the_last() -> None:
    assert measured_steps(100, 4) == (1, 34, 67, 100)
    assert measured_steps(3, 30) == (1, 2, 3)
    assert measured_steps(50, 1) == (1,)
    steps = measured_steps(270, 30)
    assert len(steps) == 30
    assert max(np.diff(steps)) - min(np.diff(steps)) <= 1


def test_a_median_passes_over_nothing_and_keeps_infinity() -> None:
    assert median([3.0, math.nan, 1.0]) == 2.0
    assert median([math.inf, 1.0, math.inf]) == math.inf
    assert median([math.inf, math.inf]) == math.inf
    assert median([math.nan]) is None
    assert median([]) is None


def test_a_grid_holds_every_pair_and_its_middle() -> None:
    points = grid((-1.0, 1.0), (0.0, 4.0), resolution=3)
    assert points.tolist() == [[x, y] for x in (-1.0, 0.0, 1.0) for y in (0.0, 2.0, 4.0)]


def test_common_ranges_hold_all_paths() -> None:
    paths = [
        pd.DataFrame({"x": [0.0, 10.0], "y": [0.0, 2.0]}),
        pd.DataFrame({"x": [-10.0, 0.0], "y": [1.0, 0.0]}),
    ]
    assert common_ranges(paths, margin=0.1) == ((-12.0, 12.0), (-2.0, 4.0))


def test_arms_are_put_together_over_seeds_and_directions() -> None:
    runs = (run("a", 0), run("a", 1), run("b", 0))
    steps = pd.DataFrame(
        {
            "label": ["a seed 0", "a seed 1", "b seed 0"],
            "step": [1, 1, 1],
            "loss_range": [1.0, 3.0, 5.0],
        }
    )
    lines = pd.DataFrame(
        {
            "label": ["a seed 0", "a seed 1", "a seed 1", "b seed 0"],
            "direction": [1, 1, 2, 1],
            "position": [0.5] * 4,
            "loss": [1.0, 2.0, 6.0, 9.0],
        }
    )
    found = Landscape(runs=runs, settings={}, steps=steps, lines=lines)
    medians = arm_steps(found)
    assert medians.set_index("arm")["loss_range"].to_dict() == {"a": 2.0, "b": 5.0}
    bands = arm_lines(found).set_index("arm")
    assert bands.loc["a", ["low", "median", "high"]].tolist() == [1.0, 2.0, 6.0]


def test_a_summary_takes_lines_at_the_distance_that_is_nearest() -> None:
    lines = pd.DataFrame(
        {
            "label": "a seed 0",
            "direction": [1] * 5 + [2] * 5,
            "position": [-0.8, -0.4, 0.0, 0.4, 0.8] * 2,
            "loss": [9.0, 2.0, 1.0, 3.0, 9.0, 9.0, 4.0, 1.0, 5.0, 9.0],
        }
    )
    (row,) = summary_rows(Landscape(runs=(run("a", 0),), settings={}, lines=lines))
    assert (row["loss_in_the_middle"], row["away"], row["loss_away"]) == (1.0, 0.4, 3.5)
    assert "loss_range" not in row


def test_notes_tell_what_was_compared() -> None:
    told = " ".join(notes_of([run("a", 0), run("b", 0, lr=0.3, gap=0.25)], LandscapeWish()))
    assert "These learning rates differ" in told
    assert "b seed 0: trained once more it was off by up to 0.25 nats" in told
    assert "a seed 0: trained" not in told
    assert "normalized by the statistics of these examples" in told
    wish = LandscapeWish(lengths=(0.1,), kinds=("gradient",), statistics="running")
    told = " ".join(notes_of([run("a", 0), run("b", 0, lr=0.3)], wish))
    assert told.startswith("A training that is further ahead")
    assert told.endswith("Step lengths along the gradient are the same for all runs.")
    alone = " ".join(notes_of([run("a", 0), run("a", 1)], wish))
    assert alone == "Step lengths along the gradient are the same for all runs."


@pytest.mark.parametrize("lengths", [(), (0.0, 0.1), (0.2, 0.1), (0.1, math.inf), (math.nan,)])
def test_lengths_that_are_none_are_refused(lengths: tuple[float, ...]) -> None:
    with pytest.raises(Exception, match="is no list of step lengths"):
        LandscapeWish(lengths=lengths).check()
