"""Which points are evaluated: principal planes, grids, measured steps; and notes on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bninit.errors import UserError
from bninit.verbs.landscape.landscape import (
    RANDOM_WALK,
    LandscapeOptions,
    LandscapeRun,
    common_ranges,
    grid,
    measured_steps,
    notes_of,
    principal_plane,
)


def test_a_path_in_a_plane_is_all_seen() -> None:
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(50, 2)))[0].T
    own = np.array([[4.0, 0.5], [3.0, -1.0], [1.0, 1.0], [0.5, -0.5], [0.0, 0.0]])
    found = principal_plane(own @ basis + generator.normal(size=50))
    assert found.explained.sum() == pytest.approx(1.0)
    distances = np.linalg.norm(found.path[:, None] - found.path[None], axis=2)
    expected = np.linalg.norm(own[:, None] - own[None], axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-10)
    np.testing.assert_allclose(found.path[-1], 0.0, atol=1e-10)
    assert (found.path[0] > 0).all()


def test_it_is_the_singular_value_decomposition_of_the_centred_differences() -> None:
    snapshots = np.random.default_rng(1).normal(size=(7, 30)).cumsum(axis=0)
    found = principal_plane(snapshots)
    differences = snapshots[:-1] - snapshots[-1]
    _, singular, rows = np.linalg.svd(differences - differences.mean(axis=0))
    np.testing.assert_allclose(found.explained, (singular**2 / (singular**2).sum())[:2])
    for mine, theirs in zip(found.directions, rows, strict=False):
        assert abs(mine @ theirs) == pytest.approx(1.0)
    np.testing.assert_allclose(found.path, (snapshots - snapshots[-1]) @ found.directions.T)


def test_a_random_walk_explains_as_much_as_the_paper_says() -> None:
    walk = np.random.default_rng(2).normal(size=(200, 5_000)).cumsum(axis=0)
    assert principal_plane(walk).explained == pytest.approx(RANDOM_WALK, abs=0.02)


def test_too_short_a_path_and_one_on_a_line_are_refused() -> None:
    with pytest.raises(ValueError, match="needs 4 snapshots, not 3"):
        principal_plane(np.eye(3))
    with pytest.raises(ValueError, match="on a line"):
        principal_plane(np.outer(np.arange(5.0), np.ones(9)))


def test_measured_steps_are_spread_from_the_first_to_the_last() -> None:
    assert measured_steps(100, 4) == (1, 34, 67, 100)
    assert measured_steps(3, 30) == (1, 2, 3)
    assert measured_steps(50, 1) == (1,)


def test_grids_and_ranges() -> None:
    points = grid((-1.0, 1.0), (0.0, 4.0), resolution=3)
    assert points.tolist() == [[x, y] for x in (-1.0, 0.0, 1.0) for y in (0.0, 2.0, 4.0)]
    paths = [np.array([[0.0, 0.0], [10.0, 2.0]]), np.array([[-10.0, 1.0], [0.0, 0.0]])]
    assert common_ranges(paths, margin=0.1) == ((-12.0, 12.0), (-2.0, 4.0))


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("kinds", ("hills",), "--kind: unknown kind of landscape: 'hills'"),
        ("kinds", (), "--kind: no kind is named"),
        ("steps", 0, "--steps: invalid value: 0"),
        ("resolution", 4, "--resolution: invalid value: 4"),
        ("resolution", 203, "--resolution: invalid value: 203"),
        ("directions", 101, "--directions: invalid value: 101"),
        ("examples", 1, "--examples: invalid value: 1"),
        ("extent", math.nan, "--extent: invalid value: nan"),
        ("statistics", "mean", "--statistics: unknown statistics: 'mean'"),
        ("lengths", (), "--lengths: invalid step lengths: none"),
        ("lengths", (0.0, 0.1), "--lengths: invalid step lengths: 0, 0.1"),
        ("lengths", (0.2, 0.1), "--lengths: invalid step lengths: 0.2, 0.1"),
        ("lengths", (0.1, math.inf), "--lengths: invalid step lengths: 0.1, inf"),
        ("lengths", (math.nan,), "--lengths: invalid step lengths: nan"),
    ],
)
def test_invalid_options(option: str, value: Any, what: str) -> None:
    with pytest.raises(UserError) as caught:
        LandscapeOptions(**{option: value})
    assert str(caught.value).startswith(what)
    assert caught.value.hint


def test_notes_say_what_was_compared() -> None:
    def run(arm: str, seed: int, *, lr: float = 0.1, gap: float = 0.0) -> LandscapeRun:
        return LandscapeRun(
            label=f"{arm} seed {seed}",
            arm=arm,
            arm_id=arm,
            seed=seed,
            placement="pre",
            learning_rate=lr,
            replay_gap=gap,
        )

    told = " ".join(notes_of([run("a", 0), run("b", 0, lr=0.3, gap=0.25)], LandscapeOptions()))
    assert "These learning rates differ" in told
    assert "b seed 0: the replay differs by up to 0.25 nats" in told
    assert "a seed 0: the replay" not in told
    assert "normalized by the statistics of these examples" in told
    options = LandscapeOptions(lengths=(0.1,), kinds=("gradient",), statistics="running")
    told = " ".join(notes_of([run("a", 0), run("b", 0, lr=0.3)], options))
    assert told.startswith("A training that is further ahead")
    same = "Step lengths along the gradient are the same for all runs."
    assert told.endswith(same)
    assert list(notes_of([run("a", 0), run("a", 1)], options)) == [same]
