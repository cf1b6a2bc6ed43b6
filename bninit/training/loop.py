"""The training of a stack: yields a record for each epoch, keeps and shows nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from bninit.data.load import Data
from bninit.training.records import CutRecord, EpochRecord, FinalRecord
from bninit.training.session import Session, never
from bninit.training.settings import ReplicaPlan, TrainSettings

__all__ = ["ReplicaPlan", "TrainSettings", "seconds_per_step", "train_stack"]


def train_stack(
    settings: TrainSettings,
    plans: Sequence[ReplicaPlan],
    data: Data,
    *,
    stop: Callable[[], bool] = never,
) -> Iterator[EpochRecord | CutRecord | FinalRecord]:
    """Trains networks together.

    A network that goes to NaN or infinity leaves the stack at the end of that epoch; on the CPU
    nothing of the others changes by it.

    Args:
        settings: What they have in common.
        plans: At least one network; all have finished the same number of epochs, and of steps.
        data: On the device and in the dtype of the settings.
        stop: Asked after each step, each epoch and before the end; True ends the training there.

    Yields:
        An `EpochRecord` for each epoch, from 0 or from the one after the checkpoint, be it that of
        epoch 0; then a
        `FinalRecord` for each network that did not diverge. Between two records nothing runs, so
        the caller can take checkpoints. Told to stop within an epoch, a `CutRecord` as the last
        one; from its checkpoints a training goes on with the bits that it would have had.

    Raises:
        ValueError: The checkpoints are of different epochs or steps, or do not fit the
            architecture; or a batch is larger than the training set.
    """
    training = Session(settings, plans, data)
    if plans[0].checkpoint is None:
        yield training.record(None, stack_seconds=0.0)
    while training.epoch < settings.epochs and training.plans:
        began = time.perf_counter()
        losses = training.run_epoch(stop=stop)
        stack_seconds = time.perf_counter() - began - training.prober.spent()
        if training.begun.size:
            yield training.cut(stack_seconds=stack_seconds)
            return
        record = training.record(losses, stack_seconds=stack_seconds)
        yield record
        training.keep([r.diverged_step is None for r in record.replicas])
        if stop():
            return
    yield from training.finish()


def seconds_per_step(
    settings: TrainSettings, plans: Sequence[ReplicaPlan], data: Data, *, num_steps: int = 10
) -> float:
    """How long a step of a stack takes on this machine now: the median of a few, in seconds.

    Args:
        settings: As in `train_stack`.
        plans: As in `train_stack`.
        data: As in `train_stack`, at least one batch of it.
        num_steps: Steps to time, at least 1.
    """
    training = Session(settings, plans, data)
    order = torch.arange(data.train_x.size(0)).expand(len(plans), -1)
    times = []
    for _ in range(num_steps):
        training.steps.begin(order, lr=0.0)
        began = time.perf_counter()
        with torch.no_grad():
            training.steps.step()
        training.steps.losses()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
