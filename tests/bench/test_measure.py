"""What is made of times, with loops whose times are known."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from noise import noise_images
from shapes import shape

from bninit.verbs.bench.baselines import (
    EPOCH_IMAGES,
    LOADER,
    PLAIN,
    Build,
    Case,
    Losses,
    reference_losses,
)
from bninit.verbs.bench.measure import (
    Grid,
    Limits,
    Record,
    case_result,
    live_storages,
    measure_scaling,
    time_passes,
)

MACHINE = {"matmul_flops_per_second": 1e9, "copy_bytes_per_second": 1e8}


class Clockwork:
    """A clock that only the loops advance."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def __call__(self) -> float:
        return self.now

    def loop(self, name: str, seconds: list[float], *, num_networks: int = 1) -> Build:
        """A loop whose passes take these seconds (the first is the warm-up)."""
        clock, left = self, list(seconds)

        class Known:
            def __init__(self, case: Case) -> None:
                self.name, self.num_networks = name, num_networks
                losses = [reference_losses(case, seed=r) for r in range(num_networks)]
                self._losses = np.array([[*own, 1.0] for own in losses])

            def train(self) -> Losses:
                clock.now += left.pop(0)
                clock.turns.append(name)
                return self._losses

        return Known


@pytest.fixture
def case() -> Case:
    """Six steps of ten images."""
    return Case(noise_images(), hidden=(7, 5), batch_size=10, placement="pre")


@pytest.fixture
def timed(case: Case) -> tuple[list[Record], Clockwork]:
    clock = Clockwork()
    builds = [
        clock.loop(PLAIN, [99, 2, 4, 3]),
        clock.loop(LOADER, [99, 8, 8, 6]),
        clock.loop("stack", [99, 6, 9, 6], num_networks=3),
    ]
    return time_passes(case, builds, num_repeats=3, clock=clock), clock


def test_the_first_pass_is_not_timed_and_all_take_turns(
    timed: tuple[list[Record], Clockwork],
) -> None:
    passes, clock = timed
    assert [each["passes"] for each in passes] == [[2, 4, 3], [8, 8, 6], [6, 9, 6]]
    assert clock.turns[3:] == [
        *(PLAIN, LOADER, "stack"),
        *(LOADER, "stack", PLAIN),
        *("stack", PLAIN, LOADER),
    ]


def test_seconds_ratios_and_fractions(timed: tuple[list[Record], Clockwork], case: Case) -> None:
    found = case_result(case, timed[0], machine=MACHINE)
    plain, loader, stack = found["rows"]
    epochs = EPOCH_IMAGES // 10 / 6
    assert (found["num_steps"], found["epoch_steps"]) == (6, EPOCH_IMAGES // 10)

    def of(median: float, low: float, high: float) -> dict[str, float]:
        return {"median": median, "low": low, "high": high}

    assert plain["seconds"] == of(3 * epochs, 2 * epochs, 4 * epochs)
    assert stack["seconds"] == of(2 * epochs, 2 * epochs, 3 * epochs), "per network"
    assert stack["against_plain"] == of(0.75, 2 / 3, 1.0), "of the same round"
    assert loader["against_plain"] == of(2.0, 2.0, 4.0)
    assert plain["against_plain"] == of(1.0, 1.0, 1.0)
    assert stack["against_loader"] == of(1 / 3, 0.25, 0.375)
    steps_per_second = 3 * 6 / 6.0
    assert stack["matmul_fraction"] * 1e9 == pytest.approx(case.flops_per_step * steps_per_second)
    assert stack["bandwidth_fraction"] * 1e8 == pytest.approx(
        case.bytes_per_step * steps_per_second
    )


def test_without_the_loops_there_are_no_ratios(case: Case) -> None:
    clock = Clockwork()
    passes = time_passes(case, [clock.loop("x", [1, 1])], num_repeats=1, clock=clock)
    (row,) = case_result(case, passes, machine=MACHINE)["rows"]
    assert (row["against_plain"], row["against_loader"]) == (None, None)


class Pace:
    """A clock that advances by its pace each time it is read."""

    now, pace = 0.0, 1.0

    def __call__(self) -> float:
        self.now += self.pace
        return self.now


def test_rates_are_the_best_of_operations_and_of_bytes_read_and_written() -> None:
    clock = Pace()
    limits = Limits(torch.device("cpu"), side=16, copied_bytes=4096, clock=clock)
    for clock.pace in (4.0, 1.0, 2.0):
        limits.measure()
    found = limits.machine()
    assert found["matmul_flops_per_second"] == 2 * 16**3
    assert found["copy_bytes_per_second"] == 2 * 4096
    assert found["matmul_library"] in ("MKL", "oneDNN", "BLAS")
    assert (found["gpu"], found["threads"]) == (None, torch.get_num_threads())
    first, *others = (product().flatten() for product in limits.products.values())
    for each in others:
        torch.testing.assert_close(each, first)


GRID = Grid(
    stacks=(1, 2, 4),
    widths=(4, 8),
    depths=(1, 3),
    epochs=(1, 2),
    base_stack=2,
    base_width=6,
    base_depth=1,
    batch_size=16,
    max_steps=3,
    num_repeats=2,
)


@pytest.fixture
def no_others() -> Iterator[None]:
    """What other tests left is not looked through for tensors: it takes seconds."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("no_others")
def test_scaling_counts_per_epoch_and_network() -> None:
    points = measure_scaling(noise_images(), GRID, clock=Pace())
    keys = ("axis", "value", "num_networks", "width", "depth", "num_epochs")
    assert [tuple(point[key] for key in keys) for point in points] == [
        ("stack", 1, 1, 6, 1, 1),
        ("stack", 2, 2, 6, 1, 1),
        ("stack", 4, 4, 6, 1, 1),
        ("width", 4, 2, 4, 1, 1),
        ("width", 8, 2, 8, 1, 1),
        ("depth", 1, 2, 6, 1, 1),
        ("depth", 3, 2, 6, 3, 1),
        ("epochs", 1, 2, 6, 1, 1),
        ("epochs", 2, 2, 6, 1, 2),
    ]
    epochs = EPOCH_IMAGES // 16 / 3
    for point in points:
        assert point["seconds"]["median"] == pytest.approx(epochs / point["num_networks"])
    one, two, four = (point["held_bytes"] for point in points[:3])
    weights = sum(a * b for a, b in shape((36, 6, 3)).fans())
    assert one >= 4 * 3 * weights, "value, gradient and momentum"
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)


def test_each_storage_counts_once_wherever_it_is() -> None:
    before = live_storages()
    shared = torch.zeros(10)
    own = torch.zeros(5, dtype=torch.float64)
    holders = [{"all": shared, "part": shared[:3]}, lambda: own]
    now = live_storages()
    assert sorted(now[new] for new in now.keys() - before.keys()) == [10 * 4, 5 * 8]
    assert holders
