"""A training once more, to look at what was not kept of it: nothing of it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bninit.data.load import Data
from bninit.training.along_gradient import MULTIPLES, AlongGradient, measure_along_gradient
from bninit.training.session import ReplicaPlan, Session, TrainSettings
from bninit.training.step import gather


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
    settings: TrainSettings,
    plans: Sequence[ReplicaPlan],
    data: Data,
    *,
    steps: Collection[int] = (),
    lengths: Sequence[float] | None = None,
) -> Iterator[ReplayedEpoch]:
    """Trains networks from the beginning, and measures along their gradients on the way.

    On the same machine it is the same training, to the last bit on the CPU.

    Args:
        settings: What they have in common.
        plans: At least one network, without a checkpoint.
        data: On the device and in the dtype of the settings.
        steps: Before which to measure; a measurement takes the time of 1 + lengths steps.
        lengths: Step lengths, rising; by default `MULTIPLES` of the step's learning rate.

    Yields:
        Each epoch, from 0.
    """
    training = Session(settings, plans, data)
    measured: list[MeasuredStep] = []

    def measure(step: int, index: Tensor) -> None:
        if step not in steps:
            return
        inputs, labels = gather(data.train_x, data.train_y, index)
        lr = training.lr
        own = [multiple * lr for multiple in MULTIPLES] if lengths is None else lengths
        along = measure_along_gradient(training.network, inputs, labels, lengths=own)
        measured.append(
            MeasuredStep(step=step, epoch=training.epoch + 1, learning_rate=lr, along=along)
        )

    def told(losses: npt.NDArray[np.floating]) -> ReplayedEpoch:
        return ReplayedEpoch(
            epoch=training.epoch,
            step_losses=losses,
            measured=tuple(measured),
            parameters=tuple(_parameters(training, place) for place in range(len(plans))),
        )

    yield told(np.empty((len(plans), 0)))
    while training.epoch < settings.epochs:
        measured.clear()
        yield told(training.run_epoch(before_step=measure))


def _parameters(training: Session, place: int) -> dict[str, Tensor]:
    return {p.name: p.value[place].clone() for p in training.network.parameters}
