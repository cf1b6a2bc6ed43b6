"""LSUV: scale each layer until its output on real data has unit variance.

Layer-sequential unit-variance initialisation (Mishkin and Matas 2016, arXiv:1511.06422,
algorithm 1) starts from orthogonal matrices (`draw_weight("lsuv", ...)`) and then, from the first
layer to the last, divides the weight by the standard deviation of the layer's output. The output
layer is scaled too, as in the paper. What is measured is the linear output, bias included, before
normalization and activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch


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

    Args:
        weights: Each (fan_out, fan_in), from the first layer to the output layer.
        x: What the first layer reads, (batch, feature), of the weights' precision.
        after: What lies between the layers, one fewer than there are weights: from the linear
            output of a layer to the input of the next, both (batch, unit).
        biases: Each (fan_out,) or None for a layer without; left out, there are none.
        gain: The standard deviation to reach, above 0.
        tolerance: How far the variance may be from its target, as a fraction of the target.
        max_rounds: Largest number of times that one layer is scaled.

    Returns:
        New weights, each a positive multiple of the one given. The given ones are not changed.

    Raises:
        ValueError: The numbers of weights, biases and pieces between do not fit, or the gain is
            not above 0.
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
