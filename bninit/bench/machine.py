"""The machine, and what it can do at best: large matrix products, and copies of large arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bninit.store.environment import environment

_SIDE = 2048
_COPIED_BYTES = 256 << 20
"""Far more than caches hold."""


@dataclass(frozen=True)
class Machine:
    """Where a benchmark ran.

    Attributes:
        processor: Name of the CPU; None where it is not known.
        gpu: Name of the GPU; None on the CPU.
        threads: Of torch on the CPU.
        torch: Its version.
        matmul_flops_per_second: Best rate of a product of two float32 matrices of side 2048; on
            CUDA with the caller's setting for TF32.
        matmul_library: Who reached it.
        copy_bytes_per_second: Bytes read and written per second when 256 MiB are copied.
    """

    processor: str | None
    gpu: str | None
    threads: int
    torch: str
    matmul_flops_per_second: float
    matmul_library: str
    copy_bytes_per_second: float


class Limits:
    """Measures the machine again and again; the best that was seen counts.

    Args:
        device: Of the products and copies.
        side: Of the square matrices.
        copied_bytes: Of the array that is copied.
        clock: Tells seconds.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        side: int = _SIDE,
        copied_bytes: int = _COPIED_BYTES,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._device = device
        self._clock = clock
        self._flops = 2 * side**3
        generator = torch.Generator().manual_seed(0)
        self._a, self._b = (
            torch.randn(side, side, generator=generator).to(device) for _ in range(2)
        )
        self._out = torch.empty_like(self._a)
        self._from = torch.zeros(copied_bytes // 4, device=device)
        self._to = torch.ones_like(self._from)
        self._rates: dict[str, float] = {}
        self._copy_rate = 0.0

    def measure(self) -> None:
        """Takes each once."""
        for name, product in self._products().items():
            rate = self._flops / self._seconds(product)
            self._rates[name] = max(rate, self._rates.get(name, 0.0))
        num_bytes = 2 * self._from.numel() * self._from.element_size()
        rate = num_bytes / self._seconds(lambda: self._to.copy_(self._from))
        self._copy_rate = max(rate, self._copy_rate)

    def machine(self) -> Machine:
        """The best so far.

        Raises:
            ValueError: Nothing was measured yet.
        """
        if not self._rates:
            raise ValueError("nothing was measured yet")
        about = environment(device=str(self._device))
        library = max(self._rates, key=self._rates.__getitem__)
        return Machine(
            processor=about["cpu"],
            gpu=about["device_name"],
            threads=about["threads"],
            torch=about["versions"]["torch"],
            matmul_flops_per_second=self._rates[library],
            matmul_library=library,
            copy_bytes_per_second=self._copy_rate,
        )

    def _products(self) -> dict[str, Callable[[], Tensor]]:
        def blas() -> Tensor:
            return torch.mm(self._a, self._b, out=self._out)

        if self._device.type == "cuda":
            return {"cuBLAS": blas}
        name = "MKL" if torch.backends.mkl.is_available() else "BLAS"  # type: ignore[no-untyped-call]
        found: dict[str, Callable[[], Tensor]] = {name: blas}
        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            # torch sends convolutions to oneDNN; one of width 1 is a matrix product.
            weight, x = self._a.unsqueeze(2), self._b.unsqueeze(0)
            found["oneDNN"] = lambda: torch.nn.functional.conv1d(x, weight)
        return found

    def _seconds(self, work: Callable[[], object]) -> float:
        work()
        self._wait()
        began = self._clock()
        work()
        self._wait()
        return self._clock() - began

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
