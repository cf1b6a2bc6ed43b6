"""What a benchmark found, on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bninit.show import words as text
from bninit.show.tables import Column, Grid
from bninit.verbs.bench.contenders import LOADER, PLAIN

if TYPE_CHECKING:
    from bninit.verbs.bench.bench import Growth
    from bninit.verbs.bench.measure import BenchResult, CaseResult, Machine, Middle, Point

_COLUMNS = (
    Column(header="who"),
    Column(header="s per epoch\nand network", numeric=True),
    Column(header="from-to", numeric=True, rank=3),
    Column(header="of the\nplain loop", numeric=True),
    Column(header="of the\nDataLoader loop", numeric=True),
    Column(header="of best\nproducts", numeric=True, rank=1),
    Column(header="of best\nbandwidth", numeric=True, rank=2),
)

_AXES = {
    "stack": "networks in a stack",
    "width": "units of each hidden layer",
    "depth": "hidden layers",
    "epochs": "epochs, one after another",
}


def print_bench(found: BenchResult, *, console: Console | None = None) -> None:
    """Prints the machine and a table for each case.

    Args:
        found: From `bninit.verbs.bench.bench.bench`.
        console: Where to; standard output by default.
    """
    console = console or Console()
    _say(console, machine_line(found.machine))
    for case in found.cases:
        _say(console, "")
        console.print(case_table(case))
        _say(console, _how_timed(found, case))
    _say(console, "")
    _say(
        console,
        "Plain loop: PyTorch, eager, all images in memory. DataLoader loop: a dataset that decodes "
        "image by image, as in PyTorch's MNIST example. Everyone's first losses were equal, then "
        "they took turns; ratios are of the same round, medians (lowest-highest). Products and "
        "bandwidth are fractions of the machine's best, in the first line; above 100 % of the "
        "bandwidth, caches serve what memory could not.",
    )


def machine_line(machine: Machine) -> str:
    """The machine in a line of words, with what it reached at best."""
    where = machine.gpu or machine.processor or "unknown processor"
    threads = "" if machine.gpu else f", {text.plural(machine.threads, 'thread')}"
    return (
        f"{where}{threads}, torch {machine.torch}; at best "
        f"{machine.matmul_flops_per_second / 1e9:,.0f} GFLOP/s in a float32 product "
        f"({machine.matmul_library}), {machine.copy_bytes_per_second / 1e9:,.1f} GB/s in a copy"
    )


def case_table(case: CaseResult) -> Grid:
    """A row for each contender."""
    rows = [
        [
            row.name,
            f"{row.seconds.median:.3g}",
            f"{row.seconds.low:.3g}-{row.seconds.high:.3g}",
            _ratio(row.against_plain) if row.name != PLAIN else "1",
            _ratio(row.against_loader) if row.name != LOADER else "1",
            f"{100 * row.matmul_fraction:.0f} %",
            f"{100 * row.bandwidth_fraction:.0f} %",
        ]
        for row in case.rows
    ]
    return Grid(_COLUMNS, rows, title=case.label)


def print_growth(found: Growth, *, console: Console | None = None) -> None:
    """Prints the machine and a table for each thing that varies.

    Args:
        found: From `bninit.verbs.bench.bench.scaling`.
        console: Where to; standard output by default.
    """
    console = console or Console()
    _say(console, machine_line(found.machine))
    for axis, title in _AXES.items():
        _say(console, "")
        console.print(_axis_table([p for p in found.points if p.axis == axis], title=title))
    grid = found.grid
    _say(console, "")
    _say(
        console,
        f"Where nothing else is said: stacks of {grid.base_stack}, {grid.base_depth} x "
        f"{grid.base_width}, batch {grid.batch_size}, on {found.data}.",
    )


def _axis_table(points: list[Point], *, title: str) -> Grid:
    per_network = points[0].axis != "epochs"
    what = "s per epoch and network" if per_network else "s for all epochs, per network"
    columns = (
        Column(header=title),
        Column(header=what, numeric=True),
        Column(header="against the first", numeric=True),
        Column(header="memory", numeric=True),
        Column(header="memory per network", numeric=True, rank=1),
    )
    rows = [
        [
            text.count(point.value),
            f"{point.seconds.median:.3g} ({point.seconds.low:.3g} to {point.seconds.high:.3g})",
            f"{point.seconds.median / points[0].seconds.median:.2f}",
            text.size(point.held_bytes),
            text.size(point.held_bytes // point.num_networks),
        ]
        for point in points
    ]
    return Grid(columns, rows)


def _how_timed(found: BenchResult, case: CaseResult) -> str:
    return (
        f"{text.plural(found.num_repeats, 'time')} {text.plural(case.num_steps, 'step')} each on "
        f"{found.data}, scaled to an epoch of {case.epoch_steps} steps; a step of one network is "
        f"{case.flops_per_step / 1e6:,.0f} MFLOP in products and {case.bytes_per_step / 1e6:,.1f} "
        "MB read and written"
    )


def _ratio(ratio: Middle | None) -> str:
    if ratio is None:
        return text.MISSING
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _say(console: Console, line: str) -> None:
    console.print(Text(line))
