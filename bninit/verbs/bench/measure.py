"""Timing of training loops in turns, beside the machine's best rates, and how cost scales."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.store.environment import environment
from bninit.verbs.bench.baselines import LOADER, PLAIN, Build, Case, Loop, StackLoop, check_losses

Clock: TypeAlias = "Callable[[], float]"
Record: TypeAlias = "dict[str, Any]"
"""What the JSON, the tables and the picture are made of."""


class Limits:
    """Measures the machine's best rates: large matrix products, and copies of large arrays.

    Args:
        device: Of the products and copies.
        side: Of the square float32 matrices; on CUDA with the caller's setting for TF32.
        copied_bytes: Of the copied array; far more than caches hold.
        clock: Returns seconds.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        side: int = 2048,
        copied_bytes: int = 256 << 20,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._device, self._clock = device, clock
        generator = torch.Generator().manual_seed(0)
        a, b = (torch.randn(side, side, generator=generator).to(device) for _ in range(2))
        self.products = _products(a, b)
        source = torch.zeros(copied_bytes // 4, device=device)
        self._copy = partial(torch.ones_like(source).copy_, source)
        self._flops, self._bytes = 2 * side**3, 2 * source.nbytes
        self._rates = dict.fromkeys(self.products, 0.0)
        self._copy_rate = 0.0

    def measure(self) -> None:
        """Run each once; the best rate so far counts."""
        for name, product in self.products.items():
            self._rates[name] = max(self._flops / self._seconds(product), self._rates[name])
        self._copy_rate = max(self._bytes / self._seconds(self._copy), self._copy_rate)

    def machine(self) -> Record:
        """The machine and its best rates so far; a copy both reads and writes its bytes."""
        about = environment(device=str(self._device))
        library = max(self._rates, key=self._rates.__getitem__)
        return {
            "processor": about["cpu"],
            "gpu": about["device_name"],
            "threads": about["threads"],
            "torch": about["versions"]["torch"],
            "matmul_flops_per_second": self._rates[library],
            "matmul_library": library,
            "copy_bytes_per_second": self._copy_rate,
        }

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


def _products(a: Tensor, b: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The product a b by each library of the device."""
    blas = partial(torch.mm, a, b, out=torch.empty_like(a))
    if a.device.type == "cuda":
        return {"cuBLAS": blas}
    name = "MKL" if torch.backends.mkl.is_available() else "BLAS"  # type: ignore[no-untyped-call]
    found: dict[str, Callable[[], Tensor]] = {name: blas}
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        # torch sends convolutions to oneDNN; one of width 1 is a matrix product.
        found["oneDNN"] = partial(torch.nn.functional.conv1d, b.unsqueeze(0), a.unsqueeze(2))
    return found


def time_passes(
    case: Case,
    builds: Sequence[Build],
    *,
    num_repeats: int,
    between: Callable[[], None] = lambda: None,
    clock: Clock = time.perf_counter,
) -> list[Record]:
    """Time loops in turns.

    The first pass of each is checked and not timed. Each round then starts with another loop, so
    that whatever slows the machine for a while slows all of them.
    """
    turns: list[tuple[Loop, Record]] = []
    for loop in [build(case) for build in builds]:
        row: Record = {"name": loop.name, "num_networks": loop.num_networks, "passes": []}
        row["loss_difference"] = check_losses(case, name=loop.name, losses=loop.train())
        turns.append((loop, row))
    for repeat in range(num_repeats):
        between()
        first = repeat % len(turns)
        for loop, row in [*turns[first:], *turns[:first]]:
            began = clock()
            loop.train()
            row["passes"].append(clock() - began)
    return [row for _, row in turns]


def case_result(case: Case, timed: Sequence[Record], *, machine: Record) -> Record:
    """Relate the times of a case to each other and to the machine."""
    epochs = {
        row["name"]: [
            seconds / row["num_networks"] / case.num_steps * case.epoch_steps
            for seconds in row["passes"]
        ]
        for row in timed
    }

    def against(name: str, own: list[float]) -> Record | None:
        if name not in epochs:
            return None
        return median_range([a / b for a, b in zip(own, epochs[name], strict=True)])

    rows = []
    for timed_row in timed:
        own = epochs[timed_row["name"]]
        per_step = median(own) / case.epoch_steps
        row = {
            "name": timed_row["name"],
            "num_networks": timed_row["num_networks"],
            "seconds": median_range(own),
            "against_plain": against(PLAIN, own),
            "against_loader": against(LOADER, own),
            "matmul_fraction": case.flops_per_step / per_step / machine["matmul_flops_per_second"],
            "bandwidth_fraction": case.bytes_per_step / per_step / machine["copy_bytes_per_second"],
            "loss_difference": timed_row["loss_difference"],
        }
        rows.append(row)
    return {**case.describe(), "rows": rows}


def median_range(values: Sequence[float]) -> Record:
    """Median, lowest and highest of at least one measurement."""
    return {"median": median(values), "low": min(values), "high": max(values)}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Sizes to try; where one axis varies, the others stay at the base.

    Attributes:
        stacks: Networks in a stack.
        widths: Units of each hidden layer.
        depths: Hidden layers.
        epochs: Passes through the images, one after another.
        base_stack: Networks.
        base_width: Units.
        base_depth: Layers.
        batch_size: Examples per step.
        placement: Of batch norm.
        max_steps: Most steps of a pass; None for the whole training set.
        num_repeats: Timed passes.
    """

    stacks: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    depths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    epochs: tuple[int, ...] = (1, 2, 4, 8)
    base_stack: int = 10
    base_width: int = 100
    base_depth: int = 3
    batch_size: int = 60
    placement: str = "pre"
    max_steps: int | None = 30
    num_repeats: int = 3


def measure_scaling(
    data: Data,
    grid: Grid,
    *,
    note: Callable[[str], None] = lambda line: None,
    clock: Clock = time.perf_counter,
) -> list[Record]:
    """Time stacks of all sizes of a grid."""
    axes = {"stack": grid.stacks, "width": grid.widths, "depth": grid.depths, "epochs": grid.epochs}
    points = []
    for axis, value in ((axis, value) for axis, values in axes.items() for value in values):
        note(f"{axis} {value}")
        sizes = {
            "stack": grid.base_stack,
            "width": grid.base_width,
            "depth": grid.base_depth,
            "epochs": 1,
            axis: value,
        }
        case = Case(
            data,
            hidden=(sizes["width"],) * sizes["depth"],
            batch_size=grid.batch_size,
            placement=grid.placement,
            max_steps=grid.max_steps,
        )
        stack, held_bytes = _warmed_up(case, num_networks=sizes["stack"])
        scale = sizes["stack"] * case.num_steps / case.epoch_steps
        seconds = []
        for _ in range(grid.num_repeats):
            began = clock()
            for _ in range(sizes["epochs"]):
                stack.train()
            seconds.append((clock() - began) / scale)
        del stack  # so that its memory is free for the next one
        point = {
            "axis": axis,
            "value": value,
            "num_networks": sizes["stack"],
            "width": sizes["width"],
            "depth": sizes["depth"],
            "num_epochs": sizes["epochs"],
            "seconds": median_range(seconds),
            "held_bytes": held_bytes,
        }
        points.append(point)
    return points


def _warmed_up(case: Case, *, num_networks: int) -> tuple[StackLoop, int]:
    """A stack after its first pass, and the bytes that it takes."""
    on_cuda = case.device.type == "cuda"
    before = live_storages()
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(case.device)
        allocated = torch.cuda.memory_allocated(case.device)
    stack = StackLoop(case, num_networks=num_networks)
    stack.train()
    if on_cuda:
        return stack, torch.cuda.max_memory_allocated(case.device) - allocated
    now = live_storages()
    return stack, sum(now[address] for address in now.keys() - before.keys())


def live_storages() -> dict[int, int]:
    """Bytes of every storage that a tensor in this process holds, by address."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
    storages = [each.untyped_storage() for each in tensors]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}
