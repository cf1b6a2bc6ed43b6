"""Initial weights and biases, drawn from the laws of `bninit.nets.initialisers`.

Raw draws come from the caller, in float64, and a law only scales, cuts or orthogonalizes them;
the result is rounded to the network's precision at the end. So schemes of one family start from
the same raw draws, and so do networks of different precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Unpack

import torch

from bninit.nets.initialisers import BIAS_SCHEMES, SCHEMES, Layer, Parameters, Scheme
from bninit.nets.laws import TRUNCATED_SD, TRUNCATION, law_size, layer_law

Draws = Callable[[str, tuple[int, ...]], torch.Tensor]
"""From "normal" or "uniform" and a shape: float64 draws from N(0, 1) or from [0, 1), on the CPU."""


def draw_weight(
    scheme: str,
    *,
    fan_in: int,
    fan_out: int,
    draws: Draws,
    dtype: torch.dtype,
    **parameters: Unpack[Parameters],
) -> torch.Tensor:
    """Draw the weight matrix of a linear layer.

    Of `lsuv`, this is the orthogonal start; `bninit.nets.lsuv.lsuv_scale` does the rest.

    Args:
        scheme: A key of `SCHEMES`.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        draws: The source of the raw draws; asked once, for the shape of the weight.
        dtype: Precision of the result.
        **parameters: What the scheme takes of `Parameters`.

    Returns:
        The weight, shape (fan_out, fan_in), on the CPU.

    Raises:
        ValueError: The scheme is unknown, a parameter is missing, is not one of the scheme's, or
            is out of range.
    """
    row, layer = layer_law(SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters)
    return _draw(row, layer, (fan_out, fan_in), draws).to(dtype)


def draw_bias(
    scheme: str,
    *,
    fan_in: int,
    fan_out: int,
    draws: Draws,
    dtype: torch.dtype,
    std: float | None = None,
    limit: float | None = None,
    value: float | None = None,
) -> torch.Tensor:
    """Draw the biases of a linear layer.

    Args:
        scheme: A key of `BIAS_SCHEMES`.
        fan_in: Units that the layer reads; of use to `torch_default` alone.
        fan_out: Units of the layer.
        draws: The source of the raw draws, another one than the weight's.
        dtype: Precision of the result.
        std: Standard deviation of `normal`.
        limit: Largest absolute value of `uniform`.
        value: The value of `constant`.

    Returns:
        The biases, shape (fan_out,), on the CPU.

    Raises:
        ValueError: As `draw_weight`.
    """
    row, layer = layer_law(
        BIAS_SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, std=std, limit=limit, value=value
    )
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

    Args:
        raw: Shape (fan_out, fan_in).

    Returns:
        Shape (fan_out, fan_in), with orthonormal rows where fan_out <= fan_in, else columns.
    """
    if raw.shape[0] < raw.shape[1]:
        return _orthogonalize(raw.T).T.contiguous()
    q: torch.Tensor
    q, r = torch.linalg.qr(raw)
    signs: torch.Tensor = torch.where(torch.diagonal(r) < 0, -1.0, 1.0)
    return q.mul(signs)
