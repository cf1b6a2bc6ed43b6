"""Batched products: right, and the same bits in any company, also from a library that differs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch

from bninit.nets import products
from bninit.nets.products import (
    BATCHED,
    BF16,
    EACH,
    FULL,
    TF32,
    forget_use,
    kernel_of,
    multiply,
    product_kernels,
)

TRANSPOSED = list(itertools.product((False, True), repeat=2))


@pytest.fixture(autouse=True)
def _nothing_tried_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_kernels", {})
    monkeypatch.setattr(products, "_used", {})


def matrices(
    size: int, rows: int, columns: int, *, transposed: bool = False, dtype: torch.dtype
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows + columns)
    if transposed:
        return torch.randn(size, columns, rows, generator=generator, dtype=dtype).transpose(1, 2)
    return torch.randn(size, rows, columns, generator=generator, dtype=dtype)


def bmm_that_differs(*, in_batches_of: int, calls: list[int]) -> object:
    real = torch.bmm

    def bmm(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor | None = None) -> torch.Tensor:
        calls.append(len(a))
        product = real(a, b) if out is None else real(a, b, out=out)
        if len(a) == in_batches_of:
            product[-1, -1, -1] = torch.nextafter(product[-1, -1, -1], torch.tensor(torch.inf))
        return product

    return bmm


@pytest.mark.parametrize(("a_transposed", "b_transposed"), TRANSPOSED)
@pytest.mark.parametrize("chosen", [BATCHED, EACH])
@pytest.mark.parametrize("size", [1, 4])
def test_both_routes_multiply(
    size: int, chosen: str, a_transposed: bool, b_transposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_probe", lambda _key: chosen)
    a = matrices(size, 17, 33, transposed=a_transposed, dtype=torch.float64)
    b = matrices(size, 33, 20, transposed=b_transposed, dtype=torch.float64)
    out = torch.full((size, 17, 20), torch.nan, dtype=torch.float64)
    assert multiply(a, b, out=out) is out
    torch.testing.assert_close(out, torch.einsum("rmk,rkn->rmn", a, b), rtol=1e-13, atol=1e-13)
    assert kernel_of(a, b) == chosen


@pytest.mark.parametrize(("a_transposed", "b_transposed"), TRANSPOSED)
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(100, 784, 60), (10, 100, 60), (10, 256, 128), (17, 33, 13), (256, 128, 100), (10, 784, 1)],
)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_the_bits_are_those_of_a_product_alone(
    num_threads: int,
    m: int,
    k: int,
    n: int,
    a_transposed: bool,
    b_transposed: bool,
    threads: Callable[[int], None],
) -> None:
    threads(num_threads)
    a = matrices(11, m, k, transposed=a_transposed, dtype=torch.float32)
    b = matrices(11, k, n, transposed=b_transposed, dtype=torch.float32)
    alone = [
        multiply(a[i : i + 1], b[i : i + 1], out=torch.empty(1, m, n))[0] for i in range(len(a))
    ]
    for one, a_one, b_one in zip(alone, a.double(), b.double(), strict=True):
        torch.testing.assert_close(one.double(), a_one @ b_one, rtol=0, atol=1e-3)
    for first, size in [(0, 1), (10, 1), (0, 2), (7, 3), (2, 6), (0, 11)]:
        part = slice(first, first + size)
        found = multiply(a[part], b[part], out=torch.empty(size, m, n))
        for one, expected in zip(found, alone[part], strict=True):
            assert torch.equal(one, expected)


@pytest.mark.parametrize("size", [2, 6, 10, 40])
def test_a_library_with_other_bits_in_batches_is_found_out(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch, "bmm", bmm_that_differs(in_batches_of=size, calls=calls))
    a = matrices(size, 16, 16, dtype=torch.float32)
    b = matrices(size, 16, 16, dtype=torch.float32)
    found = multiply(a, b, out=torch.empty(size, 16, 16))
    for one, a_one, b_one in zip(found, a, b, strict=True):
        assert torch.equal(one, torch.mm(a_one, b_one))
    assert kernel_of(a, b) == EACH
    calls.clear()
    multiply(a, b, out=found)
    assert calls == [2] * size


def test_a_batched_call_that_agrees_is_used_and_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch, "bmm", bmm_that_differs(in_batches_of=0, calls=calls))
    a = matrices(4, 32, 64, dtype=torch.float32)
    b = matrices(4, 64, 48, dtype=torch.float32)
    out = torch.empty(4, 32, 48)
    for _ in range(3):
        multiply(a, b, out=out)
    assert kernel_of(a, b) == BATCHED
    assert calls == [2] * 4 + [4] * 4  # one trial, three products


def test_the_values_have_no_say_in_the_route() -> None:
    a = matrices(3, 10, 100, dtype=torch.float32)
    b = matrices(3, 100, 60, dtype=torch.float32)
    chosen = kernel_of(a, b)
    products._kernels.clear()
    assert kernel_of(torch.full_like(a, torch.nan), torch.zeros_like(b)) == chosen


def test_large_products_go_one_by_one_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(torch, "bmm", bmm_that_differs(in_batches_of=0, calls=calls))
    a, b = torch.empty(2, 512, 1024), torch.empty(2, 1024, 512)
    assert kernel_of(a, b) == EACH
    assert calls == []
    multiply(a, b, out=torch.empty(2, 512, 512))
    assert calls == [1, 1]


def test_what_was_chosen_can_be_told() -> None:
    a = matrices(3, 10, 20, transposed=True, dtype=torch.float64)
    b = matrices(3, 20, 30, dtype=torch.float64)
    chosen = kernel_of(a, b)
    assert product_kernels() == {"3 of 10x20T @ 20x30 float64": chosen}
    forget_use()
    assert product_kernels() == {}
    assert kernel_of(a, b) == chosen
    assert product_kernels() == {"3 of 10x20T @ 20x30 float64": chosen}


@pytest.mark.parametrize("size", [1, 5])
def test_bf16_rounds_the_factors_and_nothing_else(size: int) -> None:
    a = matrices(size, 40, 300, dtype=torch.float32)
    b = matrices(size, 300, 30, transposed=True, dtype=torch.float32)
    found = multiply(a, b, out=torch.empty(size, 40, 30), precision=BF16)
    rounded = torch.bmm(a.bfloat16().double(), b.bfloat16().double())
    torch.testing.assert_close(found.double(), rounded, rtol=0, atol=1e-4)
    # Each factor is wrong by at most 2^-9 of itself, so a product by 2^-8, and so is their sum.
    error = (found.double() - torch.bmm(a.double(), b.double())).abs()
    assert (error <= 2**-8 * torch.bmm(a.abs().double(), b.abs().double())).all()
    assert error.max() > 1e-2
    alone = multiply(a[:1], b[:1], out=torch.empty(1, 40, 30), precision=BF16)
    assert torch.equal(alone[0], found[0])


def test_tf32_is_of_gpus() -> None:
    a = matrices(2, 8, 8, dtype=torch.float32)
    with pytest.raises(ValueError, match="CUDA"):
        multiply(a, a, out=torch.empty_like(a), precision=TF32)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("precision", "error"), [(FULL, 2**-20), (TF32, 2**-9), (BF16, 2**-8)])
def test_precisions_on_cuda_whatever_the_process_is_set_to(precision: str, error: float) -> None:
    a = matrices(3, 256, 512, dtype=torch.float32)
    b = matrices(3, 512, 128, dtype=torch.float32)
    exact = torch.bmm(a.double(), b.double())
    sizes = torch.bmm(a.abs().double(), b.abs().double())
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    try:
        for process in ("tf32", "ieee"):
            settings.fp32_precision = process
            out = torch.empty(3, 256, 128, device="cuda")
            found = multiply(a.cuda(), b.cuda(), out=out, precision=precision).cpu().double()
            worst = float(((found - exact).abs() / sizes).max())
            assert worst <= error
            assert precision == FULL or worst > 2**-20
            assert settings.fp32_precision == process
    finally:
        settings.fp32_precision = before
