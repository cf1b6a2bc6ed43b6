"""From a tidy table to paired cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bninit.errors import UserError
from bninit.stats import pair_by_seed


def runs(
    placement: str, seeds: list[int], *, schemes: str = "ab", lrs: tuple[float, ...] = (0.1,)
) -> pd.DataFrame:
    rows = [
        {"placement": placement, "seed": seed, "scheme": scheme, "lr": lr,
         "hidden": [8, 8], "accuracy": seed + 10 * ord(scheme) + 1000 * lr}
        for seed in seeds for scheme in schemes for lr in lrs
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_sides_meet_on_common_seeds_and_cells() -> None:
    left, right = runs("pre", [0, 1, 2]), runs("none", [2, 1, 3])
    paired = pair_by_seed(left, right, value="accuracy", axes=["scheme", "lr"])
    assert paired.seeds == (1, 2)
    assert paired.num_lost == 2
    assert paired.cells == (("a", 0.1), ("b", 0.1))
    assert paired.left.shape == (2, 2)
    assert paired.right is not None
    np.testing.assert_array_equal(paired.left, paired.right)
    assert paired.left[1, 0] == 2 + 970 + 100


def test_levels_of_the_measured_axis_get_an_axis_of_their_own() -> None:
    left = runs("pre", [0, 1], schemes="cab", lrs=(0.1, 0.01))
    right = runs("none", [0, 1], schemes="abc", lrs=(0.01, 0.1, 1.0))
    paired = pair_by_seed(left, right, value="accuracy", axes=["lr"], over="scheme")
    assert paired.left.shape == (2, 2, 3)
    assert (paired.cells, paired.levels) == (((0.01,), (0.1,)), ("a", "b", "c"))
    assert paired.num_cells_left_out == 3
    np.testing.assert_allclose(paired.left[1, 1], 1 + 10 * np.array([97, 98, 99]) + 100)


def test_a_setting_without_every_level_is_left_out() -> None:
    left = runs("pre", [0, 1], lrs=(0.1, 0.01))
    left = left[~((left.lr == 0.01) & (left.scheme == "b"))]
    paired = pair_by_seed(left, value="accuracy", axes=["lr"], over="scheme")
    assert (paired.cells, paired.num_cells_left_out, paired.right) == (((0.1,),), 1, None)


def test_a_missing_run_costs_its_seed_and_a_nan_does_not() -> None:
    left, right = runs("pre", [0, 1, 2]), runs("none", [0, 1, 2])
    left.loc[(left.seed == 2) & (left.scheme == "a"), "accuracy"] = np.nan
    right = right[~((right.seed == 1) & (right.scheme == "b"))]
    paired = pair_by_seed(left, right, value="accuracy", axes=["scheme"])
    assert (paired.seeds, paired.num_lost) == ((0, 2), 1)
    assert np.isnan(paired.left).tolist() == [[False, False], [True, False]]


def test_settings_that_are_lists_can_be_paired() -> None:
    paired = pair_by_seed(runs("pre", [0]), value="accuracy", axes=["hidden", "scheme"])
    assert paired.cells == (((8, 8), "a"), ((8, 8), "b"))


def test_settings_that_cannot_be_sorted_stay_as_found() -> None:
    left = runs("pre", [0])
    left["lr"] = [None if scheme == "a" else 0.1 for scheme in left.scheme]
    left["lr"] = left["lr"].astype(object).where(left.scheme == "b", "none")
    assert len(pair_by_seed(left, value="accuracy", axes=["lr"]).cells) == 2


def test_two_runs_in_one_cell_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"left side has two runs with seed 0") as caught:
        pair_by_seed(runs("pre", [0]), value="accuracy", axes=["lr"])
    assert "lr=0.1" in str(caught.value)
    assert "narrow the side down" in str(caught.value)


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UserError, match="no setting in common") as caught:
        pair_by_seed(
            runs("pre", [0]), runs("none", [0], schemes="c"), value="accuracy", axes=["scheme"]
        )
    assert "scheme" in str(caught.value)
    with pytest.raises(UserError, match="right side has no runs"):
        pair_by_seed(runs("pre", [0]), runs("none", []), value="accuracy", axes=["scheme"])
