"""A training once more, to look at what was not kept of it: nothing of it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bninit.data.load import Data
from bninit.training.along_gradient import AlongGradient, lengths_for, measure_along_gradient
from bninit.training.loop import Session
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.probing import Unprobed
from bninit.training.settings import ProbeSettings
from bninit.training.steps import gather


@dataclass(frozen=True, kw_only=True)
class MeasuredStep:
    """What a stack met along its gradients before one step.

    Attributes:
        step: 1-based, counted from the start of the training.
        epoch: In which it lies, from 1.
        learning_rate: Of the step.
        along: What was measured, for each network.
    """

    step: int
    epoch: int
    learning_rate: float
    along: AlongGradient


@dataclass(frozen=True, kw_only=True)
class ReplayedEpoch:
    """One epoch of a training that is gone through again; epoch 0 is before training.

    Attributes:
        epoch: Finished epochs.
        step_losses: Training loss of each step of the epoch in nats, (replica, step).
        measured: The epoch's steps that were measured.
        parameters: Of each network after the epoch, as ``nn.Sequential`` names them.
    """

    epoch: int
    step_losses: npt.NDArray[np.floating]
    measured: tuple[MeasuredStep, ...]
    parameters: tuple[dict[str, Tensor], ...]


def replay(
    plan: StackPlan,
    replicas: Sequence[ReplicaPlan],
    data: Data,
    *,
    steps: Collection[int] = (),
    lengths: Sequence[float] | None = None,
) -> Iterator[ReplayedEpoch]:
    """Trains networks from the beginning, and measures along their gradients on the way.

    On the same machine it is the same training, to the last bit on the CPU.

    Args:
        plan: What they have in common.
        replicas: At least one network, without a checkpoint.
        data: On the device and in the dtype of the plan.
        steps: Before which to measure; see `measure_along_gradient` for what it takes.
        lengths: Step lengths, rising; by default `lengths_for` the step's learning rate.

    Yields:
        Each epoch, from 0.
    """
    training = Session(replace(plan, probes=ProbeSettings()), replicas, data)
    measurer = _Measurer(training, steps=steps, lengths=lengths)
    training.prober = measurer

    def told(losses: npt.NDArray[np.floating]) -> ReplayedEpoch:
        return ReplayedEpoch(
            epoch=training.epoch,
            step_losses=losses,
            measured=tuple(measurer.measured),
            parameters=tuple(_parameters(training, place) for place in range(len(replicas))),
        )

    yield told(np.empty((len(replicas), 0)))
    while training.epoch < plan.train.epochs:
        measurer.measured.clear()
        yield told(training.run_epoch())


class _Measurer(Unprobed):
    """Measures along the gradient where a training takes its probes, at other moments."""

    def __init__(
        self, training: Session, *, steps: Collection[int], lengths: Sequence[float] | None
    ) -> None:
        self.measured: list[MeasuredStep] = []
        self._training = training
        self._steps = frozenset(steps)
        self._lengths = lengths

    def before_step(self, step: int, *, next_batch: Tensor, learning_rate: float) -> None:
        """Measures at the weights before a step, with its examples."""
        if step + 1 not in self._steps:
            return
        training = self._training
        inputs, labels = gather(training.data.train_x, training.data.train_y, next_batch)
        along = measure_along_gradient(
            training.network,
            inputs,
            labels,
            lengths=self._lengths or lengths_for(learning_rate),
        )
        self.measured.append(
            MeasuredStep(
                step=step + 1,
                epoch=training.epoch + 1,
                learning_rate=learning_rate,
                along=along,
            )
        )


def _parameters(training: Session, place: int) -> dict[str, Tensor]:
    return {p.name: p.value[place].clone() for p in training.network.parameters}
