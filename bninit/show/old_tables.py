"""Tables that fit the terminal: less important columns go, or rows become cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    RenderableType,
    RenderResult,
)
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bninit.config import Config, config_to_yaml
from bninit.nets.architecture import (
    NOTES,
    ParameterRow,
    num_tracked,
    num_trained,
    parameter_rows,
)
from bninit.nets.initialisers import SCHEMES
from bninit.show import words as text
from bninit.show.words import plural
from bninit.store.names import run_folder

_GAP = 2
"""Columns between two columns of a table."""

_LONGEST_NAME = 24
"""Names up to this length are kept in one line, so that they can be read in 40 columns."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a `Grid`.

    Attributes:
        header: Short; a line break keeps a narrow column narrow.
        numeric: Whether its cells are set flush right.
        style: As rich takes it; nothing is told by colour alone.
        rank: 0 stays whatever the width; of the others the highest goes first.
    """

    header: str
    numeric: bool = False
    style: str = ""
    rank: int = 0


class Grid:
    """A table of texts that drops columns of high rank where it would not fit.

    What is still too wide is folded within its cells, so nothing is cut.

    Args:
        columns: From left to right.
        rows: As many cells each as there are columns; a cell may carry a style as `rich.text.Text`.
        title: Stands above it.
        sections: Rows after which a line is left free, counted from 0.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Sequence[str | Text]],
        *,
        title: str = "",
        sections: Sequence[int] = (),
    ) -> None:
        self._columns = list(columns)
        self._rows = [[_text(cell) for cell in row] for row in rows]
        self._title = title
        self._sections = frozenset(sections)
        cells = [[_text(column.header) for column in columns], *self._rows]
        self._widths = [
            max((cell_len(line) for cell in each for line in cell.plain.split("\n")), default=0)
            for each in zip(*cells, strict=True)
        ]

    def width(self, kept: Sequence[int] | None = None) -> int:
        """Columns of the terminal that it takes without folding.

        Args:
            kept: Which of its columns; all by default.
        """
        kept = range(len(self._columns)) if kept is None else kept
        return sum(self._widths[i] for i in kept) + _GAP * (len(kept) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = self._kept(options.max_width)
        if self.width(kept) <= options.max_width:
            # Several times as fast as rich's own table, which counts for a thousand runs.
            yield from self._lines(kept, rule="-" if options.ascii_only else "\u2500")
        else:
            yield self._folded(kept)

    def _lines(self, kept: Sequence[int], *, rule: str) -> Iterator[Text]:
        if self._title:
            yield Text(self._title, style="bold")
        headers = [self._columns[i].header.split("\n") for i in kept]
        height = max(map(len, headers))
        for level in zip(*([""] * (height - len(lines)) + lines for lines in headers), strict=True):
            yield self._line(kept, [Text(part, style="bold") for part in level])
        yield Text(rule * self.width(kept))
        for number, row in enumerate(self._rows):
            cells = [row[i].split("\n", allow_blank=True) for i in kept]
            for level in zip_longest(*cells, fillvalue=Text("")):
                yield self._line(kept, level)
            if number in self._sections:
                yield Text("")

    def _line(self, kept: Sequence[int], cells: Sequence[Text]) -> Text:
        line = Text(no_wrap=True)
        for i, cell in zip(kept, cells, strict=True):
            column = self._columns[i]
            space = " " * (self._widths[i] - cell.cell_len)
            gap = " " * _GAP if i != kept[-1] else ""
            line.append(space if column.numeric else "")
            styled = cell if cell.style or not column.style else Text(cell.plain, column.style)
            line.append_text(styled)
            line.append(gap if column.numeric else space + gap)
        line.rstrip()
        return line

    def _folded(self, kept: Sequence[int]) -> Table:
        table = Table(
            title=Text(self._title, style="bold") if self._title else None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, _GAP - 1, 0, 0),
        )
        for i in kept:
            column = self._columns[i]
            table.add_column(
                Text(column.header, style="bold"),
                justify="right" if column.numeric else "left",
                style=column.style,
                no_wrap=column.numeric,
                overflow="fold",
            )
        for number, row in enumerate(self._rows):
            table.add_row(*(row[i] for i in kept), end_section=number in self._sections)
        return table

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = self.width(self._kept(options.max_width))
        return Measurement(min(width, options.max_width), min(width, options.max_width))

    def _kept(self, max_width: int) -> list[int]:
        kept = list(range(len(self._columns)))
        while self.width(kept) > max_width:
            last = max(reversed(kept), key=lambda i: self._columns[i].rank)
            if self._columns[last].rank == 0:
                break
            kept.remove(last)
        return kept


class WideOrNarrow:
    """One thing where there is room for it, another where there is not.

    Args:
        wide: Tables that have to fit without folding.
        narrow: What is shown where one of them does not.
    """

    def __init__(self, wide: Sequence[Grid], narrow: RenderableType) -> None:
        self._wide = list(wide)
        self._narrow = narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if any(grid.width() > options.max_width for grid in self._wide):
            yield self._narrow
            return
        yield from with_gaps(self._wide)


def pairs(entries: Sequence[tuple[str, str | Text]], *, indent: int = 2) -> Table:
    """Names on the left, what they have on the right, folded where it is too long.

    Args:
        entries: In order.
        indent: Columns left free before the names.
    """
    table = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    longest = max((cell_len(name) for name, _ in entries), default=0)
    table.add_column(style="dim", no_wrap=longest <= _LONGEST_NAME, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in entries:
        table.add_row(Text(" " * indent + name), _text(value))
    return table


def block(title: str, content: RenderableType) -> Group:
    """Something with a title above it."""
    return Group(Text(title, style="bold", overflow="fold"), content)


def with_gaps(parts: Sequence[RenderableType]) -> list[RenderableType]:
    """The parts with an empty line between two of them."""
    spaced: list[RenderableType] = []
    for part in parts:
        if spaced:
            spaced.append(Text(""))
        spaced.append(part)
    return spaced


def stacked(parts: Sequence[RenderableType]) -> Group:
    """The parts one below the other, with an empty line between two of them."""
    return Group(*with_gaps(parts))


def _text(cell: str | Text) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


BATCH_NORM_REMARK = (
    "batch norm: 4 numbers for each node: gamma and beta are trained, moving mean and moving "
    "variance are tracked."
)


def parameter_table(rows: Sequence[ParameterRow]) -> RenderableType:
    """What a network is made of, layer by layer, with totals.

    Args:
        rows: As `bninit.nets.architecture.parameter_rows` gives them.
    """
    columns = [
        Column(header="layer"),
        Column(header="kind", style="bold"),
        Column(header="shape", rank=1),
        Column(header="trained", numeric=True),
        Column(header="tracked", numeric=True),
    ]
    lines: list[tuple[str, ...]] = []
    for place, row in enumerate(rows):
        again = place > 0 and rows[place - 1].layer == row.layer
        lines.append(
            (
                "" if again else row.layer,
                f"{row.kind}, {row.note}" if row.note else row.kind,
                " -> ".join(map(str, row.shape)),
                text.count(row.num_trained) if row.num_trained else "",
                text.count(row.num_tracked) if row.num_tracked else "",
            )
        )
    lines.append(("all", "", "", text.count(num_trained(rows)), text.count(num_tracked(rows))))
    parts: list[RenderableType] = [Grid(columns, lines, sections=[len(lines) - 2])]
    affine = any(row.num_tracked and row.num_trained for row in rows)
    remarks = [BATCH_NORM_REMARK] if affine else []
    remarks += [f"{note}: {NOTES[note]}." for note in dict.fromkeys(r.note for r in rows) if note]
    if remarks:
        parts.append(Text("\n".join(remarks), style="dim"))
    return stacked(parts)


def print_plan(config: Config, *, runs_dir: Path, console: Console | None = None) -> None:
    """Prints the resolved config, the parameter table, the iterations and the folders.

    Args:
        config: What was asked.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    console = console or Console()

    def say(line: str = "") -> None:
        console.print(Text(line), soft_wrap=True)

    say("# the config, every key resolved")
    say(config_to_yaml(config))
    console.print(parameter_table(parameter_rows(config.architecture)))
    scheme = SCHEMES[config.model.init.scheme]
    say()
    say(f"weights start as {scheme.name}: {scheme.law} ({scheme.source})")
    if scheme.note:
        say(f"  {scheme.note}")
    train, data = config.train, config.data
    whole, rest = divmod(data.num_train, train.batch_size)
    say()
    say(
        f"{data.num_train:,} training images in batches of {train.batch_size}: "
        f"{plural(config.iterations_per_epoch, 'iteration')} an epoch, "
        f"{config.iterations_per_epoch * train.epochs:,} in {plural(train.epochs, 'epoch')}"
    )
    if rest:
        done = "left out of each epoch" if train.last_batch == "drop" else "a batch of their own"
        say(f"  {data.num_train:,} = {whole} x {train.batch_size} + {rest}: the {rest} are {done}")
    say(f"{plural(len(train.seeds), 'network')}, one for each seed, would be written to")
    for seed in train.seeds[:5]:
        say(f"  {run_folder(runs_dir, config, seed)}")
    if len(train.seeds) > 5:
        say(f"  and {len(train.seeds) - 5} more")
