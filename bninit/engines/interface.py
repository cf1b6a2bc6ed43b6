"""What an engine is: something that executes stacks and tells what comes of them.

`bninit.engines.driver` decides what is trained and keeps it; an engine only executes. Tasks and
messages are plain values, so that they can go to another process or machine and come back. Adding
an engine is one module with a class like `Engine`, and one entry in
`bninit.engines.choice.ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

import torch

from bninit.config import Config
from bninit.data.catalog import Scale
from bninit.training.loop import ReplicaPlan, TrainSettings
from bninit.training.records import CutRecord, EpochRecord, FinalRecord


@dataclass(frozen=True, kw_only=True)
class DataKey:
    """Which data a stack is trained on; the arguments of `bninit.data.load.load`."""

    name: str
    val_size: int | None
    scale: Scale
    dtype: torch.dtype


@dataclass(frozen=True, kw_only=True)
class StackTask:
    """All that is needed to train a stack.

    Attributes:
        settings: What its networks have in common; the device is set by the engine.
        plans: Its networks, with the checkpoints to go on from.
        data: What it is trained on.
    """

    settings: TrainSettings
    plans: tuple[ReplicaPlan, ...]
    data: DataKey


@dataclass(frozen=True, kw_only=True)
class Began:
    """A stack begins.

    Attributes:
        machine: What it is trained with, as `bninit.store.environment.machine` tells.
        data_checksum: SHA-256 of the data set's content.
    """

    machine: Mapping[str, Any]
    data_checksum: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A record of the training.

    Attributes:
        record: As `bninit.training.loop.train_stack` yields it.
        products: How matrix products were computed; see `bninit.nets.products.routes`.
    """

    record: EpochRecord | CutRecord | FinalRecord
    products: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """A stack has come to its end; nothing more comes of it."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A stack has failed; nothing more comes of it.

    Attributes:
        error: Why.
        out_of_memory: Whether a smaller stack might fit.
    """

    error: Exception
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What executed a stack is gone; elsewhere the stack may go on. Nothing more comes of it.

    Attributes:
        why: In words.
    """

    why: str


Message: TypeAlias = Began | Recorded | Ended | Failed | Lost

LAST = (Ended, Failed, Lost)
"""Messages after which nothing more comes of a stack."""


class Engine(Protocol):
    """Executes stacks, one or many at a time; a context manager that holds what it needs for it.

    Used from one thread. Stacks are told apart by the numbers that the caller gives them.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Ends what is executing at once, and gives everything back."""

    def largest_stack(self, config: Config) -> int:
        """How many networks of this config may train together, at least 1."""

    def prepare(self, data: DataKey) -> None:
        """Gets a data set ready for the stacks that are submitted next.

        Raises:
            DataError: It is not to be had.
        """

    def has_room(self) -> bool:
        """Whether one more stack could begin now."""

    def submit(self, number: int, task: StackTask) -> None:
        """Begins a stack, whose data is prepared.

        Args:
            number: Its own among those that are executing.
            task: What to do.
        """

    def wait(self, *, stop: Callable[[], bool]) -> Iterable[tuple[int, Message]]:
        """Waits for messages, a second or so at most; each with the number of its stack.

        Messages of a stack come in order: `Began`, `Recorded` for each record, and at the end
        `Ended`, `Failed` or `Lost`. The checkpoints of a record can be taken until the next call.

        Args:
            stop: Tells whether the stacks are to end after the step that they are at, with what
                `bninit.training.loop.train_stack` yields then.
        """

    def cancel(self, number: int) -> None:
        """Ends a stack at once; nothing more comes of it."""
