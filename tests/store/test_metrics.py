"""``metrics.csv``: every float comes back as it was, through pandas and through our reader."""

from __future__ import annotations

import dataclasses
import io
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.store.files import DamagedFileError
from bninit.store.metrics import (
    COLUMNS,
    HEADER,
    Row,
    format_row,
    format_rows,
    parse_rows,
    records_of,
    row_of,
)
from bninit.training.records import EpochMetrics

HERE = Path("metrics.csv")
PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
FLOATS = st.floats(allow_subnormal=True)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    rows = []
    step = 0
    for epoch in range(draw(st.integers(0, 5))):
        step += draw(st.integers(0, 10**12))
        batch_loss = draw(st.none() | FLOATS)
        rows.append((epoch, step, draw(FLOATS), batch_loss, *draw(st.tuples(*[FLOATS] * 5))))
    return rows


def same(left: float | None, right: float | None) -> bool:
    """Equal to the last bit; NaN is NaN."""
    if left is None or right is None:
        return left is right
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return struct.pack("d", left) == struct.pack("d", right)


@settings(deadline=None)
@given(rows=tables())
def test_our_reader_gives_every_bit_back(rows: list[Row]) -> None:
    read = parse_rows(format_rows(rows).encode(), path=HERE)
    assert len(read) == len(rows)
    for one, other in zip(read, rows, strict=True):
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
        assert [type(value) for value in one] == [type(value) for value in other]


@settings(deadline=None)
@given(rows=tables())
def test_pandas_gives_every_bit_back(rows: list[Row]) -> None:
    # Up to pandas 3.0, reading is exact only when it is asked to be.
    asked: Any = {} if PANDAS >= (3, 1) else {"float_precision": "round_trip"}
    table = pd.read_csv(io.StringIO(format_rows(rows)), **asked)
    assert list(table.columns) == list(COLUMNS)
    for place, column in enumerate(COLUMNS):
        for found, row in zip(table[column], rows, strict=True):
            value = row[place]
            assert same(float(found), math.nan if value is None else float(value))


@settings(deadline=None)
@given(rows=tables())
def test_a_table_cut_anywhere_is_shorter_or_damaged(rows: list[Row]) -> None:
    data = format_rows(rows).encode()
    for length in range(len(data)):
        try:
            read = parse_rows(data[:length], path=HERE)
        except DamagedFileError:
            continue
        assert format_rows(read).encode() == data[:length]


def test_columns_are_the_fields_of_the_record() -> None:
    assert tuple(field.name for field in dataclasses.fields(EpochMetrics)) == COLUMNS
    assert HEADER == (
        "epoch,step,learning_rate,batch_loss,train_loss,train_accuracy,val_loss,val_accuracy,"
        "seconds\n"
    )


def test_a_record_comes_back() -> None:
    record = EpochMetrics(
        epoch=0,
        step=0,
        learning_rate=0.1,
        batch_loss=None,
        train_loss=2.302585092994046,
        train_accuracy=0.1,
        val_loss=1 / 3,
        val_accuracy=0.3,
        seconds=0.0,
    )
    text = HEADER + format_row(row_of(record))
    assert records_of(parse_rows(text.encode(), path=HERE)) == [record]


def test_numpy_numbers_are_written_as_numbers() -> None:
    numbers: Any = {
        "epoch": np.int64(0),
        "step": np.int64(3),
        "learning_rate": np.float64(0.1),
        "batch_loss": np.float32(0.5),
        "train_loss": np.float64("nan"),
        "train_accuracy": np.float64(0.1),
        "val_loss": np.float64("inf"),
        "val_accuracy": np.float64(0.3),
        "seconds": np.float64(0.0),
    }
    record = EpochMetrics(**numbers)
    assert format_row(row_of(record)) == "0,3,0.1,0.5,nan,0.1,inf,0.3,0.0\n"


GOOD = format_rows(
    [(0, 0, 0.1, None, 1.0, 0.5, 1.0, 0.5, 0.0), (1, 5, 0.1, 1.0, 1.0, 0.5, 1.0, 0.5, 1.0)]
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "empty"),
        ("\0" * 100, "columns are not"),
        ("a,b\n1,2\n", "line 1: the columns are not epoch, step"),
        ("\ufeff" + GOOD, "not the text of a table"),
        (GOOD.replace("\n", "\r\n"), "line 1"),
        (GOOD.replace(",", ";"), "line 1"),
        (GOOD[:-1], "line 3: the file ends within a line"),
        (GOOD.replace("\n0,", "\n1,"), "line 2: this is not the row of epoch 0"),
        (GOOD.replace("1,5,", "2,5,"), "line 3: this is not the row of epoch 1"),
        (GOOD.replace("1,5,", "1,-5,"), "line 3: the number of steps falls"),
        (GOOD.replace("1,5,", "1,5,7,"), "line 3"),
        (GOOD.replace("1,5,0.1", "1,5,"), "line 3"),
        (GOOD.replace("0.1", "o.1"), "line 2"),
        (GOOD + "\n", "line 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(content: str, says: str) -> None:
    with pytest.raises(DamagedFileError, match=says):
        parse_rows(content.encode(), path=HERE)
