"""Tables of ``bninit bench`` on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from bninit.show import words
from bninit.show.tables import Column, Table

if TYPE_CHECKING:
    from bninit.verbs.bench.measure import Record

_REMARK = (
    "Plain loop: eager PyTorch, all images in memory. DataLoader loop: images are decoded one by "
    "one, as in PyTorch's MNIST example. The first losses of all loops were equal; then they were "
    "timed in turns. Ratios are taken within a round: median (lowest-highest). FLOP/s and "
    "bandwidth are relative to the machine's best, in the first line; above 100 % of the "
    "bandwidth, caches serve what memory could not."
)

_AXES = {
    "stack": "networks in a stack",
    "width": "units of each hidden layer",
    "depth": "hidden layers",
    "epochs": "epochs",
}


def _range(times: Record) -> str:
    return f"{times['low']:.3g}-{times['high']:.3g}"


def _ratio(ratio: Record | None) -> str:
    if ratio is None:
        return words.MISSING
    if ratio["low"] == ratio["high"] == 1:
        return "1"
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _column(key: str, title: str, write: Callable[[Any], str], *, rank: int = 0) -> Column:
    return Column(key=key, title=title, write=write, numeric=True, rank=rank)


_COLUMNS = (
    Column(key="name", title="loop"),
    _column("seconds", "s per epoch\nand network", lambda times: f"{times['median']:.3g}"),
    _column("seconds", "range", _range, rank=3),
    _column("against_plain", "ratio to\nplain loop", _ratio),
    _column("against_loader", "ratio to\nDataLoader loop", _ratio),
    _column("matmul_fraction", "of peak\nFLOP/s", _percent, rank=1),
    _column("bandwidth_fraction", "of peak\nbandwidth", _percent, rank=2),
)


def print_bench(found: Record, *, console: Console | None = None) -> None:
    """Print the machine and a table for each case (to standard output by default)."""
    console = console or Console()
    console.print(Text(machine_line(found["machine"])))
    for case in found["cases"]:
        repeats = words.plural(found["num_repeats"], "repeat")
        console.print()
        console.print(Table(_COLUMNS, case["rows"], title=case["label"]))
        timing = (
            f"{repeats} of {words.plural(case['num_steps'], 'step')} on {found['data']}, scaled to "
            f"an epoch of {case['epoch_steps']} steps; a step of one network is "
            f"{case['flops_per_step'] / 1e6:,.0f} MFLOP in products and "
            f"{case['bytes_per_step'] / 1e6:,.1f} MB read and written"
        )
        console.print(Text(timing))
    console.print()
    console.print(Text(_REMARK))


def machine_line(machine: Record) -> str:
    """The machine and its best rates in one line."""
    where = machine["gpu"] or machine["processor"] or "unknown processor"
    threads = "" if machine["gpu"] else f", {words.plural(machine['threads'], 'thread')}"
    flops, copied = machine["matmul_flops_per_second"], machine["copy_bytes_per_second"]
    return (
        f"{where}{threads}, torch {machine['torch']}; at best {flops / 1e9:,.0f} GFLOP/s in a "
        f"float32 product ({machine['matmul_library']}), {copied / 1e9:,.1f} GB/s in a copy"
    )


def print_scaling(found: Record, *, console: Console | None = None) -> None:
    """Print the machine and a table for each axis (to standard output by default)."""
    console, grid = console or Console(), found["grid"]
    console.print(Text(machine_line(found["machine"])))
    for axis in _AXES:
        console.print()
        console.print(_axis_table([p for p in found["points"] if p["axis"] == axis], axis=axis))
    base = (
        f"Base: stacks of {grid['base_stack']}, {grid['base_depth']} x {grid['base_width']}, "
        f"batch {grid['batch_size']}, on {found['data']}."
    )
    console.print()
    console.print(Text(base))


def _axis_table(points: list[Record], *, axis: str) -> Table:
    per = "for all epochs, per network" if axis == "epochs" else "per epoch and network"
    first = points[0]["seconds"]["median"]
    rows = [
        {
            **point,
            "ratio": point["seconds"]["median"] / first,
            "bytes_per_network": point["held_bytes"] // point["num_networks"],
        }
        for point in points
    ]
    columns = [
        Column(key="value", title=_AXES[axis]),
        _column("seconds", f"s {per}", lambda times: f"{times['median']:.3g} ({_range(times)})"),
        _column("ratio", "ratio to first", "{:.2f}".format),
        _column("held_bytes", "memory", words.size),
        _column("bytes_per_network", "memory per network", words.size, rank=1),
    ]
    return Table(columns, rows)
