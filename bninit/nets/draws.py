"""Initial weights and biases, drawn from the laws of `bninit.nets.initialisers`.

Raw draws come from the caller, in float64, and a law only scales, cuts or orthogonalizes them;
the result is rounded to the network's precision at the end. So schemes of one family start from
the same raw draws, and so do networks of different precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Unpack

import torch

from bninit.nets.initialisers import ALIASES, BIAS_SCHEMES, SCHEMES, Layer, Parameters, Scheme

Draws = Callable[[str, tuple[int, ...]], torch.Tensor]
"""From "normal" or "uniform" and a shape: float64 draws from N(0, 1) or from [0, 1), on the CPU."""

TRUNCATION = 2.0
"""Where a truncated normal is cut, in standard deviations of the normal that is cut."""

TRUNCATED_SD = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)), as in Keras, JAX."""


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
    row, layer = _asked(SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters)
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
    row, layer = _asked(
        BIAS_SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, std=std, limit=limit, value=value
    )
    return _draw(row, layer, (fan_out,), draws).to(dtype)


def weight_sd(scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]) -> float:
    """Tell the standard deviation of one weight under a scheme's law.

    A limit l gives l / sqrt(3). Truncated laws keep the standard deviation of the uncut ones. An
    entry of an orthogonal matrix has variance gain^2 / max(fan_in, fan_out), because its
    shorter side consists of unit vectors of the longer one; for `lsuv` this is the start, and
    the data decide the rest.

    Args:
        scheme: A key of `SCHEMES`.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        **parameters: What the scheme takes of `Parameters`.

    Raises:
        ValueError: As `draw_weight`.
    """
    row, layer = _asked(SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters)
    size = _size(row, layer)
    match row.family:
        case "none":
            return 0.0
        case "normal":
            return size
        case "uniform":
            return size / math.sqrt(3)
        case _:
            return size / math.sqrt(max(fan_in, fan_out))


def weight_limit(
    scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]
) -> float | None:
    """Tell the largest absolute value that a weight can have under a scheme's law.

    Args:
        scheme: A key of `SCHEMES`.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        **parameters: What the scheme takes of `Parameters`.

    Returns:
        The limit, or None where the law has none (an uncut normal).

    Raises:
        ValueError: As `draw_weight`.
    """
    row, layer = _asked(SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters)
    size = _size(row, layer)
    if row.family == "normal":
        return size * TRUNCATION / TRUNCATED_SD if layer.truncated else None
    return abs(size)


def _draw(row: Scheme, layer: Layer, shape: tuple[int, ...], draws: Draws) -> torch.Tensor:
    size = _size(row, layer)
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


def _size(row: Scheme, layer: Layer) -> float:
    return layer.gain * row.size(layer)


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


def _asked(
    table: Mapping[str, Scheme],
    scheme: str,
    *,
    fan_in: int,
    fan_out: int,
    **parameters: Unpack[Parameters],
) -> tuple[Scheme, Layer]:
    """Look a scheme up and check what it was given against what it takes."""
    if scheme not in table:
        of = f" (another name of {ALIASES[scheme][0]})" if scheme in ALIASES else ""
        raise ValueError(f"unknown scheme {scheme!r}{of}; there are {', '.join(table)}")
    row = table[scheme]
    layer = Layer(fan_in=fan_in, fan_out=fan_out, **parameters)
    if min(fan_in, fan_out) < 1:
        raise ValueError(f"fan_in {fan_in} and fan_out {fan_out} must be at least 1")
    left_out = Layer(fan_in=fan_in, fan_out=fan_out)
    for name in ("gain", "std", "limit", "value", "truncated"):
        setting = getattr(layer, name)
        if name in row.needs and setting is None:
            raise ValueError(f"scheme {scheme} needs {name}")
        if name not in row.takes and setting != getattr(left_out, name):
            raise ValueError(f"scheme {scheme} takes no {name}, and got {setting}")
    for name in ("gain", "std", "limit"):
        setting = getattr(layer, name)
        if setting is not None and not 0 <= setting < math.inf:
            raise ValueError(f"{name} is {setting}, and must be finite and not negative")
    return row, layer
