"""Batched matrix products whose result for one network does not depend on its neighbours.

A library is free to sum in another order when it multiplies one pair of matrices than when it
multiplies ten, and for some shapes it does. Then a network would train to other bits alone than
in a stack. A network's product is therefore, by definition, the one of a call for this pair twice:
a call for one pair takes another kernel for small products, which few batched calls agree with.
Each shape of product and number of networks is tried once per process, on random matrices: where
the call for all of them gives every network the bits of its definition, it is used; elsewhere each
network gets a call of its own, for its pair twice. Products so large that the twice would cost are
a call of their own for the one pair, by definition, without a trial. The choice depends on shapes
and on the machine, never on timing, and the numbers do not depend on the choice.

Factors may be rounded for the tensor cores of a GPU where the user asks for it (`PRECISIONS`);
sums and results keep the dtype of the factors in any case.
"""

from __future__ import annotations

import torch
from torch import Tensor

BATCHED = "batched"
EACH = "each"

FULL = "full"
TF32 = "tf32"
BF16 = "bf16"
PRECISIONS = (FULL, TF32, BF16)
"""How factors of products are rounded: not at all; to 10 bits behind the point, by a GPU's tensor
cores, whose sums are in float32; or to bfloat16 (7 bits), with sums in float32."""

_LARGE = 200_000_000
"""Multiplications from which on a product is a call of its own without a trial."""

_Key = tuple[int, tuple[int, int], bool, tuple[int, int], bool, torch.dtype, int]
_kernels: dict[_Key, str] = {}
_used: dict[_Key, str] = {}


def multiply(a: Tensor, b: Tensor, *, out: Tensor, precision: str = FULL) -> Tensor:
    """Multiplies each network's pair of matrices.

    Args:
        a: (replica, m, k).
        b: (replica, k, n).
        out: (replica, m, n), written.
        precision: One of `PRECISIONS`; ``tf32`` on CUDA only, both others for float32 only.
            On the CPU ``bf16`` rounds the factors and multiplies in float32, which is no faster.

    Returns:
        ``out``; on the CPU its slice for a network has the same bits in a stack of any size.
    """
    if a.is_cuda:
        return _multiply_on_cuda(a, b, out=out, precision=precision)
    if precision == BF16:
        a, b = a.bfloat16().float(), b.bfloat16().float()
    elif precision == TF32:
        raise ValueError("tf32 products need a CUDA device")
    if kernel_of(a, b) == BATCHED:
        return torch.bmm(a, b, out=out)
    if a.size(0) == 1:
        return out.copy_(_alone(a, b))
    for a_one, b_one, out_one in zip(*(torch.split(t, 1) for t in (a, b, out)), strict=True):
        out_one.copy_(_alone(a_one, b_one))
    return out


def _alone(a: Tensor, b: Tensor) -> Tensor:
    """A network's product as it is defined, (1, m, n)."""
    if _multiplications(a, b) >= _LARGE:
        return torch.bmm(a, b)
    return torch.bmm(a.expand(2, -1, -1), b.expand(2, -1, -1)).narrow(0, 0, 1)


def _multiplications(a: Tensor, b: Tensor) -> int:
    """Of one network's product."""
    return a.size(1) * a.size(2) * b.size(2)


def _multiply_on_cuda(a: Tensor, b: Tensor, *, out: Tensor, precision: str) -> Tensor:
    if precision == BF16:
        # The product of two bfloat16 is exact in float32, in which the tensor cores sum.
        return torch.bmm(a.bfloat16(), b.bfloat16(), torch.float32, out=out)
    # Said at each call, so that no setting of the process turns full precision into tf32.
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "tf32" if precision == TF32 else "ieee"
    try:
        return torch.bmm(a, b, out=out)
    finally:
        settings.fp32_precision = before


def kernel_of(a: Tensor, b: Tensor) -> str:
    """How products of these shapes are computed on this machine: ``batched`` or ``each``.

    Args:
        a: (replica, m, k).
        b: (replica, k, n).
    """
    key = _key(a, b)
    found = _kernels.get(key)
    if found is None:
        found = _kernels[key] = _probe(key)
    _used[key] = found
    return found


def forget_use() -> None:
    """Lets `product_kernels` tell what is used from now on; what was found out is not forgotten."""
    _used.clear()


def product_kernels() -> dict[str, str]:
    """The kernels used in this process since `forget_use`, by a readable name of the shapes."""
    return {
        f"{size} of {m}x{k}{'T' if a_transposed else ''} @ {k}x{n}{'T' if b_transposed else ''}"
        f" {str(dtype).removeprefix('torch.')}": chosen
        for (size, (m, k), a_transposed, (_, n), b_transposed, dtype, _), chosen in _used.items()
    }


def _key(a: Tensor, b: Tensor) -> _Key:
    return (
        a.size(0),
        (a.size(1), a.size(2)),
        a.stride(2) != 1,
        (b.size(1), b.size(2)),
        b.stride(2) != 1,
        a.dtype,
        torch.get_num_threads(),
    )


def _probe(key: _Key) -> str:
    size, (m, k), a_transposed, (_, n), b_transposed, dtype, _ = key
    if m * k * n >= _LARGE:
        return EACH
    generator = torch.Generator().manual_seed(m * 1_000_003 + k * 1_009 + n)

    def matrices(rows: int, columns: int, *, transposed: bool) -> Tensor:
        if transposed:
            drawn = torch.randn(size, columns, rows, generator=generator, dtype=dtype)
            return drawn.transpose(1, 2)
        return torch.randn(size, rows, columns, generator=generator, dtype=dtype)

    a = matrices(m, k, transposed=a_transposed)
    b = matrices(k, n, transposed=b_transposed)
    alone = [_alone(*pair) for pair in zip(torch.split(a, 1), torch.split(b, 1), strict=True)]
    return BATCHED if torch.equal(torch.bmm(a, b), torch.cat(alone)) else EACH
