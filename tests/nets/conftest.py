"""Stacks of drawn networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from bninit.nets.architecture import Architecture
from bninit.nets.stack import StackedMLP
from bninit.nets.start import Initialisation, draw_start, stack
from bninit.training.seeding import bias_draws, generator, weight_draws

BuildStack = Callable[..., StackedMLP]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine small sums would only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def build_stack() -> BuildStack:
    """Draw networks of one shape, one for each seed, and put them together.

    Biases, gamma, beta and running statistics are drawn too where `spread` is true, so that
    nothing is right for being 0 or 1.
    """

    def build(
        architecture: Architecture,
        *,
        seeds: tuple[int, ...] = (0, 1, 2),
        initialisation: Initialisation | None = None,
        dtype: torch.dtype = torch.float64,
        spread: bool = True,
    ) -> StackedMLP:
        initialisation = initialisation or Initialisation(scheme="he_normal")
        starts = [
            draw_start(
                architecture,
                initialisation,
                weight_draws=partial(weight_draws, seed),
                bias_draws=partial(bias_draws, seed),
                dtype=dtype,
                examples=torch.randn(64, architecture.widths[0], generator=generator(seed, "x")),
            )
            for seed in seeds
        ]
        network = stack(architecture, starts, device=torch.device("cpu"))
        if spread:
            for name, value in network.tensors().items():
                if value.is_floating_point() and value.dim() == 2:
                    for one, seed in zip(value, seeds, strict=True):
                        one.uniform_(0.5, 1.5, generator=generator(seed, name))
        return network

    return build
