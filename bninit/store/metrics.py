"""``metrics.csv``: one row for each epoch from 0, every float as the shortest text that is it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bninit.store.files import damaged

if TYPE_CHECKING:
    from bninit.training.records import EpochMetrics

COLUMNS = (
    "epoch",
    "step",
    "learning_rate",
    "batch_loss",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "seconds",
)
"""The columns in their order: the fields of `bninit.training.records.EpochMetrics`."""

HEADER = ",".join(COLUMNS) + "\n"

Row: TypeAlias = tuple[int, int, float, float | None, float, float, float, float, float]
"""One epoch, in the order of `COLUMNS`; the loss over the epoch's batches is None at epoch 0."""


def row_of(metrics: EpochMetrics) -> Row:
    """An epoch as plain numbers, numpy's turned into Python's."""
    batch_loss = None if metrics.batch_loss is None else float(metrics.batch_loss)
    return (
        int(metrics.epoch),
        int(metrics.step),
        float(metrics.learning_rate),
        batch_loss,
        float(metrics.train_loss),
        float(metrics.train_accuracy),
        float(metrics.val_loss),
        float(metrics.val_accuracy),
        float(metrics.seconds),
    )


def records_of(rows: Iterable[Row]) -> list[EpochMetrics]:
    """Rows as the records that they were made of."""
    from bninit.training.records import EpochMetrics

    return [
        EpochMetrics(
            epoch=epoch,
            step=step,
            learning_rate=learning_rate,
            batch_loss=batch_loss,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            seconds=seconds,
        )
        for (
            epoch,
            step,
            learning_rate,
            batch_loss,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
            seconds,
        ) in rows
    ]


def format_row(row: Row) -> str:
    """A row as its line in the file. None is empty; NaN and infinity are ``nan`` and ``inf``."""
    return ",".join("" if value is None else repr(value) for value in row) + "\n"


def format_rows(rows: Iterable[Row]) -> str:
    """The whole file."""
    return HEADER + "".join(map(format_row, rows))


def parse_rows(data: bytes, *, path: Path) -> list[Row]:
    """Take the content of the file apart.

    Args:
        data: The content.
        path: Where it was read, for messages.

    Returns:
        The rows; epoch i is at index i.

    Raises:
        DamagedFileError: It is not what `format_rows` writes; the message says in which line.
    """
    if not data:
        raise damaged(path, "this file is empty")
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise damaged(path, "this is not the text of a table") from None
    if lines[0] != HEADER[:-1]:
        raise damaged(path, f"line 1: the columns are not {', '.join(COLUMNS)}")
    if lines.pop():
        raise damaged(path, f"line {len(lines) + 1}: the file ends within a line")
    rows: list[Row] = []
    for epoch, line in enumerate(lines[1:]):
        row = _parse_line(line)
        if row is None or row[0] != epoch:
            what = f"line {epoch + 2}: this is not the row of epoch {epoch}"
            raise damaged(path, what)
        if row[1] < (rows[-1][1] if rows else 0):
            raise damaged(path, f"line {epoch + 2}: the number of steps falls")
        rows.append(row)
    return rows


def _parse_line(line: str) -> Row | None:
    fields = line.split(",")
    if len(fields) != len(COLUMNS):
        return None
    epoch, step, learning_rate, batch_loss, *others = fields
    try:
        train_loss, train_accuracy, val_loss, val_accuracy, seconds = map(float, others)
        return (
            int(epoch),
            int(step),
            float(learning_rate),
            float(batch_loss) if batch_loss else None,
            train_loss,
            train_accuracy,
            val_loss,
            val_accuracy,
            seconds,
        )
    except ValueError:
        return None
