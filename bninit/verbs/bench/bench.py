"""Benchmarks: how fast training is on this machine, and how it grows."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bninit.data.load import Data, load
from bninit.engines.plan import resolve_device
from bninit.errors import DataError, UserError
from bninit.store import files as atomic
from bninit.verbs.bench.contenders import Build, Case, LoaderLoop, PlainLoop, stack_of
from bninit.verbs.bench.measure import (
    BenchResult,
    Grid,
    Limits,
    Machine,
    Point,
    measure_cases,
    measure_growth,
)

SCHEMA_VERSION = 1
"""Of the JSON that `as_json` writes."""

BENCH = "bench"
"""Folder in the runs folder for what benchmarks find."""

FULL = "mnist"
SAMPLE = "mnist5k"

DEFAULT_SHAPES = (((256, 256, 256), 128), ((100, 100, 100), 60))
"""Hidden layers and batch size of the cases that are timed unless others are asked for."""

STACKS_ON_CPU = (2, 5, 10)
STACKS_ON_CUDA = (8, 64, 256)

_QUICK_STEPS = 8
_QUICK_SIDE = 256
_QUICK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How time and memory grow on a machine.

    Attributes:
        machine: Where it was measured.
        data: Name of the data set.
        grid: What was tried.
        points: What was found.
    """

    machine: Machine
    data: str
    grid: Grid
    points: tuple[Point, ...]


def bench(
    *,
    hidden: Sequence[int] | None = None,
    batch_size: int | None = None,
    placement: str = "pre",
    stacks: Sequence[int] | None = None,
    num_repeats: int = 5,
    max_steps: int | None = None,
    quick: bool = False,
    device: str = "auto",
    data_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    others: Sequence[Build] = (),
    note: Callable[[str], None] = lambda line: None,
) -> BenchResult:
    """Times bninit beside the loops that people write in PyTorch.

    Args:
        hidden: Units of each hidden layer; with `batch_size`, one case instead of the default two.
        batch_size: Examples of a step.
        placement: Batch norm: ``none``, ``pre`` or ``post``.
        stacks: Networks in the stacks that are timed beside a single network.
        num_repeats: Timed passes of each contender.
        max_steps: Steps of a pass at most; all of the training set by default.
        quick: Few steps and small arrays: shows that it works, not how fast it is.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_name: ``mnist``, or another data set; by default MNIST where its files are, else the
            sample.
        data_dir: Folder searched first for data sets.
        others: More contenders.
        note: Told what is done.

    Raises:
        DataError: The data set is missing, damaged, or has less than a batch.
        DeviceError: The device is not there.
        UnequalLossesError: A contender computes something else than the others.
        UserError: A size that is none.
    """
    on = resolve_device(device)
    sizes = stacks if stacks is not None else _default_stacks(on.type, quick=quick)
    _check_sizes("--stacks", sizes)
    _check_sizes("--repeats", [num_repeats])
    shapes: Sequence[tuple[Sequence[int], int]] = DEFAULT_SHAPES
    if hidden is not None or batch_size is not None:
        standard_hidden, standard_batch = DEFAULT_SHAPES[0]
        shapes = [(standard_hidden if hidden is None else hidden, batch_size or standard_batch)]
    for units, batch in shapes:
        _check_sizes("--hidden", units)
        _check_sizes("--batch-size", [batch], least=2)
    if max_steps is not None:
        _check_sizes("--steps", [max_steps])
    data = _load(data_name, data_dir=data_dir, device=str(on))
    steps = min(_QUICK_STEPS, max_steps or _QUICK_STEPS) if quick else max_steps
    cases = [
        _case(data, hidden=units, batch_size=batch, placement=placement, max_steps=steps)
        for units, batch in shapes
    ]
    limits = Limits(on, side=_QUICK_SIDE, copied_bytes=_QUICK_BYTES) if quick else Limits(on)
    builds: list[Build] = [PlainLoop, LoaderLoop]
    builds += [stack_of(size) for size in dict.fromkeys((1, *sizes))]
    return measure_cases(
        cases,
        [*builds, *others],
        num_repeats=min(2, num_repeats) if quick else num_repeats,
        limits=limits,
        note=note,
    )


def scaling(
    *,
    quick: bool = False,
    num_repeats: int = 3,
    placement: str = "pre",
    device: str = "auto",
    data_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Growth:
    """Measures how time and memory grow with networks, width, depth and epochs.

    Args:
        quick: Few and small sizes.
        num_repeats: Timed passes at each size.
        placement: See `bench`.
        device: See `bench`.
        data_name: See `bench`.
        data_dir: See `bench`.
        note: See `bench`.

    Raises:
        DataError: The data set is missing or damaged.
        DeviceError: The device is not there.
        UserError: A size that is none.
    """
    on = resolve_device(device)
    _check_sizes("--repeats", [num_repeats])
    grid = Grid(placement=placement, num_repeats=num_repeats)
    limits = Limits(on)
    if quick:
        grid = Grid(
            stacks=(1, 2),
            widths=(8, 16),
            depths=(1, 2),
            epochs=(1, 2),
            base_stack=2,
            base_width=8,
            base_depth=1,
            placement=placement,
            max_steps=2,
            num_repeats=1,
        )
        limits = Limits(on, side=_QUICK_SIDE, copied_bytes=_QUICK_BYTES)
    data = _load(data_name, data_dir=data_dir, device=str(on))
    limits.measure()
    points = measure_growth(data, grid, note=note)
    return Growth(machine=limits.machine(), data=data.name, grid=grid, points=tuple(points))


def as_json(found: BenchResult | Growth) -> str:
    """All that was found, as strict JSON."""
    value: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(found)}
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def keep_growth(found: Growth, *, runs_dir: str | os.PathLike[str] = "runs") -> Path:
    """Writes table and picture of a growth to ``<runs_dir>/bench``; what was there is replaced.

    Returns:
        The folder.

    Raises:
        StoreError: It cannot be written.
    """
    from bninit.verbs.bench.pictures import growth_png

    folder = Path(runs_dir) / BENCH
    atomic.make_folder(folder)
    atomic.write_text(folder / "scaling.json", as_json(found))
    atomic.write_bytes(folder / "scaling.png", growth_png(found))
    return folder


def _default_stacks(kind: str, *, quick: bool) -> Sequence[int]:
    if quick:
        return (2,)
    return STACKS_ON_CUDA if kind == "cuda" else STACKS_ON_CPU


def _case(
    data: Data,
    *,
    hidden: Sequence[int],
    batch_size: int,
    placement: str,
    max_steps: int | None,
) -> Case:
    try:
        return Case.restricted(
            data,
            hidden=tuple(hidden),
            batch_size=batch_size,
            placement=placement,
            max_steps=max_steps,
        )
    except ValueError as error:
        raise DataError(
            f"{error} of {data.name}",
            where=f"--batch-size {batch_size}",
            hint=f"allowed: 2 to {data.train_x.size(0)}",
        ) from None


def _load(name: str | None, *, data_dir: str | os.PathLike[str] | None, device: str) -> Data:
    if name is not None:
        return load(name, data_dir=data_dir, device=device)
    try:
        return load(FULL, data_dir=data_dir, device=device, download=False)
    except DataError:
        return load(SAMPLE, data_dir=data_dir, device=device)


def _check_sizes(option: str, values: Sequence[int], *, least: int = 1) -> None:
    for value in values:
        if value < least:
            raise UserError(f"{value} is too small", where=option, hint=f"allowed: {least} or more")
