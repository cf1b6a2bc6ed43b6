"""What is made of times, with contenders whose times are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bninit.verbs.bench.contenders import (
    EPOCH_IMAGES,
    LOADER,
    PLAIN,
    Build,
    Case,
    Losses,
    UnequalLossesError,
    reference_losses,
)
from bninit.verbs.bench.measure import Machine, Middle, result_of, time_passes


class Clockwork:
    """A clock that only contenders move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, seconds: list[float], *, num_networks: int = 1) -> Build:
        """One whose passes take these seconds, the first being the warm-up."""
        clock, left = self, list(seconds)

        class Known:
            def __init__(self, case: Case) -> None:
                self.name, self.num_networks = name, num_networks
                self._losses = np.array(
                    [
                        [*reference_losses(case, seed=r, num_steps=5), 1.0]
                        for r in range(num_networks)
                    ]
                )

            def train(self) -> Losses:
                clock.now += left.pop(0)
                clock.turns.append(name)
                return self._losses

        return Known


MACHINE = Machine(
    processor="x",
    gpu=None,
    threads=1,
    torch="2",
    matmul_flops_per_second=1e9,
    matmul_library="MKL",
    copy_bytes_per_second=1e8,
)


@pytest.fixture
def timed(case: Case) -> tuple[Any, Clockwork]:
    clock = Clockwork()
    builds = [
        clock.contender(PLAIN, [99, 2, 4, 3]),
        clock.contender(LOADER, [99, 8, 8, 6]),
        clock.contender("stack", [99, 6, 9, 6], num_networks=3),
    ]
    return time_passes(case, builds, num_repeats=3, clock=clock), clock


def test_the_first_pass_is_not_timed_and_all_take_turns(timed: tuple[Any, Clockwork]) -> None:
    times, clock = timed
    assert times.seconds == {PLAIN: [2, 4, 3], LOADER: [8, 8, 6], "stack": [6, 9, 6]}
    assert clock.turns[3:] == [
        *(PLAIN, LOADER, "stack"),
        *(LOADER, "stack", PLAIN),
        *("stack", PLAIN, LOADER),
    ]


def test_seconds_are_per_epoch_and_network_and_ratios_are_of_the_same_round(
    timed: tuple[Any, Clockwork], case: Case
) -> None:
    times, _ = timed
    found = result_of(case, times, machine=MACHINE)
    plain, loader, stack = found.rows
    epochs = EPOCH_IMAGES // 10 / 6
    assert (found.num_steps, found.epoch_steps) == (6, EPOCH_IMAGES // 10)
    assert plain.seconds == Middle(3 * epochs, 2 * epochs, 4 * epochs)
    assert stack.seconds == Middle(2 * epochs, 2 * epochs, 3 * epochs)
    assert stack.against_plain == Middle(0.75, 2 / 3, 1.0)
    assert loader.against_plain == Middle(2.0, 2.0, 4.0)
    assert plain.against_plain == Middle(1.0, 1.0, 1.0)
    assert stack.against_loader == Middle(1 / 3, 0.25, 0.375)


def test_fractions_are_of_the_machines_best(timed: tuple[Any, Clockwork], case: Case) -> None:
    found = result_of(case, timed[0], machine=MACHINE)
    stack = found.rows[2]
    steps_per_second = 3 * 6 / 6.0
    assert stack.matmul_fraction == pytest.approx(found.flops_per_step * steps_per_second / 1e9)
    assert stack.bandwidth_fraction == pytest.approx(found.bytes_per_step * steps_per_second / 1e8)


def test_without_the_loops_there_are_no_ratios(case: Case) -> None:
    clock = Clockwork()
    times = time_passes(case, [clock.contender("x", [1, 1])], num_repeats=1, clock=clock)
    (row,) = result_of(case, times, machine=MACHINE).rows
    assert (row.against_plain, row.against_loader) == (None, None)


def test_who_computes_something_else_stops_it(case: Case) -> None:
    clock = Clockwork()
    build = clock.contender("x", [1, 1])

    def spoilt(asked: Case) -> Any:
        contender: Any = build(asked)
        contender._losses[0, 3] += 0.01
        return contender

    with pytest.raises(UnequalLossesError, match="x, network 0"):
        time_passes(case, [spoilt], num_repeats=1, clock=clock)
    assert clock.turns == ["x"], "nothing is timed"
