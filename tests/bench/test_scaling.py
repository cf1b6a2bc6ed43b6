"""Growth: what is counted, by a clock that makes every pass take a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.verbs.bench.contenders import EPOCH_IMAGES
from bninit.verbs.bench.measure import Grid, bytes_held, measure_growth

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


def test_seconds_are_per_epoch_and_network(noise: Data, clock: Callable[[], float]) -> None:
    points = measure_growth(noise, GRID, clock=clock)
    sizes = [(p.axis, p.value, p.num_networks, p.width, p.depth, p.num_epochs) for p in points]
    assert sizes == [
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
        assert point.seconds.median == pytest.approx(epochs / point.num_networks)


def test_each_storage_counts_once_wherever_it_is() -> None:
    shared = torch.zeros(10)

    class Holder:
        def __init__(self) -> None:
            self.views = [shared[:3], {"all": shared}]
            self.closure = lambda: own
            self.me = self

    own = torch.zeros(5, dtype=torch.float64)
    assert bytes_held(Holder()) == 10 * 4 + 5 * 8
    assert bytes_held(Holder(), but=[shared[2:]]) == 10 * 4 + 5 * 8 - 10 * 4


def test_memory_holds_the_network_and_grows_with_the_stack(
    noise: Data, clock: Callable[[], float]
) -> None:
    points = measure_growth(noise, GRID, clock=clock)
    one, two, four = (point.held_bytes for point in points[:3])
    weights = sum(a * b for a, b in Architecture(widths=(36, 6, 3)).fans())
    assert one >= 4 * 3 * weights, "value, gradient and momentum"
    assert four - two == pytest.approx(2 * (two - one), rel=0.05)
