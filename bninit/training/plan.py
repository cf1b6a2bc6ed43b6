"""Plan of a stack's training: what its networks share, and each network of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from bninit.nets.architecture import Architecture
from bninit.nets.settings import InitSettings
from bninit.training.records import Checkpoint
from bninit.training.settings import Optimiser, ProbeSettings, SGDSettings, TrainSettings


@dataclass(frozen=True, kw_only=True)
class StackPlan:
    """What the networks of a stack have in common.

    Attributes:
        architecture: Their shape.
        optim: Optimiser, learning rate and schedule.
        train: Epochs, batches and precision; its seeds and device are not looked at.
        probes: What is read inside the networks, which changes nothing in them.
        device: Where all of it is.
    """

    architecture: Architecture
    optim: Optimiser = field(default_factory=SGDSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    probes: ProbeSettings = field(default_factory=ProbeSettings)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, kw_only=True)
class ReplicaPlan:
    """One network to be trained.

    Attributes:
        seed: Names its random streams.
        init: Its initial values.
        checkpoint: Where it resumes; None for the beginning.
    """

    seed: int
    init: InitSettings = field(default_factory=InitSettings)
    checkpoint: Checkpoint | None = None
