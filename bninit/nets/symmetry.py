"""Units of a layer that are the same unit: they read the same inputs with the same weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""How far apart the weights of equal units may be, as a fraction of their norm.

Equal units get equal gradients, up to the last bits of a matrix product.
"""


def distinct_units(state: Mapping[str, Tensor]) -> list[int]:
    """How many different units each hidden layer has.

    Two units are the same when their incoming weights and biases are, within `TOLERANCE`. Equal
    weights give equal activations and equal gradients, so a layer that starts with one distinct
    unit keeps one however long it trains.

    Args:
        state: Of one network, as ``nn.Sequential`` names it.

    Returns:
        One count for each hidden layer; 0 where weights are not finite.
    """
    layers = [name.removesuffix(".weight") for name, t in state.items() if t.ndim == 2]
    counts = []
    for layer in layers[:-1]:
        rows = state[f"{layer}.weight"].detach().to("cpu", torch.float64)
        bias = state.get(f"{layer}.bias")
        if bias is not None:
            rows = torch.cat([rows, bias.to(rows)[:, None]], dim=1)
        counts.append(_distinct_rows(rows))
    return counts


def _distinct_rows(rows: Tensor) -> int:
    if not torch.isfinite(rows).all():
        return 0
    # Equal rows lie side by side once they are sorted along any direction.
    direction = torch.randn(
        rows.size(1), generator=torch.Generator().manual_seed(0), dtype=rows.dtype
    )
    rows = rows[torch.argsort(rows @ direction)]
    apart = (rows[1:] - rows[:-1]).norm(dim=1)
    norms = rows.norm(dim=1)
    return 1 + int((apart > TOLERANCE * torch.maximum(norms[1:], norms[:-1])).sum())
