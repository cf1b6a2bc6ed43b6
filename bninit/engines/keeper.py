"""Keeping what the networks of a stack do, one keeper for each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from bninit.store import EventWriter, RunWriter
from bninit.training.probing import rows_of
from bninit.training.records import Checkpoint, FinalRecord, ReplicaEpoch


class Keeper:
    """Keeps what one network does: its run, and its event files if they are wanted.

    Args:
        writer: Of its run.
        held: Closes the event files in the end.
        tensorboard: Whether event files are wanted.
    """

    def __init__(self, writer: RunWriter, held: ExitStack, *, tensorboard: bool) -> None:
        self._writer = writer
        self._last: Checkpoint | None = writer.resume()
        self._events = (
            held.enter_context(EventWriter(writer.folder, rows=writer.rows))
            if tensorboard
            else None
        )

    @property
    def is_finished(self) -> bool:
        """Whether the end is kept."""
        return self._writer.status == "finished"

    def begin(self, environment: Mapping[str, Any]) -> None:
        """Keeps what the network is trained with."""
        self._writer.describe(environment)

    def epoch(self, record: ReplicaEpoch, *, products: Mapping[str, str]) -> None:
        """Keeps an epoch; of a diverged network, the end."""
        self._last = record.checkpoint()
        diverged = record.diverged_step is not None
        # Killed between the two writes, a diverged network goes back an epoch and diverges again.
        self._writer.epoch(record.metrics, record.step_losses, None if diverged else self._last)
        if self._events is not None:
            self._events.epoch(record.metrics)
        if diverged:
            self._finish(None, record.diverged_step, products=products)

    def cut(self, checkpoint: Checkpoint) -> None:
        """Keeps what is done of an epoch that is left before its end."""
        self._writer.cut(checkpoint)

    def finish(self, record: FinalRecord, *, products: Mapping[str, str]) -> None:
        """Keeps the end."""
        self._finish(record, None, products=products)

    def _finish(
        self, final: FinalRecord | None, diverged_step: int | None, *, products: Mapping[str, str]
    ) -> None:
        last = self._last
        assert last is not None, "an epoch or a checkpoint comes before the end"
        self._writer.finish(
            last.network,
            final,
            diverged_step,
            products=products,
            layers=rows_of(last.probes) if last.probes else None,
        )
