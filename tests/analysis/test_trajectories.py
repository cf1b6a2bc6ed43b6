"""Principal planes, against the singular values of numpy and against paths that are known."""

from __future__ import annotations

import numpy as np
import pytest

from bninit.verbs.landscape.landscape import RANDOM_WALK, principal_plane


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
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(2), atol=1e-10)


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
