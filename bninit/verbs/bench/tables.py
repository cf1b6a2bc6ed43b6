"""Tables of ``bninit bench`` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bninit.show import words as text
from bninit.show.old_tables import Column, Grid
from bninit.verbs.bench.baselines import LOADER, PLAIN

if TYPE_CHECKING:
    from bninit.verbs.bench.measure import Record

_COLUMNS = (
    Column(header="loop"),
    Column(header="s per epoch\nand network", numeric=True),
    Column(header="range", numeric=True, rank=3),
    Column(header="ratio to\nplain loop", numeric=True),
    Column(header="ratio to\nDataLoader loop", numeric=True),
    Column(header="% of peak\nFLOP/s", numeric=True, rank=1),
    Column(header="% of peak\nbandwidth", numeric=True, rank=2),
)

_AXES = {
    "stack": "networks in a stack",
    "width": "units of each hidden layer",
    "depth": "hidden layers",
    "epochs": "epochs",
}

_REMARK = (
    "Plain loop: eager PyTorch, all images in memory. DataLoader loop: images are decoded one by "
    "one, as in PyTorch's MNIST example. The first losses of all loops were equal; then they were "
    "timed in turns. Ratios are taken within a round: median (lowest-highest). FLOP/s and "
    "bandwidth are relative to the machine's best, in the first line; above 100 % of the "
    "bandwidth, caches serve what memory could not."
)


def print_bench(found: Record, *, console: Console | None = None) -> None:
    """Print the machine and a table for each case (to standard output by default)."""
    console = console or Console()
    console.print(Text(machine_line(found["machine"])))
    for case in found["cases"]:
        console.print()
        console.print(Grid(_COLUMNS, _rows(case), title=case["label"]))
        console.print(Text(_timing(found, case)))
    console.print()
    console.print(Text(_REMARK))


def machine_line(machine: Record) -> str:
    """The machine and its best rates in one line."""
    where = machine["gpu"] or machine["processor"] or "unknown processor"
    threads = "" if machine["gpu"] else f", {text.plural(machine['threads'], 'thread')}"
    flops, copied = machine["matmul_flops_per_second"], machine["copy_bytes_per_second"]
    return (
        f"{where}{threads}, torch {machine['torch']}; at best {flops / 1e9:,.0f} GFLOP/s in a "
        f"float32 product ({machine['matmul_library']}), {copied / 1e9:,.1f} GB/s in a copy"
    )


def _rows(case: Record) -> list[list[str]]:
    return [
        [
            row["name"],
            f"{row['seconds']['median']:.3g}",
            f"{row['seconds']['low']:.3g}-{row['seconds']['high']:.3g}",
            "1" if row["name"] == PLAIN else _ratio(row["against_plain"]),
            "1" if row["name"] == LOADER else _ratio(row["against_loader"]),
            f"{100 * row['matmul_fraction']:.0f} %",
            f"{100 * row['bandwidth_fraction']:.0f} %",
        ]
        for row in case["rows"]
    ]


def _ratio(ratio: Record | None) -> str:
    if ratio is None:
        return text.MISSING
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _timing(found: Record, case: Record) -> str:
    repeats = text.plural(found["num_repeats"], "repeat")
    return (
        f"{repeats} of {text.plural(case['num_steps'], 'step')} on {found['data']}, scaled to an "
        f"epoch of {case['epoch_steps']} steps; a step of one network is "
        f"{case['flops_per_step'] / 1e6:,.0f} MFLOP in products and "
        f"{case['bytes_per_step'] / 1e6:,.1f} MB read and written"
    )


def print_scaling(found: Record, *, console: Console | None = None) -> None:
    """Print the machine and a table for each axis (to standard output by default)."""
    console = console or Console()
    console.print(Text(machine_line(found["machine"])))
    for axis, title in _AXES.items():
        console.print()
        console.print(_axis_table([p for p in found["points"] if p["axis"] == axis], title=title))
    grid = found["grid"]
    console.print()
    console.print(
        f"Base: stacks of {grid['base_stack']}, {grid['base_depth']} x {grid['base_width']}, "
        f"batch {grid['batch_size']}, on {found['data']}."
    )


def _axis_table(points: Sequence[Record], *, title: str) -> Grid:
    per = "for all epochs, per network" if title == "epochs" else "per epoch and network"
    columns = (
        Column(header=title),
        Column(header=f"s {per}", numeric=True),
        Column(header="ratio to first", numeric=True),
        Column(header="memory", numeric=True),
        Column(header="memory per network", numeric=True, rank=1),
    )
    first = points[0]["seconds"]["median"]
    rows = []
    for point in points:
        middle, low, high = (point["seconds"][key] for key in ("median", "low", "high"))
        row = [
            text.count(point["value"]),
            f"{middle:.3g} ({low:.3g} to {high:.3g})",
            f"{middle / first:.2f}",
            text.size(point["held_bytes"]),
            text.size(point["held_bytes"] // point["num_networks"]),
        ]
        rows.append(row)
    return Grid(columns, rows)
