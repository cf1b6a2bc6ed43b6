"""bninit itself: a stack of networks, as a training runs it."""

from __future__ import annotations

from functools import partial

from bninit.bench.case import LEARNING_RATE, MOMENTUM, Case
from bninit.bench.contenders import Build, Losses
from bninit.nets.start import Initialisation
from bninit.training.optimisers import OptimiserSettings
from bninit.training.session import Session
from bninit.training.settings import ReplicaPlan, TrainSettings

_ENDLESS = 1_000_000
"""Epochs of the training, which nothing but its learning-rate schedule would ask for."""


class Stack:
    """Networks with the seeds 0, 1, ... in one stack, without evaluation and without records.

    Args:
        case: What is trained.
        num_networks: Networks in the stack.
    """

    def __init__(self, case: Case, *, num_networks: int) -> None:
        self.name = stack_name(num_networks)
        self.num_networks = num_networks
        settings = TrainSettings(
            architecture=case.architecture,
            optimiser=OptimiserSettings(name="sgd", momentum=MOMENTUM),
            lr=LEARNING_RATE,
            epochs=_ENDLESS,
            batch_size=case.batch_size,
            device=case.device,
        )
        plans = [ReplicaPlan(seed=r, initialisation=Initialisation()) for r in range(num_networks)]
        self._session = Session(settings, plans, case.data)

    def train(self) -> Losses:
        """See `Contender.train`."""
        return self._session.run_epoch()


def stack_name(num_networks: int) -> str:
    """Who it is: ``bninit, 1 network``, ``bninit, stack of 10``."""
    return "bninit, 1 network" if num_networks == 1 else f"bninit, stack of {num_networks}"


def stack_of(num_networks: int) -> Build:
    """Makes stacks of one size."""
    return partial(Stack, num_networks=num_networks)
