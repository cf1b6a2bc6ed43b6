"""Batched matrix products whose result for one network does not depend on its neighbours.

A library is free to sum in another order when it multiplies one pair of matrices than when it
multiplies ten, and for some shapes it does. Then a network would train to other bits alone than
in a stack. So each shape of product is tried once per process, on random matrices: where the
batched call gives every network the bits that it gets alone, it is used; elsewhere each network's
product is a call of its own, as are products so large that a call costs nothing beside them. The
choice depends on the network's shapes and on the machine, never on the number of networks or on
timing.
"""

from __future__ import annotations

import torch
from torch import Tensor

BATCHED = "batched"
EACH = "each"

_LARGE = 16_000_000
"""Multiplications from which on a product is a call of its own without a trial."""

_PROBED_SIZES = (2, 3, 4, 5, 7, 8, 10, 16)
_Key = tuple[tuple[int, int], bool, tuple[int, int], bool, torch.dtype, int]
_routes: dict[_Key, str] = {}


def multiply(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
    """Multiplies each network's pair of matrices.

    Args:
        a: (replica, m, k).
        b: (replica, k, n).
        out: (replica, m, n), written.

    Returns:
        ``out``; on the CPU its slice for a network has the same bits in a stack of any size.
    """
    if a.is_cuda or route(a, b) == BATCHED:
        return torch.bmm(a, b, out=out)
    for a_one, b_one, out_one in zip(a, b, out, strict=True):
        torch.mm(a_one, b_one, out=out_one)
    return out


def route(a: Tensor, b: Tensor) -> str:
    """How products of these shapes are computed on this machine: ``batched`` or ``each``.

    Args:
        a: (replica, m, k).
        b: (replica, k, n).
    """
    key = _key(a, b)
    found = _routes.get(key)
    if found is None:
        found = _routes[key] = _probe(key)
    return found


def routes() -> dict[str, str]:
    """The routes chosen so far in this process, by a readable name of the shape."""
    return {
        f"{m}x{k}{'T' if a_transposed else ''} @ {k}x{n}{'T' if b_transposed else ''}"
        f" {str(dtype).removeprefix('torch.')}": chosen
        for ((m, k), a_transposed, (_, n), b_transposed, dtype, _), chosen in _routes.items()
    }


def _key(a: Tensor, b: Tensor) -> _Key:
    return (
        (a.size(1), a.size(2)),
        a.stride(2) != 1,
        (b.size(1), b.size(2)),
        b.stride(2) != 1,
        a.dtype,
        torch.get_num_threads(),
    )


def _probe(key: _Key) -> str:
    (m, k), a_transposed, (_, n), b_transposed, dtype, _ = key
    if m * k * n >= _LARGE:
        return EACH
    generator = torch.Generator().manual_seed(m * 1_000_003 + k * 1_009 + n)
    most = max(_PROBED_SIZES)

    def matrices(rows: int, columns: int, *, transposed: bool) -> Tensor:
        if transposed:
            drawn = torch.randn(most, columns, rows, generator=generator, dtype=dtype)
            return drawn.transpose(1, 2)
        return torch.randn(most, rows, columns, generator=generator, dtype=dtype)

    a = matrices(m, k, transposed=a_transposed)
    b = matrices(k, n, transposed=b_transposed)
    alone = torch.stack([torch.mm(a_one, b_one) for a_one, b_one in zip(a, b, strict=True)])
    if not torch.equal(torch.bmm(a[:1], b[:1]), alone[:1]):
        return EACH
    for size in _PROBED_SIZES:
        if not torch.equal(torch.bmm(a[:size], b[:size]), alone[:size]):
            return EACH
    return BATCHED
