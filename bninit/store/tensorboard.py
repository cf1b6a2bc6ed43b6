"""TensorBoard event files of a run's curves, for ``tensorboard --logdir runs``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bninit.errors import UserError
from bninit.store import names
from bninit.store.files import file_names, refusals, remove

if TYPE_CHECKING:
    from bninit.store.epochs import Row
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
    """Writes a run's curves, while a `RunWriter` holds the folder.

    A writer begins with the recorded epochs and removes the event files of former writers: a killed
    process leaves an event file without its last epochs, or with epochs that are trained again.

    Args:
        folder: The run's folder.
        rows: The recorded epochs.

    Raises:
        UserError: TensorBoard is not installed.
        StoreError: The folder cannot be written.
    """

    def __init__(self, folder: Path, *, rows: Iterable[EpochMetrics | Row] = ()) -> None:
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
        with refusals(folder):
            # The purge is for a TensorBoard that is running and remembers the former file.
            self._writer = SummaryWriter(str(folder), purge_step=0)
            for row in rows:
                self._add(row)
            self._writer.flush()
        for path in former:
            remove(path)

    def epoch(self, metrics: EpochMetrics) -> None:
        """Write one epoch.

        Raises:
            StoreError: No space, or the folder was removed.
        """
        with refusals(self._folder):
            self._add(metrics)
            self._writer.flush()

    def close(self) -> None:
        """Close the file; once is enough."""
        with suppress(OSError):
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, metrics: EpochMetrics | Row) -> None:
        for tag, column in TAGS.items():
            value = getattr(metrics, column)
            if value is not None:
                self._writer.add_scalar(tag, value, metrics.epoch)


def event_files(folder: Path) -> list[Path]:
    """TensorBoard's event files in a folder, by name."""
    return [folder / name for name in file_names(folder) if name.startswith(names.EVENTS_PREFIX)]
