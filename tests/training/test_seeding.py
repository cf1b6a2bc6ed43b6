"""The named streams: derived from SHA-256 alone, independent, the same in every process."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys

import pytest
import scipy.stats
import torch

from bninit.training.seeding import (
    batch_stream,
    bias_draws,
    bias_stream,
    generator,
    weight_draws,
    weight_stream,
)


@pytest.mark.parametrize("seed", [0, 1, 42, -3, 2**31, 2**63, 10**30])
@pytest.mark.parametrize("name", ["weight/1/normal", "batch/7", "", "grün"])
def test_a_stream_is_seeded_from_the_hash_of_seed_and_name(seed: int, name: str) -> None:
    digest = hashlib.sha256((str(seed) + "/" + name).encode("utf-8")).hexdigest()
    reference = torch.Generator(device="cpu")
    reference.manual_seed(int(digest[:16], 16))
    expected = torch.rand(100, generator=reference)
    assert torch.equal(torch.rand(100, generator=generator(seed, name)), expected)


def test_a_stream_opens_at_its_beginning_whatever_was_drawn_before() -> None:
    first = torch.rand(5, generator=generator(0, "a"))
    torch.manual_seed(99)
    torch.rand(17, generator=generator(0, "b"))
    assert torch.equal(torch.rand(5, generator=generator(0, "a")), first)


def test_opening_a_stream_leaves_the_global_one_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    torch.rand(3, generator=generator(0, "a"))
    assert torch.equal(torch.rand(3), expected)


def test_another_process_draws_the_same() -> None:
    code = (
        "import torch; from bninit.training.seeding import generator;"
        "print(torch.randint(2**40, (4,), generator=generator(3, 'batch/1')).tolist())"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = torch.randint(2**40, (4,), generator=generator(3, "batch/1")).tolist()
    assert other.stdout.strip() == str(here)


def test_streams_are_independent() -> None:
    names = [
        *(weight_stream(layer, family) for layer in (1, 2) for family in ("normal", "uniform")),
        *(bias_stream(layer, "uniform") for layer in (1, 2)),
        *(batch_stream(epoch) for epoch in (1, 2, 11)),
    ]
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


def test_first_draws_over_seeds_are_uniform_with_seed_0_among_them() -> None:
    firsts = [torch.rand(1, generator=generator(seed, "a")).item() for seed in range(1000)]
    assert len(set(firsts)) == 1000
    assert scipy.stats.kstest(firsts, "uniform").pvalue > 0.01


def test_the_names() -> None:
    assert weight_stream(1, "normal") == "weight/1/normal"
    assert bias_stream(4, "uniform") == "bias/4/uniform"
    assert batch_stream(10) == "batch/10"


def test_raw_draws_of_a_layer() -> None:
    normal = weight_draws(3, 2)("normal", (20, 30))
    assert normal.dtype == torch.float64
    expected = torch.empty(20, 30, dtype=torch.float64)
    expected.normal_(generator=generator(3, "weight/2/normal"))
    assert torch.equal(normal, expected)
    uniform = bias_draws(3, 2)("uniform", (50,))
    assert uniform.dtype == torch.float64
    expected = torch.empty(50, dtype=torch.float64)
    expected.uniform_(generator=generator(3, "bias/2/uniform"))
    assert torch.equal(uniform, expected)


def test_a_source_starts_anew_at_each_call() -> None:
    draws = weight_draws(0, 1)
    assert torch.equal(draws("normal", (7,)), draws("normal", (7,)))


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown family of draws 'cauchy'"):
        weight_draws(0, 1)("cauchy", (2,))


def test_a_seed_is_an_integer() -> None:
    with pytest.raises(ValueError, match="format code 'd'"):
        generator(1.5, "a")  # type: ignore[arg-type]
