"""What an engine tells while it works; views show it, tests and notebooks may ignore it."""

from __future__ import annotations

from typing import Protocol

from bninit.training.records import EpochRecord


class Watcher(Protocol):
    """Told while training: for each stack `start`, each `epoch`, `end`; at the very end `close`.

    Some engines train several stacks at a time, so each is told with its number.
    """

    def start(
        self,
        *,
        stack: int,
        labels: list[str],
        num_epochs: int,
        first_epoch: int,
        steps_per_epoch: int,
    ) -> None:
        """A stack begins.

        Args:
            stack: Its number.
            labels: The arm of each network, in order; `ReplicaEpoch.replica` points into it.
            num_epochs: Epochs of the whole training.
            first_epoch: Epochs that are already finished.
            steps_per_epoch: Steps of an epoch.
        """

    def epoch(self, record: EpochRecord, *, stack: int) -> None:
        """An epoch of a stack is on record."""

    def end(self, *, stack: int) -> None:
        """Nothing more comes of a stack, whatever became of it."""

    def note(self, text: str) -> None:
        """Something that a user should know, in one line."""

    def close(self) -> None:
        """Nothing more comes."""


class Silent:
    """A watcher that shows nothing."""

    def start(
        self,
        *,
        stack: int,
        labels: list[str],
        num_epochs: int,
        first_epoch: int,
        steps_per_epoch: int,
    ) -> None:
        """Shows nothing."""

    def epoch(self, record: EpochRecord, *, stack: int) -> None:
        """Shows nothing."""

    def end(self, *, stack: int) -> None:
        """Shows nothing."""

    def note(self, text: str) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Shows nothing."""
