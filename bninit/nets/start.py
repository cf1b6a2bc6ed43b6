"""Initial weights and biases, drawn from the laws of `bninit.nets.initialisers`.

Raw draws come from the caller, in float64, and a law only scales, cuts or orthogonalizes them;
the result is rounded to the network's precision at the end. So schemes of one family start from
the same raw draws, and so do networks of different precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bninit.nets.architecture import Architecture
from bninit.nets.initialisers import (
    BIAS_SCHEMES,
    SCHEMES,
    TRUNCATED_SD,
    TRUNCATION,
    Layer,
    Scheme,
    law_size,
    layer_law,
)
from bninit.nets.products import FULL
from bninit.nets.reference import build_sequential
from bninit.nets.settings import BiasSettings, InitSettings
from bninit.nets.stack import StackedMLP

Draws = Callable[[str, tuple[int, ...]], torch.Tensor]
"""From "normal" or "uniform" and a shape: float64 draws from N(0, 1) or from [0, 1), on the CPU."""


def draw_weight(
    init: InitSettings, *, fan_in: int, fan_out: int, draws: Draws, dtype: torch.dtype
) -> torch.Tensor:
    """Draw the weight matrix of a linear layer.

    Of `lsuv`, this is the orthogonal start; `lsuv_scale` does the rest.

    Args:
        init: The scheme and its parameters.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        draws: The source of the raw draws; asked once, for the shape of the weight.
        dtype: Precision of the result.

    Returns:
        The weight, shape (fan_out, fan_in), on the CPU.
    """
    row, layer = layer_law(SCHEMES, init, fan_in=fan_in, fan_out=fan_out)
    return _draw(row, layer, (fan_out, fan_in), draws).to(dtype)


def draw_bias(
    bias: BiasSettings, *, fan_in: int, fan_out: int, draws: Draws, dtype: torch.dtype
) -> torch.Tensor:
    """Draw the biases of a linear layer, (fan_out,); as `draw_weight`, with draws of their own."""
    row, layer = layer_law(BIAS_SCHEMES, bias, fan_in=fan_in, fan_out=fan_out)
    return _draw(row, layer, (fan_out,), draws).to(dtype)


def _draw(row: Scheme, layer: Layer, shape: tuple[int, ...], draws: Draws) -> torch.Tensor:
    size = law_size(row, layer)
    match row.family:
        case "none":
            return torch.full(shape, size, dtype=torch.float64)
        case "normal":
            raw = draws("normal", shape)
            return (_truncate(raw) if layer.truncated else raw) * size
        case "uniform":
            return (draws("uniform", shape) * 2 - 1) * size
        case _:
            return _orthogonalize(draws("normal", shape)) * size


def _truncate(raw: torch.Tensor) -> torch.Tensor:
    """Map standard normal draws, in order, onto the normal cut at 2 SD and widened to SD 1.

    By the cumulative distribution function and its inverse, so that a truncated scheme starts
    from the same raw draws as its uncut sister, and nothing is drawn again.
    """
    tail = 0.5 * math.erfc(TRUNCATION / math.sqrt(2))
    share = torch.special.ndtr(raw)
    cut: torch.Tensor = torch.special.ndtri(tail + share * (1 - 2 * tail))
    return cut.clamp(-TRUNCATION, TRUNCATION) / TRUNCATED_SD


def _orthogonalize(raw: torch.Tensor) -> torch.Tensor:
    """Make standard normal draws into a uniformly (Haar) distributed matrix of the same shape.

    QR alone leaves the signs to the algorithm; making the diagonal of R positive makes the
    factor unique and its distribution uniform (Mezzadri 2007, arXiv:math-ph/0609050).
    """
    if raw.shape[0] < raw.shape[1]:
        return _orthogonalize(raw.T).T.contiguous()
    q: torch.Tensor
    q, r = torch.linalg.qr(raw)
    signs: torch.Tensor = torch.where(torch.diagonal(r) < 0, -1.0, 1.0)
    return q.mul(signs)


def lsuv_scale(
    weights: Sequence[torch.Tensor],
    x: torch.Tensor,
    *,
    after: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    biases: Sequence[torch.Tensor | None] | None = None,
    gain: float = 1.0,
    tolerance: float = 0.02,
    max_rounds: int = 20,
) -> list[torch.Tensor]:
    """Scale the weights of an MLP, layer after layer, to unit output variance.

    The variance is taken over the batch and the units together, about their common mean. A layer
    whose output does not vary (a dead input, or weights that are all 0) or is not finite stays as
    it is. Without biases a layer needs one round. Biases that spread more over the units than the
    output may cannot be made up for by the weight: the rounds run out, and the weight is small.

    Departure from the paper: `gain`, for a standard deviation other than 1.
    """
    if not 0 < gain < math.inf:
        raise ValueError(f"gain is {gain}, and must be finite and above 0")
    if len(after) != len(weights) - 1:
        raise ValueError(f"{len(weights)} layers cannot have {len(after)} pieces between them")
    if biases is None:
        biases = [None] * len(weights)
    if len(biases) != len(weights):
        raise ValueError(f"{len(weights)} layers cannot have {len(biases)} biases")
    scaled = []
    with torch.no_grad():
        for weight, bias, onwards in zip(weights, biases, [*after, None], strict=True):
            scaled.append(
                _scale_layer(weight, bias, x, gain=gain, tolerance=tolerance, max_rounds=max_rounds)
            )
            if onwards is not None:
                x = onwards(torch.nn.functional.linear(x, scaled[-1], bias))
    return scaled


def _scale_layer(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    x: torch.Tensor,
    *,
    gain: float,
    tolerance: float,
    max_rounds: int,
) -> torch.Tensor:
    weight = weight.clone()
    for _ in range(max_rounds):
        output = torch.nn.functional.linear(x, weight, bias)
        sd = output.std(correction=0).item()
        # Equal outputs still differ by rounding errors, which are not to be blown up.
        rounding = x.shape[1] * torch.finfo(output.dtype).eps * output.abs().max().item()
        if not rounding < sd < math.inf or abs((sd / gain) ** 2 - 1) <= tolerance:
            break
        weight *= gain / sd
    return weight


LSUV_BATCH = 512
"""Training examples on which `lsuv` measures, the first ones of the training set."""


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
    init: InitSettings,
    *,
    weight_draws: Callable[[int], Draws],
    bias_draws: Callable[[int], Draws],
    dtype: torch.dtype,
    examples: Tensor,
) -> Start:
    """Draws one network; it depends on nothing but its own arguments.

    Args:
        architecture: The shape.
        init: The laws.
        weight_draws: From a 1-based layer to the source of its weights' raw draws.
        bias_draws: The same for its biases.
        dtype: Of the result.
        examples: (batch, feature), on which the scheme ``lsuv`` measures.
    """
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    for layer, (fan_in, fan_out) in enumerate(architecture.fans(), start=1):
        weight, bias = weight_draws(layer), bias_draws(layer)
        weights.append(draw_weight(init, fan_in=fan_in, fan_out=fan_out, draws=weight, dtype=dtype))
        biases.append(
            draw_bias(init.bias, fan_in=fan_in, fan_out=fan_out, draws=bias, dtype=dtype)
            if architecture.has_bias(layer)
            else None
        )
    if init.scheme == "lsuv":
        weights = _lsuv(architecture, weights, biases, examples=examples.to(dtype), gain=init.gain)
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
