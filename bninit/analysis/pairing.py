"""From a tidy table of runs to arrays of paired cells.

Runs with the same seed share raw draws and batches; runs of one seed under several settings are
not independent of each other. So a row of these arrays is a seed, and everything that varies
within a seed (the axes that a claim does not name) lies in its cells, to be averaged before any
test: n is the number of seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from bninit.analysis.inference import Floats
from bninit.errors import UserError

Cell = tuple[object, ...]
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Paired:
    """Two sides on the same seeds, cells and levels.

    Attributes:
        seeds: Seeds that have every cell on every side, rising.
        left: Shape (seed, cell), or (seed, cell, level) with an axis to measure over.
        right: The same shape; None for one side alone.
        cells: Settings of the unnamed axes, one tuple per cell, in the order of `axes`.
        levels: Levels of the axis to measure over; empty without one.
        num_lost: Seeds left out because a run is missing.
        num_cells_left_out: Settings left out because only one side has them.
    """

    seeds: tuple[int, ...]
    left: Floats
    right: Floats | None
    cells: tuple[tuple[object, ...], ...]
    levels: tuple[object, ...]
    num_lost: int
    num_cells_left_out: int


def pair_by_seed(
    left: pd.DataFrame,
    right: pd.DataFrame | None = None,
    *,
    value: str,
    axes: Sequence[str] = (),
    over: str | None = None,
    seed: str = "seed",
) -> Paired:
    """Pair two sides over seeds and over the axes that the claim does not name.

    A run that is there with a NaN (diverged, target never reached) keeps its place; a run that is
    not there costs its seed, which is counted in `num_lost`.

    Args:
        left: One row per run, with columns for the seed, the axes and the value.
        right: The other side; None for a side held against a number or measured along an axis.
        value: Column of the metric.
        axes: Columns that vary within a side and are paired over.
        over: Column of the axis to measure a spread or a trend over.
        seed: Column of the seed.

    Raises:
        UserError: If a side has no runs, two runs for one cell, or nothing to pair.
    """
    keys = [*axes, *([over] if over is not None else [])]
    tables = [
        _by_cell(frame, value=value, keys=keys, seed=seed, side=side)
        for frame, side in ((left, "left"), (right, "right"))
        if frame is not None
    ]
    found = [list(table.columns) for table in tables]
    common = [cell for cell in found[0] if all(cell in columns for columns in found)]
    num_left_out = len({cell for columns in found for cell in columns}) - len(common)
    levels: list[object] = []
    if over is not None:
        levels = _in_order(dict.fromkeys(cell[-1] for cell in common))
        full = _with_every_level(common, levels=levels)
        num_left_out += len(common) - len(full)
        common = full
    else:
        common = _in_order(common)
    if not common:
        raise UserError(
            "the two sides have no setting in common to pair over",
            hint=f"both sides need runs at the same values of {', '.join(keys)}",
        )
    has_all = [_seeds_with_all(table, common) for table in tables]
    every_seed = sorted(set().union(*(table.index for table in tables)))
    seeds = [one for one in every_seed if all(one in complete for complete in has_all)]
    arrays = [_array(table, seeds=seeds, cells=common, num_levels=len(levels)) for table in tables]
    cells = [cell[:-1] for cell in common[:: len(levels)]] if levels else common
    return Paired(
        seeds=tuple(int(one) for one in seeds),
        left=arrays[0],
        right=arrays[1] if right is not None else None,
        cells=tuple(cells),
        levels=tuple(levels),
        num_lost=len(every_seed) - len(seeds),
        num_cells_left_out=num_left_out,
    )


@dataclass(frozen=True)
class _Table:
    """Values by seed and cell."""

    values: dict[tuple[int, Cell], float]
    index: frozenset[int]
    columns: dict[Cell, None]


def _by_cell(
    frame: pd.DataFrame, *, value: str, keys: Sequence[str], seed: str, side: str
) -> _Table:
    if frame.empty:
        raise UserError(f"the {side} side has no runs")
    values: dict[tuple[int, Cell], float] = {}
    columns = [frame[name].tolist() for name in (seed, value, *keys)]
    for one_seed, number, *rest in zip(*columns, strict=True):
        place = (int(one_seed), tuple(_plain(item) for item in rest))
        if place in values:
            setting = ", ".join(f"{k}={v}" for k, v in zip(keys, place[1], strict=True))
            raise UserError(
                f"the {side} side has two runs with seed {one_seed}"
                + (setting and f" at {setting}"),
                hint="narrow the side down, or name what varies within it as an axis",
            )
        values[place] = np.nan if pd.isna(number) else float(number)
    return _Table(
        values,
        index=frozenset(place[0] for place in values),
        columns=dict.fromkeys(place[1] for place in values),
    )


def _plain(item: object) -> object:
    """Something that can be looked up: lists (such as hidden widths) become tuples."""
    return tuple(item) if isinstance(item, list) else item


def _in_order(items: Iterable[Item]) -> list[Item]:
    """Sorted where the items can be compared, as found where they cannot."""
    found = list(items)
    try:
        return sorted(found)  # type: ignore[type-var]
    except TypeError:
        return found


def _with_every_level(cells: Sequence[Cell], *, levels: Sequence[object]) -> list[Cell]:
    """The cells whose setting has all levels of the measured axis; levels of a setting adjoin."""
    present = set(cells)
    settings = _in_order(dict.fromkeys(cell[:-1] for cell in cells))
    return [
        (*setting, level)
        for setting in settings
        if all((*setting, other) in present for other in levels)
        for level in levels
    ]


def _seeds_with_all(table: _Table, cells: Sequence[Cell]) -> frozenset[int]:
    return frozenset(
        seed for seed in table.index if all((seed, cell) in table.values for cell in cells)
    )


def _array(
    table: _Table, *, seeds: Sequence[int], cells: Sequence[Cell], num_levels: int
) -> Floats:
    flat = np.array([[table.values[seed, cell] for cell in cells] for seed in seeds])
    flat = flat.reshape(len(seeds), len(cells))
    return flat.reshape(len(seeds), -1, num_levels) if num_levels else flat
