"""Networks before training: drawn weights and biases, put together into a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bninit.nets.architecture import Architecture
from bninit.nets.draws import Draws, draw_bias, draw_weight
from bninit.nets.initialisers import Parameters
from bninit.nets.lsuv import lsuv_scale
from bninit.nets.products import FULL
from bninit.nets.reference import build_sequential
from bninit.nets.stack import StackedMLP

LSUV_BATCH = 512
"""Training examples on which `lsuv` measures, the first ones of the training set."""


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """How the linear layers of one network start.

    Attributes:
        scheme: A key of `bninit.nets.initialisers.SCHEMES`.
        parameters: What the scheme takes.
        bias_scheme: A key of `bninit.nets.initialisers.BIAS_SCHEMES`.
        bias_parameters: What that one takes.
    """

    scheme: str = "he_normal"
    parameters: Parameters = field(default_factory=Parameters)
    bias_scheme: str = "zeros"
    bias_parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """One network's weights and biases before training.

    Attributes:
        weights: (fan_out, fan_in) each, on the CPU.
        biases: (fan_out,) each, or None for a layer without.
    """

    weights: list[Tensor]
    biases: list[Tensor | None]


def draw_start(
    architecture: Architecture,
    initialisation: Initialisation,
    *,
    weight_draws: Callable[[int], Draws],
    bias_draws: Callable[[int], Draws],
    dtype: torch.dtype,
    examples: Tensor,
) -> Start:
    """Draws one network; it depends on nothing but its own arguments.

    Args:
        architecture: The shape.
        initialisation: The laws.
        weight_draws: From a 1-based layer to the source of its weights' raw draws.
        bias_draws: The same for its biases.
        dtype: Of the result.
        examples: (batch, feature), on which the scheme ``lsuv`` measures.
    """
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    for layer, (fan_in, fan_out) in enumerate(architecture.fans(), start=1):
        weights.append(
            draw_weight(
                initialisation.scheme,
                fan_in=fan_in,
                fan_out=fan_out,
                draws=weight_draws(layer),
                dtype=dtype,
                **initialisation.parameters,
            )
        )
        biases.append(
            draw_bias(
                initialisation.bias_scheme,
                fan_in=fan_in,
                fan_out=fan_out,
                draws=bias_draws(layer),
                dtype=dtype,
                **initialisation.bias_parameters,
            )
            if architecture.has_bias(layer)
            else None
        )
    if initialisation.scheme == "lsuv":
        gain = initialisation.parameters.get("gain", 1.0)
        weights = _lsuv(architecture, weights, biases, examples=examples.to(dtype), gain=gain)
    return Start(weights, biases)


def stack(
    architecture: Architecture,
    starts: Sequence[Start],
    *,
    device: torch.device,
    precision: str = FULL,
) -> StackedMLP:
    """Puts networks of one shape together.

    Args:
        architecture: The shape.
        starts: One for each network.
        device: Where the stack is to live.
        precision: Of its products; see `bninit.nets.products.PRECISIONS`.
    """
    num_layers = len(architecture.fans())
    weights = [torch.stack([s.weights[i] for s in starts]).to(device) for i in range(num_layers)]
    biases: list[Tensor | None] = []
    for i in range(num_layers):
        present = [bias for s in starts if (bias := s.biases[i]) is not None]
        biases.append(torch.stack(present).to(device) if present else None)
    return StackedMLP(architecture, weights=weights, biases=biases, precision=precision)


def _lsuv(
    architecture: Architecture,
    weights: list[Tensor],
    biases: list[Tensor | None],
    *,
    examples: Tensor,
    gain: float,
) -> list[Tensor]:
    """Scales the weights on real data, with batch norm in training mode where there is any."""
    pieces: list[list[nn.Module]] = [[]]
    for module in build_sequential(architecture, dtype=examples.dtype):
        if isinstance(module, nn.Linear):
            pieces.append([])
        else:
            pieces[-1].append(module)
    before, *after = (nn.Sequential(*modules) for modules in pieces[:-1])
    x = examples[:LSUV_BATCH]
    with torch.no_grad():
        x = before(x)
    return lsuv_scale(weights, x, after=after, biases=biases, gain=gain)
