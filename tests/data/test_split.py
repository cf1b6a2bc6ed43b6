"""The fixed permutations: pinned, since every recorded result rests on them."""

from __future__ import annotations

import numpy as np
import pytest

from bninit.data.files import balanced_test_rows, permutation, validation_split


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_every_number_occurs_once(size: int) -> None:
    assert sorted(permutation(size, stream="a")) == list(range(size))


def test_names_give_unrelated_permutations_and_the_same_name_the_same() -> None:
    one, again, other = (permutation(1000, stream=name) for name in ("a", "a", "b"))
    assert (one == again).all()
    # Two random permutations agree in one place on average.
    assert (one == other).sum() < 10
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_pinned_for_ever() -> None:
    order = permutation(60_000, stream="split/mnist/validation")
    assert order[:6].tolist() == [10850, 57961, 8585, 47562, 57288, 4250]


@pytest.mark.parametrize("val_size", [1, 500, 3999])
def test_parts_are_disjoint_and_cover_all(val_size: int) -> None:
    training, validation = validation_split(4000, val_size, name="x")
    assert len(validation) == val_size
    assert sorted([*training, *validation]) == list(range(4000))


def test_a_smaller_validation_part_is_inside_a_larger_one() -> None:
    small, large = (validation_split(4000, size, name="x")[1] for size in (100, 500))
    assert (large[:100] == small).all()


def test_training_rows_are_shuffled_so_that_first_batches_hold_all_classes() -> None:
    labels = np.repeat(np.arange(10), 400)
    training, _ = validation_split(4000, 500, name="mnist5k")
    assert set(labels[training[:128]]) == set(range(10))


def test_test_rows_are_balanced_ascending_and_inside() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 50)
    rows = balanced_test_rows(labels, 7, name="x")
    assert np.bincount(labels[rows]).tolist() == [7] * 10
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() != balanced_test_rows(labels, 7, name="y").tolist()
