"""What the driver knows of its stacks: which wait, which are in training, what became of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from bninit.engines.keeper import Keeper
from bninit.engines.plan import Job
from bninit.errors import TrainingError
from bninit.store import RunWriter
from bninit.training.records import Checkpoint


@dataclass(frozen=True)
class Failure:
    """A stack that could not be trained.

    Attributes:
        jobs: Its networks.
        why: The error's text.
    """

    jobs: tuple[Job, ...]
    why: str


@dataclass
class Outcome:
    """What became of some jobs.

    Attributes:
        failures: The stacks that failed; none unless told to keep going.
        num_trained: Networks that were trained to their end; the others were there, failed, or
            were trained by another process.
    """

    failures: list[Failure] = field(default_factory=list)
    num_trained: int = 0


@dataclass(frozen=True)
class Waiting:
    """Networks that are to train together.

    Attributes:
        jobs: At least one.
        fresh: Whether what is there of them is started over.
        num_losses: Times in a row that their worker was lost.
        partly: Whether to take those that no other process holds, and not all or none.
    """

    jobs: tuple[Job, ...]
    fresh: bool = False
    num_losses: int = 0
    partly: bool = False


@dataclass
class Running:
    """A stack in training.

    Attributes:
        waiting: What it was made from.
        keepers: One for each network.
        held: Gives its runs free.
    """

    waiting: Waiting
    keepers: list[Keeper]
    held: ExitStack


@dataclass(frozen=True)
class Opened:
    """A network whose run is taken.

    Attributes:
        job: The network.
        writer: Of its run.
        checkpoint: Where it goes on; None for the beginning.
    """

    job: Job
    writer: RunWriter
    checkpoint: Checkpoint | None

    @property
    def place(self) -> tuple[int, int]:
        """How far it is; only networks that are as far can train together."""
        # A training from epoch 0's checkpoint does not record that epoch again.
        return (-1, 0) if self.checkpoint is None else self.checkpoint.place


def too_large(job: Job, error: Exception) -> TrainingError:
    """What to tell of a network that does not fit into memory."""
    first = str(error).strip().partition("\n")[0]
    return TrainingError(
        f"{job.config.name}, seed {job.seed}: out of memory with a single network "
        f"({first or type(error).__name__}); choose smaller layers or a smaller batch, or a "
        "device with more memory"
    )
