"""Tables of plain values, written once for each medium: terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from bninit.show import words

if TYPE_CHECKING:
    from bninit.arms import ArmSummary, TargetSummary
    from bninit.nets.architecture import ParameterRow

_GAP = 2
"""Columns of the terminal between two columns of a table."""

_LONGEST_NAME = 24
"""Names up to this length are kept in one line, so that they can be read in 40 columns."""

Cell = str | Text


def plain_cell(value: Any) -> Cell:
    """The default format: texts as they are, counts with commas, a dash for nothing."""
    if value is None:
        return words.MISSING
    if isinstance(value, Text):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return words.count(value)
    return words.setting(value)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a `Table`.

    Attributes:
        key: Of its values in the rows; the header in CSV and the key in JSON.
        title: For people; a line break keeps a narrow column narrow.
        write: Its format: the text of a value, with a style where that helps.
        numeric: Whether its cells are set flush right.
        style: As rich takes it; nothing is marked by colour alone.
        rank: 0 stays whatever the width; of the others the highest goes first.
        hidden: Whether only CSV and JSON have it.
    """

    key: str
    title: str = ""
    write: Callable[[Any], Cell] = plain_cell
    numeric: bool = False
    style: str = ""
    rank: int = 0
    hidden: bool = False


class Table:
    """Rows of plain values under columns.

    Where it would not fit a terminal, the group becomes a line above its rows; then columns of high
    rank go; if that is not enough, each row becomes a
    column or a card. Nothing is cut.

    Args:
        columns: From left to right.
        rows: Values by key; a missing one is None.
        title: Stands above it.
        group: Key of a column whose repeated values are left out; a free line follows each group
            of several rows.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        rows: Sequence[Mapping[str, Any]],
        *,
        title: str = "",
        group: str = "",
    ) -> None:
        self.columns = tuple(columns)
        self.rows = [dict(row) for row in rows]
        self.title = title
        self._shown = [column for column in columns if not column.hidden]
        self._full = [[_text(c.write(row.get(c.key))) for c in self._shown] for row in self.rows]
        self._cells = [list(cells) for cells in self._full]
        self._group = next((i for i, c in enumerate(self._shown) if group and c.key == group), None)
        self._ends: set[int] = set()
        if self._group is not None:
            values = [row.get(group) for row in self.rows]
            again = [i for i in range(1, len(values)) if values[i] == values[i - 1]]
            for i in again:
                self._cells[i][self._group] = Text("")
            if again:
                self._ends = {i - 1 for i in range(1, len(values)) if i not in again}
        self._widths = [
            max(cell_len(line) for cell in (c.title, *cells) for line in str(cell).split("\n"))
            for c, *cells in zip(self._shown, *self._cells, strict=True)
        ]

    def records(self) -> list[dict[str, Any]]:
        """Its rows with the values of all columns, for JSON."""
        return [{column.key: row.get(column.key) for column in self.columns} for row in self.rows]

    def csv(self) -> str:
        """All columns and plain values; what there is none of is empty, lists have blanks."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        for record in self.records():
            writer.writerow([_csv_cell(value) for value in record.values()])
        return file.getvalue()

    def markdown(self) -> str:
        """A table of GitHub's Markdown, without its title."""
        lines = ["| " + " | ".join(_markdown(c.title) for c in self._shown) + " |"]
        lines.append("|" + "|".join(" ---: " if c.numeric else " --- " for c in self._shown) + "|")
        for cells in self._cells:
            lines.append("| " + " | ".join(_markdown(cell.plain) for cell in cells) + " |")
        return "\n".join(lines)

    def width(self, kept: Sequence[int] | None = None) -> int:
        """Columns of the terminal that it takes, or some of its columns take."""
        kept = range(len(self._shown)) if kept is None else kept
        return sum(self._widths[i] for i in kept) + _GAP * (len(kept) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        kept = list(range(len(self._shown)))
        in_sections = False
        while self.width(kept) > options.max_width:
            last = max(reversed(kept), key=lambda i: self._shown[i].rank)
            if self._group in kept and len(kept) > 2:
                in_sections = True
                kept.remove(self._group)
            elif self._shown[last].rank > 0:
                kept.remove(last)
            else:
                turned = self._turned()
                yield turned if turned.width() <= options.max_width else self._cards()
                return
        if self.title:
            yield Text(self.title, style="bold", overflow="fold")
        # Several times as fast as rich's own table, which counts for a thousand runs.
        headers = [self._shown[i].title.split("\n") for i in kept]
        height = max(map(len, headers))
        for level in zip(*([""] * (height - len(lines)) + lines for lines in headers), strict=True):
            yield self._line(kept, [Text(part, style="bold") for part in level])
        yield Text(("-" if options.ascii_only else "\u2500") * self.width(kept))
        for number, row in enumerate(self._cells):
            if in_sections and self._group is not None and row[self._group].plain:
                yield Text(row[self._group].plain, style="bold", overflow="fold")
            for level in zip_longest(
                *(row[i].split("\n", allow_blank=True) for i in kept), fillvalue=Text("")
            ):
                yield self._line(kept, level)
            if number in self._ends:
                yield Text("")

    def _line(self, kept: Sequence[int], cells: Sequence[Text]) -> Text:
        line = Text(no_wrap=True)
        for i, cell in zip(kept, cells, strict=True):
            column = self._shown[i]
            space = " " * (self._widths[i] - cell.cell_len)
            gap = " " * _GAP if i != kept[-1] else ""
            line.append(space if column.numeric else "")
            styled = cell if cell.style or not column.style else Text(cell.plain, column.style)
            line.append_text(styled)
            line.append(gap if column.numeric else space + gap)
        line.rstrip()
        return line

    def _turned(self) -> Table:
        """The table with a column for each row, which is less wide where rows are few."""
        name = self._name
        columns = [Column(key="title", title=self._shown[name].title)]
        columns += [
            Column(key=str(i), title=cells[name].plain, numeric=True)
            for i, cells in enumerate(self._full)
        ]
        rows = [
            {"title": _one_line(column.title)}
            | {str(row): cells[i] for row, cells in enumerate(self._full)}
            for i, column in enumerate(self._shown)
            if i != name
        ]
        return Table(columns, rows, title=self.title)

    @property
    def _name(self) -> int:
        """The column that names a row."""
        return next((i for i in range(len(self._shown)) if i != self._group), 0)

    def _cards(self) -> Group:
        """A card for each row: its name in bold, below it titles and values."""
        name = self._name
        cards: list[RenderableType] = [Text(self.title, style="bold")] if self.title else []
        for cells in self._full:
            entries = [
                (_one_line(column.title), cell)
                for i, (column, cell) in enumerate(zip(self._shown, cells, strict=True))
                if i != name and cell.plain
            ]
            cards.append(block(cells[name].plain, pairs(entries)))
        return stacked(cards)


def _csv_cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _one_line(title: str) -> str:
    return title.replace("\n", " ").strip()


def _markdown(cell: str) -> str:
    return _one_line(cell).replace("|", "\\|")


def pairs(entries: Sequence[tuple[str, Cell]], *, indent: int = 2) -> RichTable:
    """Names on the left, what they have on the right, folded where it is too long.

    Args:
        entries: In order.
        indent: Columns left free before the names.
    """
    table = RichTable.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    longest = max((cell_len(name) for name, _ in entries), default=0)
    table.add_column(style="dim", no_wrap=longest <= _LONGEST_NAME, overflow="fold")
    table.add_column(overflow="fold")
    for name, value in entries:
        table.add_row(Text(" " * indent + name), _text(value))
    return table


def block(title: str, content: RenderableType) -> Group:
    """Something with a title above it."""
    return Group(Text(title, style="bold", overflow="fold"), content)


def stacked(parts: Sequence[RenderableType]) -> Group:
    """The parts one below the other, with an empty line between two of them."""
    spaced = [each for part in parts for each in (Text(""), part)]
    return Group(*spaced[1:])


def remarks(lines: Sequence[str]) -> list[RenderableType]:
    """Dim lines below a table; nothing where there are none."""
    return [Text("\n".join(lines), style="dim")] if lines else []


def _text(cell: Cell) -> Text:
    return Text(cell) if isinstance(cell, str) else cell


def times_table(arms: Sequence[ArmSummary], *, title: str = "") -> Table:
    """How soon the runs of each arm reached each target: medians, by target.

    Args:
        arms: With their targets.
        title: Stands above it.
    """
    reached = [(each, arm) for arm in arms for each in arm.targets]
    reached.sort(key=lambda pair: pair[0].target)
    columns = [
        Column(key="target", title="target", write=words.target_percent),
        Column(key="arm", title="arm", style="bold"),
        Column(key="reached", title="reached by", write=_reached),
        Column(key="epochs_to_accuracy", title="epochs", write=words.count, numeric=True),
        Column(key="steps_to_accuracy", title="steps", write=words.count, numeric=True, rank=1),
        Column(key="seconds_to_accuracy", title="time", write=words.seconds, numeric=True),
    ]
    rows = [
        {"target": each.target, "arm": arm.label, "reached": each, **each.medians}
        for each, arm in reached
    ]
    return Table(columns, rows, title=title, group="target")


def _reached(each: TargetSummary) -> Text:
    said = words.of(each.num_reached, each.num_runs)
    if each.num_runs == 1:
        said = "yes" if each.num_reached else "no"
    if each.num_reached == each.num_runs:
        return Text(said)
    return Text(f"{said} in {words.plural(each.watched_epochs, 'epoch')}", style="yellow")


BATCH_NORM_REMARK = (
    "batch norm: 4 numbers for each node: gamma and beta are trained, moving mean and moving "
    "variance are tracked."
)


def parameter_table(rows: Sequence[ParameterRow]) -> RenderableType:
    """Parameters of a network layer by layer, with totals.

    Args:
        rows: As `bninit.nets.architecture.parameter_rows` gives them.
    """
    # Here, so that listing runs imports no pydantic.
    from bninit.nets.architecture import NOTES, num_tracked, num_trained

    columns = [
        Column(key="layer", title="layer"),
        Column(key="kind", title="kind", style="bold"),
        Column(key="shape", title="shape", rank=1),
        Column(key="trained", title="trained", numeric=True),
        Column(key="tracked", title="tracked", numeric=True),
    ]
    lines: list[dict[str, str]] = []
    for place, row in enumerate(rows):
        again = place > 0 and rows[place - 1].layer == row.layer
        lines.append(
            {
                "layer": "" if again else row.layer,
                "kind": f"{row.kind}, {row.note}" if row.note else row.kind,
                "shape": " -> ".join(map(str, row.shape)),
                "trained": words.count(row.num_trained) if row.num_trained else "",
                "tracked": words.count(row.num_tracked) if row.num_tracked else "",
            }
        )
    totals = {"trained": words.count(num_trained(rows)), "tracked": words.count(num_tracked(rows))}
    lines.append({"layer": "all", "kind": "", "shape": "", **totals})
    affine = any(row.num_tracked and row.num_trained for row in rows)
    said = [BATCH_NORM_REMARK] if affine else []
    said += [f"{note}: {NOTES[note]}." for note in dict.fromkeys(r.note for r in rows) if note]
    return stacked([Table(columns, lines), *remarks(said)])
