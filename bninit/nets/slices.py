"""The loss on a line or a plane through a network: many points, each a network of one stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bninit.nets.architecture import Architecture
from bninit.nets.directions import Direction, linear_names
from bninit.nets.loss import example_losses
from bninit.nets.products import FULL
from bninit.nets.stack import StackedMLP

BATCH = "batch"
RUNNING = "running"
STATISTICS = (BATCH, RUNNING)
"""What batch norm normalizes with at a point of a slice."""

_MOST_POINTS = {"cpu": 8, "cuda": 256}
"""Points in one stack: on a CPU more of them leave the caches."""

_MOST_BYTES = 1 << 30


@torch.no_grad()
def slice_losses(
    architecture: Architecture,
    state: Mapping[str, Tensor],
    *,
    directions: Sequence[Direction],
    coordinates: Tensor,
    x: Tensor,
    y: Tensor,
    statistics: str = BATCH,
    precision: str = FULL,
) -> Tensor:
    """The mean loss at points around a network: at state + sum of coordinate x direction.

    With ``batch`` statistics every point is normalized by the mean and variance that its own
    units have over all of `x`, as in training. That is the loss that training goes down, and the
    only one that keeps what batch norm is for: the loss does not depend on the scale of the
    weights before it. ``running`` keeps the network's running statistics, as evaluation does: a
    network with weights other than those that they were collected with is then not normalized
    at all. Without batch norm the two are the same. On the CPU a point has the same bits
    whichever points it is computed with.

    Args:
        architecture: The shape of the network.
        state: Its parameters and statistics, as `StackedMLP.state` gives them. Read only.
        directions: At least one; what they do not name stays as it is.
        coordinates: (point, direction).
        x: (example, feature); with ``batch`` statistics at least two examples, all one batch.
        y: (example,), class numbers.
        statistics: ``batch`` or ``running``.
        precision: Of matrix products; see `bninit.nets.products.PRECISIONS`.

    Returns:
        (point,), float64, in nats per example, on the CPU; NaN or infinity where the loss is.

    Raises:
        ValueError: `statistics` is neither.
    """
    if statistics not in STATISTICS:
        raise ValueError(f"statistics are {' or '.join(STATISTICS)}, not {statistics!r}")
    size = min(len(coordinates), _most_points(architecture, x))
    network = _copies(architecture, state, size, precision=precision)
    moved = {p.name: p.value for p in network.parameters}
    inputs, labels = x.T.expand(size, -1, -1), y.expand(size, -1)
    found = []
    for part in torch.split(coordinates, size):
        for place, point in enumerate(part.tolist()):
            for name, value in moved.items():
                value[place].copy_(state[name])
                for along, direction in zip(point, directions, strict=True):
                    if name in direction:
                        value[place].add_(direction[name], alpha=along)
        # The last part may be shorter: the places behind it hold points of the part before.
        logits = network.forward(inputs, training=statistics == BATCH)
        losses = example_losses(logits, labels)[: len(part)]
        found += [one.sum(dtype=torch.float64).item() / y.numel() for one in losses]
    return torch.tensor(found, dtype=torch.float64)


def _most_points(architecture: Architecture, x: Tensor) -> int:
    """Points that are computed together, at least 1."""
    signals = 4 * sum(architecture.widths) * len(x) * x.element_size()
    return max(1, min(_MOST_POINTS[x.device.type], _MOST_BYTES // signals))


def _copies(
    architecture: Architecture, state: Mapping[str, Tensor], size: int, *, precision: str
) -> StackedMLP:
    """A stack of copies of one network."""
    names = linear_names(architecture)
    biases = [state.get(f"{name}.bias") for name in names]
    network = StackedMLP(
        architecture,
        weights=[state[f"{name}.weight"].expand(size, -1, -1).clone() for name in names],
        biases=[None if bias is None else bias.expand(size, -1).clone() for bias in biases],
        precision=precision,
    )
    network.load([state] * size)
    return network
