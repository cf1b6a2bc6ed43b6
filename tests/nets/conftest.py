"""Stacks of drawn networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from shapes import drawn

from bninit.nets.stack import StackedMLP


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine small sums would only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def build_stack() -> Callable[..., StackedMLP]:
    """Networks of one shape, one for each seed, in which nothing is right for being 0 or 1."""
    return partial(drawn, spread=True)
