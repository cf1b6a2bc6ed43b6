"""Stacks of drawn networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from shapes import drawn

from bninit.nets.stack import StackedMLP


@pytest.fixture
def build_stack() -> Callable[..., StackedMLP]:
    """Networks of one shape, one for each seed, in which nothing is right for being 0 or 1."""
    return partial(drawn, spread=True)
