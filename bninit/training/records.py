"""What a training yields: plain records, for whoever keeps or shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """A network on a set of examples, in evaluation mode.

    Attributes:
        loss: Mean cross-entropy in nats per example.
        accuracy: Fraction of examples classified correctly, in [0, 1].
    """

    loss: float
    accuracy: float


RowKey: TypeAlias = tuple[int, str, str, int]
"""Layer, place, quantity and unit of a number; see `bninit.training.readings.Reading`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerRows:
    """What probes found inside one network: a row for each number, in the order of time.

    Attributes:
        step: Finished steps, (row,).
        epoch: Finished epochs, (row,).
        key: What the number is, as a place in ``keys``, (row,).
        value: The number, (row,), float32; NaN where there is none.
        keys: Layer, place, quantity and unit.
    """

    step: npt.NDArray[np.integer]
    epoch: npt.NDArray[np.integer]
    key: npt.NDArray[np.integer]
    value: npt.NDArray[np.float32]
    keys: tuple[RowKey, ...]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """All that one network needs to go on after a step.

    Attributes:
        epoch: Finished epochs.
        step: Finished steps, those of an unfinished epoch included.
        seconds: Training time so far; see `EpochMetrics`.
        network: Parameters and statistics under their names in ``nn.Sequential``.
        optimiser: What the optimiser remembers, by name.
        probes: All that probes have found and remember, by name; empty where none are taken. See
            `bninit.training.probing.rows_of`.
        begun: Training loss of each finished step of an unfinished epoch in nats, (step,); empty
            between two epochs.
    """

    epoch: int
    step: int
    seconds: float
    network: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    probes: dict[str, Tensor] = field(default_factory=dict)
    begun: npt.NDArray[np.floating] = field(default_factory=lambda: np.empty(0))

    @property
    def place(self) -> tuple[int, int]:
        """Finished epochs, and finished steps of the epoch that has begun."""
        return self.epoch, self.begun.size


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One network after one epoch; epoch 0 is before training.

    Attributes:
        epoch: Finished epochs.
        step: Finished steps.
        learning_rate: Of the epoch that ended; at epoch 0, of the first one.
        batch_loss: Mean over the epoch's steps of the training loss that each step saw, in nats;
            None at epoch 0.
        train_loss: In evaluation mode, on a fixed part of the training set that is as large as
            the validation set.
        train_accuracy: On the same examples.
        val_loss: On the validation set.
        val_accuracy: On the validation set.
        seconds: The network's share of the time spent in training steps so far: wall-clock time
            of the stack divided by the networks in it. Evaluation and writing are not in it.
    """

    epoch: int
    step: int
    learning_rate: float
    batch_loss: float | None
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ReplicaEpoch:
    """What one network did in one epoch.

    Attributes:
        replica: Its place in the list that the training was given.
        metrics: Its row.
        step_losses: Training loss of each step of the epoch in nats, (step,); empty at epoch 0.
        diverged_step: The 1-based step, counted from the start of the training, whose loss was
            the first that was not finite; None while all is well. When losses were finite and
            the evaluation was not, the last step. This is a diverged network's last record. None at
            epoch 0: no step has been made, and the evaluation goes by running statistics that
            say nothing yet.
        checkpoint: Copies what is needed to go on; costs nothing until it is called.
    """

    replica: int
    metrics: EpochMetrics
    step_losses: npt.NDArray[np.floating]
    diverged_step: int | None
    checkpoint: Callable[[], Checkpoint]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of a stack.

    Attributes:
        epoch: Finished epochs.
        replicas: The networks that took part, in order.
        stack_seconds: Wall-clock time of the epoch's steps.
    """

    epoch: int
    replicas: tuple[ReplicaEpoch, ...]
    stack_seconds: float


@dataclass(frozen=True, kw_only=True)
class InterruptedEpoch:
    """Where a stack that was told to stop stands, within an epoch.

    Attributes:
        epoch: Finished epochs.
        steps: Finished steps of the epoch that has begun.
        checkpoints: Of each network that takes part, by its place in the list that the training
            was given; copies, once called.
    """

    epoch: int
    steps: int
    checkpoints: Mapping[int, Callable[[], Checkpoint]]


@dataclass(frozen=True, kw_only=True)
class FinalRecord:
    """One network at the end of its training. A network that diverged has none.

    Attributes:
        replica: Its place in the list that the training was given.
        train: On the whole training set.
        test: On the test set, which nothing has read before.
    """

    replica: int
    train: EvalResult
    test: EvalResult
