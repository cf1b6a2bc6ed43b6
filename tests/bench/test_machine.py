"""The machine's best, by a clock that makes every measurement take a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bninit.verbs.bench.measure import Limits


def test_rates_are_of_operations_and_of_bytes_read_and_written(
    clock: Callable[[], float],
) -> None:
    limits = Limits(torch.device("cpu"), side=16, copied_bytes=4096, clock=clock)
    with pytest.raises(ValueError, match="nothing was measured"):
        limits.machine()
    limits.measure()
    found = limits.machine()
    assert found.matmul_flops_per_second == 2 * 16**3
    assert found.copy_bytes_per_second == 2 * 4096
    assert found.matmul_library in ("MKL", "oneDNN", "BLAS")
    assert (found.gpu, found.threads) == (None, torch.get_num_threads())


def test_the_best_of_several_counts() -> None:
    # A product and a copy by each library are timed with two looks at the clock.
    seconds = iter([0, 4.0] * 3 + [0, 1.0] * 3 + [0, 2.0] * 3)
    limits = Limits(
        torch.device("cpu"), side=8, copied_bytes=64, clock=lambda: float(next(seconds))
    )
    for _ in range(3 if torch.backends.mkldnn.is_available() else 4):  # type: ignore[no-untyped-call]
        limits.measure()
    assert limits.machine().matmul_flops_per_second == 2 * 8**3


def test_both_libraries_multiply_the_same() -> None:
    limits = Limits(torch.device("cpu"), side=32, copied_bytes=64)
    first, *others = (product().flatten() for product in limits._products().values())
    for other in others:
        torch.testing.assert_close(other, first)
