"""Images that are noise, and a clock that does not depend on the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from bninit.data.load import Data
from bninit.verbs.bench.baselines import Case


@pytest.fixture(scope="session")
def noise() -> Data:
    """64 images of 6 x 6 pixels in three classes."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (64, 36), generator=generator).float() / 255
    labels = torch.randint(0, 3, (64,), generator=generator)
    return Data(
        train_x=pixels,
        train_y=labels,
        val_x=pixels[:4],
        val_y=labels[:4],
        test_x=pixels[:4],
        test_y=labels[:4],
        num_classes=3,
        checksum="",
        name="noise",
        scale="unit",
        shift=0.0,
        divisor=255.0,
    )


@pytest.fixture
def case(noise: Data) -> Case:
    """Two hidden layers, six steps of ten images."""
    return Case(noise, hidden=(7, 5), batch_size=10, placement="pre")


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that advances by a second each time it is read."""
    ticks: Iterator[int] = iter(range(1_000_000))
    return lambda: float(next(ticks))
