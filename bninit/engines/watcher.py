"""What an engine tells while it works; views show it, tests and notebooks may ignore it."""

from __future__ import annotations

from typing import Protocol

from bninit.training.records import EpochRecord


class Watcher(Protocol):
    """Told by an engine: for each stack `start` and then each `epoch`; at the very end `close`."""

    def start(
        self,
        *,
        labels: list[str],
        num_epochs: int,
        first_epoch: int,
        steps_per_epoch: int,
    ) -> None:
        """A stack begins.

        Args:
            labels: The arm of each network, in order; `ReplicaEpoch.replica` points into it.
            num_epochs: Epochs of the whole training.
            first_epoch: Epochs that are already finished.
            steps_per_epoch: Steps of an epoch.
        """

    def epoch(self, record: EpochRecord) -> None:
        """An epoch of the stack is on record."""

    def note(self, text: str) -> None:
        """Something that a user should know, in one line."""

    def close(self) -> None:
        """Nothing more comes."""


class Silent:
    """A watcher that shows nothing."""

    def start(
        self, *, labels: list[str], num_epochs: int, first_epoch: int, steps_per_epoch: int
    ) -> None:
        """Shows nothing."""

    def epoch(self, record: EpochRecord) -> None:
        """Shows nothing."""

    def note(self, text: str) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Shows nothing."""
