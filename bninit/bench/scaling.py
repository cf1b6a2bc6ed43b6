"""How time and memory grow: with the networks of a stack, with width, with depth, with epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType

import torch
from torch import Tensor

from bninit.bench.case import Case
from bninit.bench.measure import Middle
from bninit.bench.stacks import Stack
from bninit.data.load import Data

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
        seconds: For an epoch and network (see `bninit.bench.measure.Row`); on the axis
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
