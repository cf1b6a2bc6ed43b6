"""What a training is to do, in plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from bninit.nets.architecture import Architecture
from bninit.nets.products import FULL
from bninit.nets.start import Initialisation
from bninit.training.optimisers import OptimiserSettings, Schedule
from bninit.training.probing import ProbeSettings
from bninit.training.records import Checkpoint
from bninit.training.steps import DROP


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What the networks of a stack have in common.

    Attributes:
        architecture: Their shape.
        optimiser: Its constants.
        lr: Learning rate at the start.
        schedule: How it changes.
        epochs: Epochs of the whole training.
        batch_size: Examples of a step.
        last_batch: ``drop`` or ``keep`` a rest smaller than a batch.
        dtype: Of parameters, signals and data.
        precision: Of matrix products; see `bninit.nets.products.PRECISIONS`.
        device: Where all of it is.
        probes: What is read inside the networks on the way, which changes nothing in them; None
            for nothing.
    """

    architecture: Architecture
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    lr: float = 0.1
    schedule: Schedule = field(default_factory=Schedule)
    epochs: int = 10
    batch_size: int = 128
    last_batch: str = DROP
    dtype: torch.dtype = torch.float32
    precision: str = FULL
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    probes: ProbeSettings | None = None


@dataclass(frozen=True, kw_only=True)
class ReplicaPlan:
    """One network to be trained.

    Attributes:
        seed: Names its random streams.
        initialisation: How it starts.
        checkpoint: Where it goes on; None for the beginning.
    """

    seed: int
    initialisation: Initialisation
    checkpoint: Checkpoint | None = None
