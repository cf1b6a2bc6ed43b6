"""Interface between the driver and the engines: jobs, tasks, messages, progress. Without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from bninit.errors import UserError

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.training.plan import ReplicaPlan
    from bninit.training.records import EpochRecord, FinalRecord, InterruptedEpoch

ENGINES = {
    "local": "bninit.engines.local:open_engine",
    "ray": "bninit.engines.ray:open_engine",
}
"""For each engine the function that makes one, ``module:function``: arguments of `open_engine`."""


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """Where to train.

    Attributes:
        name: A key of `ENGINES`.
        address: Of a cluster, for the engine ``ray``: ``HOST:PORT`` or ``auto``; None for
            ``$RAY_ADDRESS``, and without it for a cluster of this machine alone.
        cpus_per_stack: CPUs for each stack on a cluster, and threads of its computations; at
            least 1.

    Raises:
        UserError: One of them is invalid.
    """

    name: str = "local"
    address: str | None = None
    cpus_per_stack: int = 1

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            allowed = f"allowed: {', '.join(ENGINES)}"
            raise UserError(f"unknown engine {self.name!r}", where="--engine", hint=allowed)
        if self.address is not None and self.name == "local":
            what = f"the local engine takes no cluster address: {self.address!r}"
            raise UserError(what, where="--address", hint="add --engine ray")
        if self.cpus_per_stack < 1:
            what = f"invalid number of CPUs: {self.cpus_per_stack}"
            raise UserError(what, where="--cpus-per-stack", hint="at least 1")


LOCAL = EngineChoice()
"""On this machine, in this process."""


def open_engine(choice: EngineChoice, *, device: str, data_dir: Path | None) -> Engine:
    """Make the chosen engine.

    Args:
        choice: Where to train.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_dir: Folder searched first for data sets.

    Raises:
        DeviceError: The device does not exist.
        UserError: A package that the engine needs is not installed.
    """
    module, _, function = ENGINES[choice.name].partition(":")
    make: Callable[..., Engine] = getattr(import_module(module), function)
    return make(choice, device=device, data_dir=data_dir)


@dataclass(frozen=True)
class Job:
    """One network to train: an arm and a seed; the config's own seeds do not matter."""

    config: Config
    seed: int


@dataclass(frozen=True, kw_only=True)
class StackTask:
    """All that a worker needs to train a stack.

    Attributes:
        config: Of the networks; they may differ in their initialisation alone.
        replicas: One for each network, with the checkpoint to resume from.
    """

    config: Config
    replicas: tuple[ReplicaPlan, ...]


@dataclass(frozen=True, kw_only=True)
class Began:
    """A stack begins: what `bninit.store.environment.machine` says, and SHA-256 of its data."""

    machine: Mapping[str, Any]
    data_checksum: str


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A record of `bninit.training.loop.train_stack`, and how products were computed so far."""

    record: EpochRecord | InterruptedEpoch | FinalRecord
    products: Mapping[str, str]


@dataclass(frozen=True)
class Ended:
    """A stack has come to its end."""


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A stack has failed; if it ran out of memory, a smaller one might fit."""

    error: Exception
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A stack's worker is gone; the stack can resume elsewhere."""

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

    def prepare(self, config: Config) -> None:
        """Loads the data set of the stacks submitted next; raises DataError without it."""

    def has_room(self) -> bool:
        """Whether one more stack could begin now."""

    def submit(self, number: int, task: StackTask) -> None:
        """Begins a stack, whose data is prepared, under a number of its own."""

    def wait(self, *, stop: Callable[[], bool]) -> Iterable[tuple[int, Message]]:
        """Waits for messages, a second or so at most; each with the number of its stack.

        Messages of a stack come in order: `Began`, `Recorded` for each record, and at the end
        `Ended`, `Failed` or `Lost`. The checkpoints of a record can be taken until the next call.
        """

    def cancel(self, number: int) -> None:
        """Ends a stack at once; nothing more comes of it."""


class Progress(Protocol):
    """Follows training: for each stack `start`, each `epoch`, `end`; at the very end `close`.

    Some engines train several stacks at a time, so each call names the stack's number.
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
        """An epoch of a stack is recorded."""

    def end(self, *, stack: int) -> None:
        """Nothing more comes of a stack, whatever became of it."""

    def note(self, text: str) -> None:
        """One line that a user should know."""

    def close(self) -> None:
        """Nothing more comes."""


class NoProgress:
    """Shows nothing."""

    def start(
        self,
        *,
        stack: int,
        labels: list[str],
        num_epochs: int,
        first_epoch: int,
        steps_per_epoch: int,
    ) -> None:
        """See `Progress`."""

    def epoch(self, record: EpochRecord, *, stack: int) -> None:
        """See `Progress`."""

    def end(self, *, stack: int) -> None:
        """See `Progress`."""

    def note(self, text: str) -> None:
        """See `Progress`."""

    def close(self) -> None:
        """See `Progress`."""
