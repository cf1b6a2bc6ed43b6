"""Event files for ``tensorboard --logdir runs``: a run's curves over its epochs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bninit.errors import UserError
from bninit.store import names
from bninit.store.files import remove, store_error

if TYPE_CHECKING:
    from bninit.training.records import EpochMetrics

TAGS = {
    "loss/batch": "batch_loss",
    "loss/train": "train_loss",
    "loss/validation": "val_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/validation": "val_accuracy",
    "learning_rate": "learning_rate",
}
"""The curves' names, and the columns that they show; their x is the epoch."""


class EventWriter:
    """Writes a run's curves; `RunWriter` is to hold the folder meanwhile.

    A writer begins with the epochs that are on record and takes away the event files of former
    ones: a killed process leaves an event file without its last epochs, or with epochs that are
    trained once more.

    Args:
        folder: The run's folder.
        rows: The epochs that are on record.

    Raises:
        UserError: TensorBoard is not installed.
        StoreError: The folder cannot be written.
    """

    def __init__(self, folder: Path, *, rows: Iterable[EpochMetrics] = ()) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "TensorBoard is not installed",
                where="tensorboard",
                hint='pip install "bninit[tensorboard]", or leave train.tensorboard false',
            ) from error
        self._folder = folder
        former = event_files(folder)
        try:
            # The purge is for a TensorBoard that is running and remembers the former file.
            self._writer = SummaryWriter(str(folder), purge_step=0)
            for row in rows:
                self._add(row)
            self._writer.flush()
        except OSError as error:
            raise store_error(error, folder) from error
        for path in former:
            remove(path)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write one epoch.

        Raises:
            StoreError: No space, or no folder any more.
        """
        try:
            self._add(metrics)
            self._writer.flush()
        except OSError as error:
            raise store_error(error, self._folder) from error

    def close(self) -> None:
        """Close the file; once is enough."""
        with suppress(OSError):
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, metrics: EpochMetrics) -> None:
        for tag, column in TAGS.items():
            value = getattr(metrics, column)
            if value is not None:
                self._writer.add_scalar(tag, value, metrics.epoch)


def event_files(folder: Path) -> list[Path]:
    """TensorBoard's event files in a folder.

    Raises:
        StoreError: The folder cannot be read.
    """
    try:
        found = [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        raise store_error(error, folder) from error
    return [folder / name for name in sorted(found) if name.startswith(names.EVENTS_PREFIX)]
