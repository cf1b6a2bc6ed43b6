"""Random directions from a network, of a length that suits each of its units.

Of a network with batch norm after a linear layer, or with ReLU units, the weights of a layer can
be scaled without a change of what the network computes, and so a step of a given length means
nothing by itself. Li et al. 2018 (arXiv:1712.09913, section 4) give each filter of a random
direction the norm of the network's own filter. A filter of a linear layer is the vector of
incoming weights of one unit: a row of its matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from bninit.nets.architecture import Architecture

Direction = dict[str, Tensor]
"""From a parameter's name in ``nn.Sequential`` to a change of it; others do not change."""


def filter_normalized_direction(
    architecture: Architecture,
    state: Mapping[str, Tensor],
    *,
    draws: Callable[[int, tuple[int, ...]], Tensor],
) -> Direction:
    """Makes a random direction whose every filter has the norm of the network's own.

    Biases, gamma and beta keep their values: the direction is zero there, as Li et al. 2018 have
    it. A unit without incoming weights (all zero) does not move either.

    Args:
        architecture: The shape of the network.
        state: Its parameters, as `StackedMLP.state` gives them.
        draws: From a 1-based linear layer and a shape to draws from N(0, 1) in float64.

    Returns:
        A change of each weight matrix, in its dtype and on its device.
    """
    found: Direction = {}
    for layer, place in enumerate(linear_names(architecture), start=1):
        name = f"{place}.weight"
        weight = state[name]
        drawn = draws(layer, tuple(weight.shape)).clone()
        own = torch.linalg.vector_norm(weight.to("cpu", torch.float64), dim=1, keepdim=True)
        drawn *= own / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
        found[name] = drawn.to(weight.device, weight.dtype)
    return found


def linear_names(architecture: Architecture) -> list[str]:
    """The place of each linear layer in ``nn.Sequential``, in order."""
    return [str(place) for place, (kind, _) in enumerate(architecture.kinds()) if kind == "linear"]
