"""Tables in terminals of all widths, in Markdown and as CSV; parameters of networks."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.text import Text
from shapes import shape

from bninit.nets.architecture import parameter_rows
from bninit.show.tables import Column, Table, pairs, parameter_table

COLUMNS = [
    Column(key="name", title="name"),
    Column(key="least", title="least", rank=2),
    Column(key="number", title="number", numeric=True),
    Column(key="less", title="less", rank=1),
]
ROWS = [
    {"name": "first", "least": "aaaaaaaaaa", "number": 1, "less": "bbbbb"},
    {"name": "2nd", "least": "aa", "number": 12345, "less": None},
]


def rendered(what: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_table_is_as_wide_as_it_says() -> None:
    table = Table(COLUMNS, ROWS)
    assert rendered(table, 80) == [
        "name   least       number  less",
        "────────────────────────────────",
        "first  aaaaaaaaaa       1  bbbbb",
        "2nd    aa          12,345  -",
    ]
    assert table.width() == len("first  aaaaaaaaaa       1  bbbbb")


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
    assert rendered(Table(COLUMNS, ROWS), width)[0] == header


def test_where_even_few_columns_do_not_fit_rows_become_columns_or_cards() -> None:
    columns = [Column(key=key, title=f"title\n{key}", numeric=True) for key in "abcdef"]
    wide = Table(columns, [dict.fromkeys("abcdef", 1000), dict.fromkeys("abcdef", 2000)])
    assert rendered(wide, 30)[:4] == [
        "title",
        "a        1,000  2,000",
        "─────────────────────",
        "title b  1,000  2,000",
    ]
    assert rendered(wide, 20)[:3] == ["1,000", "  title b  1,000", "  title c  1,000"]


@given(st.lists(st.tuples(*[st.text("xyz", max_size=30)] * 4), max_size=4), st.integers(24, 90))
def test_no_line_is_wider_than_the_terminal_and_nothing_that_stays_is_cut(
    rows: list[tuple[str, ...]], width: int
) -> None:
    columns = [Column(key=key, title=key) for key in "abcd"]
    lines = rendered(Table(columns, [dict(zip("abcd", row, strict=True)) for row in rows]), width)
    assert all(len(line) <= width for line in lines)
    for letter in "xyz":
        shown = sum(line.count(letter) for line in lines)
        assert shown == sum(cell.count(letter) for row in rows for cell in row)


def test_a_group_is_named_once_and_above_its_rows_where_it_is_narrow() -> None:
    columns = [Column(key=key, title=key) for key in ("group", "value", "other")]
    rows = [{"group": g, "value": v, "other": "o"} for g, v in (("gg", 1), ("gg", 2), ("h", 3))]
    table = Table(columns, rows, group="group", title="a title")
    assert rendered(table, 80) == [
        "a title",
        "group  value  other",
        "───────────────────",
        "gg     1      o",
        "       2      o",
        "",
        "h      3      o",
    ]
    assert rendered(table, 12) == [
        *("a title", "value  other", "────────────"),
        *("gg", "1      o", "2      o", "", "h", "3      o"),
    ]
    single = Table(columns, rows[1:], group="group")
    assert "" not in rendered(single, 80), "groups of one row need no lines between them"


def test_titles_and_cells_of_several_lines() -> None:
    columns = [Column(key="a", title="a\nb"), Column(key="c", title="c", numeric=True)]
    rows = [{"a": "x\ny", "c": "1"}, {"a": "z", "c": "10\n2"}]
    assert rendered(Table(columns, rows), 80) == [
        "a",
        "b   c",
        "─────",
        "x   1",
        "y",
        "z  10",
        "    2",
    ]


@pytest.mark.parametrize("width", [80, 8])
def test_styles_of_cells_are_kept(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    columns = [
        Column(key="name", title="some name"),
        Column(key="status", title="it", write=lambda value: Text(value, style="green")),
    ]
    console.print(Table(columns, [{"name": "x", "status": "ok"}]))
    assert isinstance(console.file, io.StringIO)
    assert "32mok" in console.file.getvalue()


def test_csv_and_json_have_all_columns_as_plain_values() -> None:
    columns = [Column(key="a", title="A", write=lambda _: "written"), Column(key="b", hidden=True)]
    rows: list[dict[str, Any]] = [{"a": 0.1, "b": [1, 2]}, {"a": None, "b": "x,y"}]
    table = Table(columns, rows)
    assert list(csv.reader(io.StringIO(table.csv()))) == [["a", "b"], ["0.1", "1 2"], ["", "x,y"]]
    assert table.records() == rows
    assert table.markdown().splitlines() == ["| A |", "| --- |", "| written |", "| written |"]


def test_what_would_break_markdown_is_escaped() -> None:
    columns = [Column(key="a", title="two\nlines"), Column(key="n", title="n", numeric=True)]
    assert Table(columns, [{"a": "x | y", "n": 1000}]).markdown().splitlines() == [
        "| two lines | n |",
        "| --- | ---: |",
        "| x \\| y | 1,000 |",
    ]


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


def test_a_terminal_without_unicode_gets_ascii_and_markup_is_text() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=80).print(Table(COLUMNS, [{"name": "[red]x[/red]", "number": 1}]))
    file.flush()
    assert raw.getvalue().decode("ascii").splitlines()[-1].startswith("[red]x[/red]")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_parameters_of_a_batch_norm_layer_of_five_nodes(width: int) -> None:
    """N8 of the lecture notes: 5 x 4 = 20 numbers, 10 of them trained."""
    rows = parameter_rows(shape(widths=(784, 5, 10), placement="pre"))
    lines = rendered(parameter_table(rows), width)
    assert all(len(line) <= width for line in lines)
    squeezed = [" ".join(line.split()) for line in lines]
    said = " ".join(squeezed)
    if width > 40:
        assert "batch norm 5 10 10" in squeezed
        assert "all 3,990 10" in squeezed  # 784 x 5 + 10 + 5 x 10 + 10
    assert "3,990" in said
    assert "linear, no bias" in said
    assert "no bias: batch norm right after the layer would cancel it" in said
    assert "gamma and beta are trained, moving mean and moving variance are tracked" in said


def test_parameters_without_batch_norm_and_without_gamma_and_beta() -> None:
    plain = rendered(parameter_table(parameter_rows(shape(widths=(784, 10)))), 120)
    assert " ".join(plain[2].split()) == "output linear 784 -> 10 7,850"
    assert not any("batch norm" in line or "no bias" in line for line in plain)
    rows = parameter_rows(shape(widths=(4, 2), input_norm=True, affine=False))
    text = "\n".join(rendered(parameter_table(rows), 120))
    assert "batch norm, not affine" in text
    assert "4 numbers for each node" not in text
    assert "2 tracked numbers for each node" in text
