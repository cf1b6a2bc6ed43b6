"""Tables in terminals of all widths."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text

from bninit.show.old_tables import Column, Grid, WideOrNarrow, pairs

COLUMNS = [
    Column(header="name"),
    Column(header="least", rank=2),
    Column(header="number", numeric=True),
    Column(header="less", rank=1),
]
ROWS = [("first", "aaaaaaaaaa", "1", "bbbbb"), ("2nd", "aa", "12345", "b")]


def rendered(what: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_table_is_as_wide_as_it_says() -> None:
    grid = Grid(COLUMNS, ROWS)
    assert rendered(grid, 80) == [
        "name   least       number  less",
        "────────────────────────────────",
        "first  aaaaaaaaaa       1  bbbbb",
        "2nd    aa           12345  b",
    ]
    assert grid.width() == len("first  aaaaaaaaaa       1  bbbbb")


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (32, "name   least       number  less"),
        (31, "name   number  less"),
        (20, "name   number  less"),
        (19, "name   number"),
        (13, "name   number"),
    ],
)
def test_columns_of_high_rank_go_first(width: int, header: str) -> None:
    assert rendered(Grid(COLUMNS, ROWS), width)[0] == header


@given(st.lists(st.tuples(*[st.text("xyz", max_size=30)] * 4), max_size=4), st.integers(24, 90))
def test_no_line_is_wider_than_the_terminal_and_nothing_that_stays_is_cut(
    rows: list[tuple[str, ...]], width: int
) -> None:
    columns = [Column(header=header) for header in "abcd"]
    lines = rendered(Grid(columns, rows), width)
    assert all(len(line) <= width for line in lines)
    for letter in "xyz":
        shown = sum(line.count(letter) for line in lines)
        assert shown == sum(cell.count(letter) for row in rows for cell in row)


def test_a_section_ends_with_an_empty_line() -> None:
    lines = rendered(Grid(COLUMNS, ROWS, sections=[0]), 80)
    assert lines[3] == ""


def test_a_title_and_lines_within_cells() -> None:
    columns = [Column(header="a\nb"), Column(header="c", numeric=True)]
    rows = [("x\ny", "1"), ("z", "10\n2")]
    assert rendered(Grid(columns, rows, title="a title"), 80) == [
        "a title",
        "a",
        "b   c",
        "─────",
        "x   1",
        "y",
        "z  10",
        "    2",
    ]


@pytest.mark.parametrize("width", [80, 12])
def test_styles_of_cells_and_columns_are_kept(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    columns = [Column(header="some name"), Column(header="status", style="bold")]
    console.print(Grid(columns, [("x", Text("done", style="green")), ("y", "plain")]))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "32mdone" in text
    assert "\x1b[1mplain" in text


def test_the_narrow_form_stands_in_where_the_wide_one_does_not_fit() -> None:
    both = WideOrNarrow([Grid(COLUMNS, ROWS)], Text("narrow"))
    assert rendered(both, 32)[0].startswith("name")
    assert rendered(both, 31) == ["narrow"]


def test_pairs_fold_long_values_and_long_names() -> None:
    assert rendered(pairs([("name", "v" * 30), ("n", "w")]), 20) == [
        "  name  " + "v" * 12,
        "        " + "v" * 12,
        "        " + "v" * 6,
        "  n     w",
    ]
    lines = rendered(pairs([("n" * 60, "value")]), 40)
    assert sum(line.count("n") for line in lines) == 60
    assert "value" in lines[0]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=80).print(Grid(COLUMNS, ROWS))
    file.flush()
    assert raw.getvalue().decode("ascii").startswith("name")


def test_markup_in_a_cell_is_text() -> None:
    assert rendered(Grid([Column(header="h")], [("[red]x[/red]",)]), 40)[-1] == "[red]x[/red]"
