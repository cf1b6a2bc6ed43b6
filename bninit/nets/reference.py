"""The same network as a plain ``nn.Sequential``: for loading what was trained, and for tests."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bninit.nets.activations import ACTIVATIONS
from bninit.nets.architecture import Architecture
from bninit.nets.norm import NORMS


def build_sequential(
    architecture: Architecture, *, dtype: torch.dtype = torch.float32
) -> nn.Sequential:
    """Builds the ``nn.Sequential`` whose state dict has the names that `StackedMLP` uses.

    ``running: cumulative`` and ``population`` become torch's ``momentum=None``. In training, torch
    tracks a running mean where ``population`` tracks nothing; in evaluation the two agree once
    the state is loaded.

    Args:
        architecture: The shape.
        dtype: Of its parameters.

    Returns:
        An untrained network from (batch, feature) to logits (batch, class).
    """
    widths = architecture.widths
    modules: list[nn.Module] = []
    for kind, layer in architecture.kinds():
        if kind == "linear":
            has_bias = architecture.has_bias(layer)
            modules.append(nn.Linear(widths[layer - 1], widths[layer], bias=has_bias, dtype=dtype))
        elif kind == "norm":
            norm = architecture.norm
            modules.append(NORMS[norm.kind].module(norm, widths[layer], dtype=dtype))
        else:
            modules.append(ACTIVATIONS[architecture.activation].module())
    return nn.Sequential(*modules)


def load_sequential(
    architecture: Architecture, state: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> nn.Sequential:
    """A network with a trained state, ready for evaluation.

    Args:
        architecture: The shape.
        state: As in ``final.safetensors`` or from `StackedMLP.state`.
        dtype: Of its parameters.
    """
    network = build_sequential(architecture, dtype=dtype)
    network.load_state_dict(dict(state))
    return network.eval()
