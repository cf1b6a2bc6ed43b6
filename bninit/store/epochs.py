"""Metrics per epoch (``metrics.csv``) and training loss per step (``steps.npy``).

Floats in the table are the shortest text that parses to the same number; NumPy and pandas read
both files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from bninit.training.records import EpochMetrics

    Losses: TypeAlias = npt.NDArray[np.floating]


class Row(NamedTuple):
    """One epoch in plain numbers: the fields of `bninit.training.records.EpochMetrics`."""

    epoch: int
    step: int
    learning_rate: float
    batch_loss: float | None
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


COLUMNS = Row._fields
"""The columns of ``metrics.csv`` in their order."""

HEADER = ",".join(COLUMNS) + "\n"

_WHOLE = ("epoch", "step")
_KINDS = tuple(int if column in _WHOLE else float for column in COLUMNS)

_STEPS_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"(\{'descr': '(<f[48])', 'fortran_order': False, 'shape': \((\d{1,15}),\), \} *\n)",
    re.DOTALL,
)


def row_of(metrics: EpochMetrics) -> Row:
    """Convert an epoch to plain numbers, NumPy's to Python's."""
    values = [getattr(metrics, column) for column in COLUMNS]
    return Row._make(
        None if value is None else kind(value) for kind, value in zip(_KINDS, values, strict=True)
    )


def encode_metrics(rows: Iterable[Row]) -> str:
    """Format the whole table. None is empty; NaN and infinity are ``nan`` and ``inf``."""
    return HEADER + "".join(map(encode_row, rows))


def encode_row(row: Row) -> str:
    """Format one line of the table."""
    return ",".join("" if value is None else repr(value) for value in row) + "\n"


def decode_metrics(data: bytes) -> list[Row]:
    """Parse the table; epoch i is at index i."""
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ValueError("not the text of a table") from None
    if lines[0] != HEADER[:-1]:
        raise ValueError(f"line 1: the columns are not {', '.join(COLUMNS)}")
    if lines.pop():
        raise ValueError(f"line {len(lines) + 1}: the file ends within a line")
    rows: list[Row] = []
    for epoch, line in enumerate(lines[1:]):
        row = _decode_row(line)
        if row is None or row.epoch != epoch:
            raise ValueError(f"line {epoch + 2}: not the row of epoch {epoch}")
        if row.step < (rows[-1].step if rows else 0):
            raise ValueError(f"line {epoch + 2}: the number of steps decreases")
        rows.append(row)
    return rows


def _decode_row(line: str) -> Row | None:
    try:
        return Row._make(
            None if column == "batch_loss" and not text else kind(text)
            for column, kind, text in zip(COLUMNS, _KINDS, line.split(","), strict=True)
        )
    except ValueError:
        return None


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of one run or several as a table with the columns of ``metrics.csv``."""
    import pandas as pd

    table = pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
    return table.astype({name: "int64" if name in _WHOLE else "float64" for name in COLUMNS})


def encode_steps(losses: Losses) -> bytes:
    """Format losses (step,), float32 or float64, in version 1.0 of NumPy's format."""
    import numpy as np

    stream = io.BytesIO()
    little_endian = losses.astype(losses.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(stream, little_endian, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def decode_steps(data: bytes) -> Losses:
    """Parse losses (step,) into a writable array; nothing in the file is ever evaluated."""
    import numpy as np

    # NumPy's own reader evaluates the header as Python, and stumbles over some damage.
    match = _STEPS_HEADER.match(data)
    if match is None or int.from_bytes(match[1], "little") != len(match[2]):
        raise ValueError("not an array of losses as NumPy saves it")
    dtype, num_steps = np.dtype(match[3].decode()), int(match[4])
    content = data[match.end() :]
    if len(content) != num_steps * dtype.itemsize:
        raise ValueError(f"does not hold the {num_steps} losses that it announces")
    return np.frombuffer(content, dtype=dtype).astype(dtype.newbyteorder("="))
