"""Random streams and orders of examples: derived from seed and name alone, in every process."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.training.seeding import (
    batch_stream,
    bias_draws,
    bias_stream,
    generator,
    weight_draws,
    weight_stream,
)
from bninit.training.settings import TrainSettings
from bninit.training.steps import epoch_order, num_steps
from bninit.training.targets import first_reached


@pytest.mark.parametrize("seed", [0, 1, 42, -3, 2**31, 2**63, 10**30])
@pytest.mark.parametrize("name", ["weight/1/normal", "batch/7", "", "grün"])
def test_a_stream_is_seeded_from_the_hash_of_seed_and_name(seed: int, name: str) -> None:
    digest = hashlib.sha256((str(seed) + "/" + name).encode("utf-8")).hexdigest()
    reference = torch.Generator(device="cpu")
    reference.manual_seed(int(digest[:16], 16))
    expected = torch.rand(100, generator=reference)
    torch.rand(17, generator=generator(seed, name))  # each opening is at the beginning
    assert torch.equal(torch.rand(100, generator=generator(seed, name)), expected)


def test_drawing_leaves_the_global_generator_alone_and_does_not_depend_on_it() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = epoch_order([0, 1], epoch=1, num_examples=10)
    weight_draws(0, 1)("normal", (3,))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(epoch_order([0, 1], epoch=1, num_examples=10), first)


def test_another_process_draws_the_same() -> None:
    code = (
        "import torch; from bninit.training.seeding import generator;"
        "print(torch.randint(2**40, (4,), generator=generator(3, 'batch/1')).tolist())"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = torch.randint(2**40, (4,), generator=generator(3, "batch/1")).tolist()
    assert other.stdout.strip() == str(here)


def test_streams_are_independent_and_uniform_with_seed_0_among_them() -> None:
    names = [
        *(weight_stream(layer, family) for layer in (1, 2) for family in ("normal", "uniform")),
        *(bias_stream(layer, "uniform") for layer in (1, 2)),
        *(batch_stream(epoch) for epoch in (1, 2, 11)),
    ]
    assert {"weight/1/normal", "bias/2/uniform", "batch/11"} <= set(names)
    draws = torch.stack(
        [
            torch.rand(2000, generator=generator(seed, name), dtype=torch.float64)
            for seed in (0, 1, -1, 12)
            for name in names
        ]
    )
    correlation = torch.corrcoef(draws)
    pairs = list(itertools.combinations(range(len(draws)), 2))
    largest = max(abs(correlation[i, j].item()) for i, j in pairs)
    # SD 1 / sqrt(2000) each; 630 pairs stay within 4.5 SD but for 1 time in 200.
    assert largest < 4.5 / 2000**0.5
    firsts = [torch.rand(1, generator=generator(seed, "a")).item() for seed in range(1000)]
    assert len(set(firsts)) == 1000
    assert scipy.stats.kstest(firsts, "uniform").pvalue > 0.01


def test_raw_draws_of_a_layer() -> None:
    for draws, family, stream in (
        (weight_draws(3, 2), "normal", "weight/2/normal"),
        (bias_draws(3, 2), "uniform", "bias/2/uniform"),
    ):
        expected = torch.empty(20, 30, dtype=torch.float64)
        fill = expected.normal_ if family == "normal" else expected.uniform_
        fill(generator=generator(3, stream))
        for _ in range(2):  # anew at each call
            assert torch.equal(draws(family, (20, 30)), expected)


def test_wrong_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown family of draws 'cauchy'"):
        weight_draws(0, 1)("cauchy", (2,))
    with pytest.raises(ValueError, match="format code 'd'"):
        generator(1.5, "a")  # type: ignore[arg-type]


def test_every_example_comes_once_an_epoch_in_an_order_of_seed_and_epoch_alone() -> None:
    together = epoch_order([0, 3, 7, 3], epoch=5, num_examples=97)
    for one in together:
        assert sorted(one.tolist()) == list(range(97))
    alone = epoch_order([3], epoch=5, num_examples=97)[0]
    assert torch.equal(alone, torch.randperm(97, generator=generator(3, "batch/5")))
    assert torch.equal(together[1], alone)
    assert torch.equal(together[3], alone)
    assert not torch.equal(together[0], alone)
    assert not torch.equal(epoch_order([3], epoch=6, num_examples=97)[0], alone)


# Notes N9: 100 points in batches of 4 are 25 iterations.
@pytest.mark.parametrize(
    ("num_examples", "batch_size", "dropped", "kept"),
    [(100, 4, 25, 25), (103, 4, 25, 26), (4, 4, 1, 1), (5, 4, 1, 2), (3, 4, 0, 1)],
)
def test_steps_of_an_epoch(num_examples: int, batch_size: int, dropped: int, kept: int) -> None:
    for last_batch, expected in (("drop", dropped), ("keep", kept)):
        train = TrainSettings.model_validate({"batch_size": batch_size, "last_batch": last_batch})
        assert num_steps(num_examples, train) == expected


@settings(deadline=None)
@given(
    accuracies=st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=20),
    target=st.floats(0.01, 1),
)
def test_a_target_is_reached_at_the_first_index_that_numpy_finds(
    accuracies: list[float], target: float
) -> None:
    where = np.flatnonzero(np.array(accuracies, dtype=float) >= target)
    assert first_reached(accuracies, target) == (int(where[0]) if where.size else None)


def test_equal_is_reached_and_epoch_0_counts() -> None:
    assert first_reached([0.1, 0.95, 0.96], 0.95) == 1
    assert first_reached(np.array([0.2, 0.9]), 0.1) == 0
    assert first_reached([0.1, 0.9, 0.2, 0.9], 0.9) == 1
    assert first_reached([0.5, float("nan")], 0.6) is None
