"""The machine, and what it can do at best: large matrix products, and copies of large arrays."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType

import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.store.environment import environment
from bninit.verbs.bench.contenders import LOADER, PLAIN, Build, Case, Stack, check_losses

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


@dataclass(frozen=True)
class Middle:
    """Several measurements of one thing.

    Attributes:
        median: Of all.
        low: Lowest.
        high: Highest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Middle:
        """Sums up at least one measurement."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender.

    Attributes:
        name: Who.
        num_networks: Networks that it trains together.
        seconds: For an epoch of `EPOCH_IMAGES` images and one network, scaled from the steps that
            were timed.
        against_plain: These seconds over those of the plain loop, repeat by repeat; None without
            a plain loop.
        against_loader: The same against the loop with a DataLoader.
        matmul_fraction: Operations of its matrix products per second (median), as a fraction of
            the machine's best rate.
        bandwidth_fraction: Bytes per second (median) as `Work` counts them, as a
            fraction of the machine's copy rate; above 1, caches serve what memory could not.
        loss_difference: Largest relative difference of its first losses from the reference.
    """

    name: str
    num_networks: int
    seconds: Middle
    against_plain: Middle | None
    against_loader: Middle | None
    matmul_fraction: float
    bandwidth_fraction: float
    loss_difference: float


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """All contenders on one case.

    Attributes:
        label: The case in short.
        hidden: Units of each hidden layer.
        batch_size: Examples of a step.
        placement: Of batch norm.
        num_steps: Steps of each timed pass.
        epoch_steps: Steps that `Row.seconds` is for.
        flops_per_step: Of one network; see `bninit.verbs.bench.contenders`.
        bytes_per_step: Of one network; see `bninit.verbs.bench.contenders`.
        rows: One for each contender.
    """

    label: str
    hidden: tuple[int, ...]
    batch_size: int
    placement: str
    num_steps: int
    epoch_steps: int
    flops_per_step: int
    bytes_per_step: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What a benchmark found.

    Attributes:
        machine: Where it ran.
        data: Name of the data set.
        num_repeats: Timed passes of each contender.
        cases: In order.
    """

    machine: Machine
    data: str
    num_repeats: int
    cases: tuple[CaseResult, ...]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of passes, before they are put into relation.

    Attributes:
        seconds: For each contender those of its passes, in the order of the repeats.
        num_networks: For each contender.
        loss_differences: For each contender.
    """

    seconds: Mapping[str, list[float]]
    num_networks: Mapping[str, int]
    loss_differences: Mapping[str, float]


def time_passes(
    case: Case,
    builds: Sequence[Build],
    *,
    num_repeats: int,
    between: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Times contenders in turns.

    The first pass of each is checked and not timed. Then they take turns, each time beginning
    with another one, so that what slows the machine down for a while slows all of them down.

    Args:
        case: What they train.
        builds: Make them.
        num_repeats: Timed passes of each.
        between: Called before each round.
        clock: Tells seconds.

    Raises:
        UnequalLossesError: One of them computes something else.
    """
    contenders = [build(case) for build in builds]
    differences = {
        each.name: check_losses(case, name=each.name, losses=each.train()) for each in contenders
    }
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for repeat in range(num_repeats):
        between()
        first = repeat % len(contenders)
        for each in [*contenders[first:], *contenders[:first]]:
            began = clock()
            each.train()
            seconds[each.name].append(clock() - began)
    return Times(
        seconds=seconds,
        num_networks={each.name: each.num_networks for each in contenders},
        loss_differences=differences,
    )


def result_of(case: Case, times: Times, *, machine: Machine) -> CaseResult:
    """Puts the times of a case into relation to each other and to the machine."""
    per_epoch = {
        name: [
            one / times.num_networks[name] / case.num_steps * case.epoch_steps for one in seconds
        ]
        for name, seconds in times.seconds.items()
    }
    work = case.work
    rows = []
    for name, seconds in per_epoch.items():
        per_step = statistics.median(seconds) / case.epoch_steps
        rows.append(
            Row(
                name=name,
                num_networks=times.num_networks[name],
                seconds=Middle.of(seconds),
                against_plain=_ratio(seconds, per_epoch.get(PLAIN)),
                against_loader=_ratio(seconds, per_epoch.get(LOADER)),
                matmul_fraction=work.flops / per_step / machine.matmul_flops_per_second,
                bandwidth_fraction=work.num_bytes / per_step / machine.copy_bytes_per_second,
                loss_difference=times.loss_differences[name],
            )
        )
    return CaseResult(
        label=case.label,
        hidden=case.hidden,
        batch_size=case.batch_size,
        placement=case.placement,
        num_steps=case.num_steps,
        epoch_steps=case.epoch_steps,
        flops_per_step=work.flops,
        bytes_per_step=work.num_bytes,
        rows=tuple(rows),
    )


def measure_cases(
    cases: Sequence[Case],
    builds: Sequence[Build],
    *,
    num_repeats: int,
    limits: Limits,
    note: Callable[[str], None] = lambda line: None,
) -> BenchResult:
    """Times contenders on several cases, and the machine in between.

    Args:
        cases: At least one.
        builds: Make the contenders.
        num_repeats: Timed passes of each contender, at least 1.
        limits: Measure the machine before each round.
        note: Told what is done.

    Raises:
        UnequalLossesError: A contender computes something else.
    """
    found = []
    for case in cases:
        note(f"{case.label}: {case.num_steps} steps, {num_repeats} times each")
        found.append(time_passes(case, builds, num_repeats=num_repeats, between=limits.measure))
    machine = limits.machine()
    return BenchResult(
        machine=machine,
        data=cases[0].data.name,
        num_repeats=num_repeats,
        cases=tuple(
            result_of(case, times, machine=machine)
            for case, times in zip(cases, found, strict=True)
        ),
    )


def _ratio(seconds: Sequence[float], others: Sequence[float] | None) -> Middle | None:
    if others is None:
        return None
    return Middle.of([one / other for one, other in zip(seconds, others, strict=True)])


STACK = "stack"
WIDTH = "width"
DEPTH = "depth"
EPOCHS = "epochs"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is tried; where one thing varies, the others are the base.

    Attributes:
        stacks: Networks in a stack.
        widths: Units of each hidden layer.
        depths: Hidden layers.
        epochs: Passes through the images, one after another.
        base_stack: Networks.
        base_width: Units.
        base_depth: Layers.
        batch_size: Examples of a step.
        placement: Of batch norm.
        max_steps: Steps of a pass at most; None for all of the training set.
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


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size that was tried.

    Attributes:
        axis: What varies: ``stack``, ``width``, ``depth`` or ``epochs``.
        value: Of that.
        num_networks: Networks in the stack.
        width: Units of each hidden layer.
        depth: Hidden layers.
        num_epochs: Passes that are timed together.
        seconds: For an epoch and network (see `bninit.verbs.bench.measure.Row`); on the axis
            ``epochs``, for all of them.
        held_bytes: Memory that the stack holds between two steps, the images not counted; on
            CUDA the most that it had allocated at any time.
    """

    axis: str
    value: int
    num_networks: int
    width: int
    depth: int
    num_epochs: int
    seconds: Middle
    held_bytes: int


def measure_growth(
    data: Data,
    grid: Grid,
    *,
    note: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Point]:
    """Times stacks of all sizes of a grid.

    Args:
        data: As in `Case.restricted`.
        grid: What is tried.
        note: Told what is done.
        clock: Tells seconds.

    Returns:
        Axis by axis, rising.

    Raises:
        ValueError: The training set has less than a batch.
    """
    sizes = [
        *((STACK, n, (n, grid.base_width, grid.base_depth, 1)) for n in grid.stacks),
        *((WIDTH, w, (grid.base_stack, w, grid.base_depth, 1)) for w in grid.widths),
        *((DEPTH, d, (grid.base_stack, grid.base_width, d, 1)) for d in grid.depths),
        *((EPOCHS, e, (grid.base_stack, grid.base_width, grid.base_depth, e)) for e in grid.epochs),
    ]
    points = []
    for axis, value, (num_networks, width, depth, num_epochs) in sizes:
        note(f"{axis} {value}")
        case = Case.restricted(
            data,
            hidden=(width,) * depth,
            batch_size=grid.batch_size,
            placement=grid.placement,
            max_steps=grid.max_steps,
        )
        seconds, held = _measure(case, num_networks, num_epochs, grid.num_repeats, clock)
        per = num_networks * case.num_steps / case.epoch_steps
        points.append(
            Point(
                axis=axis,
                value=value,
                num_networks=num_networks,
                width=width,
                depth=depth,
                num_epochs=num_epochs,
                seconds=Middle.of([one / per for one in seconds]),
                held_bytes=held,
            )
        )
    return points


def _measure(
    case: Case,
    num_networks: int,
    num_epochs: int,
    num_repeats: int,
    clock: Callable[[], float],
) -> tuple[Sequence[float], int]:
    on_cuda = case.device.type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(case.device)
        before = torch.cuda.memory_allocated(case.device)
    stack = Stack(case, num_networks=num_networks)
    stack.train()
    if on_cuda:
        held = torch.cuda.max_memory_allocated(case.device) - before
    else:
        images = [each for each in vars(case.data).values() if isinstance(each, Tensor)]
        held = bytes_held(stack, but=images)
    seconds = []
    for _ in range(num_repeats):
        began = clock()
        for _ in range(num_epochs):
            stack.train()
        seconds.append(clock() - began)
    return seconds, held


def bytes_held(root: object, *, but: Sequence[Tensor] = ()) -> int:
    """Bytes of all tensors that an object leads to, each storage once.

    Args:
        root: Followed through attributes, containers and closures.
        but: Tensors that are not counted.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in but}
    seen: dict[int, object] = {}
    waiting, total = [root], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | ModuleType):
            continue
        seen[id(each)] = each  # kept, so that no other object gets its id
        if isinstance(each, Tensor):
            storage = each.untyped_storage()
            if storage.data_ptr() not in known:
                known.add(storage.data_ptr())
                total += storage.nbytes()
        elif isinstance(each, Mapping):
            waiting += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += each
        elif isinstance(each, FunctionType):
            waiting += [cell.cell_contents for cell in each.__closure__ or ()]
        else:
            waiting += getattr(each, "__dict__", {}).values()
    return total
