"""``bninit bench``: training speed beside common PyTorch loops, and how cost scales."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from bninit.data.load import Data, load
from bninit.engines.plan import resolve_device
from bninit.errors import DataError, UserError
from bninit.store.files import json_text
from bninit.store.output import keep_findings
from bninit.verbs.bench.baselines import Build, Case, LoaderLoop, PlainLoop, StackLoop
from bninit.verbs.bench.measure import (
    Grid,
    Limits,
    Record,
    case_result,
    measure_scaling,
    time_passes,
)

SCHEMA_VERSION = 1
"""Of the JSON."""

DEFAULT_SHAPES = (((256, 256, 256), 128), ((100, 100, 100), 60))
"""Hidden layers and batch size of the default cases."""

STACKS_ON_CPU = (2, 5, 10)
STACKS_ON_CUDA = (8, 64, 256)

_QUICK_STEPS = 8
_QUICK_LIMITS = partial(Limits, side=256, copied_bytes=1 << 22)
_QUICK_GRID = Grid(
    stacks=(1, 2),
    widths=(8, 16),
    depths=(1, 2),
    epochs=(1, 2),
    base_stack=2,
    base_width=8,
    base_depth=1,
    max_steps=2,
    num_repeats=1,
)


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
) -> Record:
    """Time bninit beside the loops that people write in PyTorch.

    Args:
        hidden: Units of each hidden layer; with `batch_size`, one case instead of the default two.
        batch_size: Examples per step.
        placement: Batch norm: ``none``, ``pre`` or ``post``.
        stacks: Sizes of the stacks to time beside a single network.
        num_repeats: Timed passes of each loop.
        max_steps: Most steps of a pass; the whole training set by default.
        quick: Few steps and small arrays: shows that it works, not how fast it is.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_name: A data set; by default MNIST where its files are, else the sample.
        data_dir: Folder searched first for data sets.
        others: Further loops.
        note: Called with a line of progress.

    Returns:
        What the JSON has: the machine (`Limits.machine`), the data set, the number of repeats, and
        the cases (`case_result`).

    Raises:
        DataError: The data set is missing, damaged, or smaller than a batch.
        DeviceError: The device is missing.
        UnequalLossesError: A loop computes something else than the others.
        UserError: A size is too small.
    """
    on = resolve_device(device)
    if stacks is None:
        stacks = (2,) if quick else STACKS_ON_CUDA if on.type == "cuda" else STACKS_ON_CPU
    shapes: Sequence[tuple[Sequence[int], int]] = DEFAULT_SHAPES
    if hidden is not None or batch_size is not None:
        units, size = shapes[0]
        shapes = [(units if hidden is None else hidden, size if batch_size is None else batch_size)]
    _check_sizes("--stacks", stacks)
    _check_sizes("--repeats", [num_repeats])
    _check_sizes("--hidden", hidden or [])
    _check_sizes("--batch-size", [batch for _, batch in shapes], least=2)
    _check_sizes("--steps", [] if max_steps is None else [max_steps])
    data = _load(data_name, data_dir=data_dir, device=str(on))
    if quick:
        max_steps = min(_QUICK_STEPS, max_steps or _QUICK_STEPS)
        num_repeats = min(2, num_repeats)
    cases = [
        Case(data, hidden=tuple(units), batch_size=size, placement=placement, max_steps=max_steps)
        for units, size in shapes
    ]
    limits = _QUICK_LIMITS(on) if quick else Limits(on)
    sizes = dict.fromkeys((1, *stacks))
    ours = [partial(StackLoop, num_networks=size) for size in sizes]
    timed = []
    for case in cases:
        note(f"{case.label}: {case.num_steps} steps, {num_repeats} times each")
        builds: list[Build] = [PlainLoop, LoaderLoop, *ours, *others]
        timed.append(time_passes(case, builds, num_repeats=num_repeats, between=limits.measure))
    machine = limits.machine()
    pairs = zip(cases, timed, strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": machine,
        "data": data.name,
        "num_repeats": num_repeats,
        "cases": [case_result(case, passes, machine=machine) for case, passes in pairs],
    }


def scaling(
    *,
    quick: bool = False,
    num_repeats: int = 3,
    placement: str = "pre",
    device: str = "auto",
    data_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Record:
    """Measure how time and memory grow with networks, width, depth and epochs.

    Args:
        quick: Few and small sizes.
        num_repeats: Timed passes at each size.
        placement: See `bench`.
        device: See `bench`.
        data_name: See `bench`.
        data_dir: See `bench`.
        note: See `bench`.

    Returns:
        What the JSON has: the machine (`Limits.machine`), the data set, the `Grid`, and the points
        (`measure_scaling`).

    Raises:
        DataError: The data set is missing, damaged, or smaller than a batch.
        DeviceError: The device is missing.
        UserError: A size is too small.
    """
    on = resolve_device(device)
    _check_sizes("--repeats", [num_repeats])
    grid = replace(_QUICK_GRID, placement=placement)
    limits = _QUICK_LIMITS(on) if quick else Limits(on)
    if not quick:
        grid = Grid(placement=placement, num_repeats=num_repeats)
    data = _load(data_name, data_dir=data_dir, device=str(on))
    limits.measure()
    points = measure_scaling(data, grid, note=note)
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": limits.machine(),
        "data": data.name,
        "grid": asdict(grid),
        "points": points,
    }


def keep_scaling(found: Record, *, runs_dir: str | os.PathLike[str] = "runs") -> Path:
    """Write ``scaling.json`` and ``scaling.png`` to the folder ``<runs_dir>/bench``; return it."""
    from bninit.show.charts import png
    from bninit.verbs.bench.pictures import scaling_chart

    return keep_findings(
        {"scaling.json": json_text(found), "scaling.png": png(scaling_chart(found))},
        runs_dir=runs_dir,
        kind="",
        name="bench",
    )


def _load(name: str | None, *, data_dir: str | os.PathLike[str] | None, device: str) -> Data:
    if name is not None:
        return load(name, data_dir=data_dir, device=device)
    try:
        return load("mnist", data_dir=data_dir, device=device, download=False)
    except DataError:
        return load("mnist5k", data_dir=data_dir, device=device)


def _check_sizes(option: str, values: Sequence[int], *, least: int = 1) -> None:
    for value in values:
        if value < least:
            raise UserError(f"{value} is too small", where=option, hint=f"allowed: {least} or more")
