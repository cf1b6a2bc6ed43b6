"""What a benchmark asks of everyone who takes part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bninit.bench.case import Case

PLAIN = "plain loop"
"""PyTorch, eager, all images in memory; see `bninit.bench.torch_loops.PlainLoop`."""

LOADER = "DataLoader loop"
"""PyTorch, eager, image by image; see `bninit.bench.torch_loops.LoaderLoop`."""

Losses: TypeAlias = "npt.NDArray[np.floating]"


class Contender(Protocol):
    """Someone who trains networks of a case.

    Network r of it starts as ``Case.start(r)``.

    Attributes:
        name: Who it is.
        num_networks: Networks that it trains together.
    """

    name: str
    num_networks: int

    def train(self) -> Losses:
        """Trains through the case's images once.

        The first pass takes them in the order ``Case.order(r)``; each later one shuffles anew, and
        drawing that order is part of the work.

        Returns:
            The training loss of each step in nats, (network, step), on the CPU: what was computed
            is then there, also on a GPU.
        """


Build: TypeAlias = "Callable[[Case], Contender]"
"""Makes a contender before its first pass."""
