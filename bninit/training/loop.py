"""A stack in training: its state between two epochs, and what it does in one."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.products import FULL
from bninit.nets.settings import InitSettings
from bninit.nets.stack import StackedMLP
from bninit.nets.start import LSUV_BATCH, draw_start, stack
from bninit.training.evaluation import collect_population_statistics, evaluate
from bninit.training.optimisers import Optimiser, build_optimiser, learning_rate, load_optimiser
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.probing import Prober, Unprobed
from bninit.training.records import (
    Checkpoint,
    EpochMetrics,
    EpochRecord,
    EvalResult,
    FinalRecord,
    InterruptedEpoch,
    ReplicaEpoch,
)
from bninit.training.seeding import bias_draws, weight_draws
from bninit.training.steps import Steps, epoch_order

CPU = torch.device("cpu")


def never() -> bool:
    """Lets a training go on to its end."""
    return False


def draw_networks(
    architecture: Architecture,
    starts: Sequence[tuple[int, InitSettings]],
    *,
    dtype: torch.dtype,
    examples: Tensor,
    device: torch.device = CPU,
    precision: str = FULL,
) -> StackedMLP:
    """The networks with which training starts, in one stack.

    Args:
        architecture: Their shape.
        starts: Seed and initial values of each.
        dtype: Of their numbers.
        examples: Training images, (example, feature), on which ``lsuv`` measures.
        device: Where the stack is to live.
        precision: Of its products; see `bninit.nets.products.PRECISIONS`.
    """
    drawn = [
        draw_start(
            architecture,
            init,
            weight_draws=partial(weight_draws, seed),
            bias_draws=partial(bias_draws, seed),
            dtype=dtype,
            examples=examples[:LSUV_BATCH].cpu(),
        )
        for seed, init in starts
    ]
    return stack(architecture, drawn, device=device, precision=precision)


class Session:
    """The state of `bninit.training.loop.train_stack` between two steps.

    Attributes:
        epoch: Finished epochs.
        step: Finished steps, those of an unfinished epoch included.
        begun: Losses of the finished steps of an unfinished epoch, (replica, step).
        steps: Makes the steps of the networks that are in the stack.
    """

    def __init__(self, plan: StackPlan, replicas: Sequence[ReplicaPlan], data: Data) -> None:
        self.plan, self.train = plan, plan.train
        self.replicas = list(replicas)
        self.data = data
        if self.train.batch_size > data.train_x.size(0):
            raise ValueError(f"a batch of {self.train.batch_size} is more than the training set")
        self.places = list(range(len(replicas)))
        checkpoints = [one.checkpoint for one in replicas if one.checkpoint is not None]
        if len({c.place for c in checkpoints}) > 1 or len(checkpoints) not in (0, len(replicas)):
            raise ValueError("the networks of a stack have finished different numbers of epochs")
        self.epoch = checkpoints[0].epoch if checkpoints else 0
        self.step = checkpoints[0].step if checkpoints else 0
        self.seconds = [c.seconds for c in checkpoints] or [0.0] * len(replicas)
        self.begun: npt.NDArray[np.floating] = (
            np.stack([c.begun for c in checkpoints])
            if checkpoints
            else np.empty((len(replicas), 0))
        )
        self.network = draw_networks(
            plan.architecture,
            [(one.seed, one.init) for one in replicas],
            dtype=self.train.dtype,
            examples=data.train_x,
            device=plan.device,
            precision=self.train.products,
        )
        self.optimiser = build_optimiser(self.network.parameters, plan.optim)
        if checkpoints:
            self.network.load([c.network for c in checkpoints])
            load_optimiser(self.optimiser, [c.optimiser for c in checkpoints])
        self.prober: Prober | Unprobed = Unprobed()
        if plan.probes.enabled:
            self.prober = Prober(
                plan.probes,
                train=self.train,
                network=self.network,
                data=data,
                states=[c.probes for c in checkpoints],
            )
        self._warm_up()
        self.steps = self._program(self.network, self.optimiser)

    def run_epoch(self, *, stop: Callable[[], bool] = never) -> npt.NDArray[np.floating]:
        """Trains to the end of an epoch, or until told to stop.

        Args:
            stop: Asked after each step; True leaves the epoch there, with its losses in `begun`.

        Returns:
            The loss of each step of the epoch that is done, (replica, step).
        """
        self.lr = self._learning_rate(self.epoch + 1)
        order = self._order()
        first = self.begun.shape[1]
        steps = self.steps
        steps.begin(order, lr=self.lr, first=first)
        stopped = False
        with torch.no_grad():
            for _ in range(first, steps.num_steps):
                self.prober.before_step(
                    self.step, next_batch=steps.next_batch, learning_rate=self.lr
                )
                steps.step()
                self.step += 1
                stopped = stop()
                if stopped:
                    break
        new = steps.losses()
        found = np.concatenate([self.begun.astype(new.dtype), new], axis=1)
        self.begun = found if stopped else found[:, :0]
        self.epoch += 0 if stopped else 1
        return found

    def cut(self, *, stack_seconds: float) -> InterruptedEpoch:
        """Tells where each network stands within an epoch."""
        self._count_seconds(stack_seconds)
        return InterruptedEpoch(
            epoch=self.epoch,
            steps=self.begun.shape[1],
            checkpoints={
                place: partial(self._checkpoint, i) for i, place in enumerate(self.places)
            },
        )

    def record(
        self, losses: npt.NDArray[np.floating] | None, *, stack_seconds: float
    ) -> EpochRecord:
        """Evaluates, and tells what each network did."""
        if losses is None:
            losses = np.empty((len(self.replicas), 0))
        self._count_seconds(stack_seconds)
        if self.network.needs_population_pass:
            collect_population_statistics(
                self.network, self.data.train_x, batch_size=self.train.batch_size
            )
        self.prober.at_epoch(
            self.epoch,
            next_batch=self._next_batch,
            learning_rate=self._learning_rate(min(self.epoch + 1, self.train.epochs)),
        )
        num_val = self.data.val_y.numel()
        train = evaluate(self.network, self.data.train_x[:num_val], self.data.train_y[:num_val])
        val = evaluate(self.network, self.data.val_x, self.data.val_y)
        return EpochRecord(
            epoch=self.epoch,
            stack_seconds=stack_seconds,
            replicas=tuple(
                ReplicaEpoch(
                    replica=place,
                    metrics=self._metrics(i, losses[i], train[i], val[i]),
                    step_losses=losses[i],
                    diverged_step=self._diverged_step(losses[i], train[i].loss, val[i].loss)
                    if self.epoch
                    else None,
                    checkpoint=partial(self._checkpoint, i),
                )
                for i, place in enumerate(self.places)
            ),
        )

    def keep(self, which: Sequence[bool]) -> None:
        """Lets networks leave the stack."""
        if all(which):
            return
        stay = [i for i, stays in enumerate(which) if stays]
        checkpoints = [self._checkpoint(i) for i in stay]
        self.replicas = [self.replicas[i] for i in stay]
        self.places = [self.places[i] for i in stay]
        self.seconds = [self.seconds[i] for i in stay]
        self.begun = self.begun[stay]
        if not stay:
            return
        self.network = self.network.select(stay)
        self.optimiser = build_optimiser(self.network.parameters, self.plan.optim)
        load_optimiser(self.optimiser, [c.optimiser for c in checkpoints])
        self.prober.keep(self.network, stay)
        self.steps = self._program(self.network, self.optimiser)

    def finish(self) -> Iterator[FinalRecord]:
        """Evaluates once on the whole training set, and on the test set."""
        if not self.replicas:
            return
        train = evaluate(self.network, self.data.train_x, self.data.train_y)
        test = evaluate(self.network, self.data.test_x, self.data.test_y)
        for place, train_figures, test_figures in zip(self.places, train, test, strict=True):
            yield FinalRecord(replica=place, train=train_figures, test=test_figures)

    def _order(self) -> Tensor:
        seeds = [replica.seed for replica in self.replicas]
        return epoch_order(seeds, epoch=self.epoch + 1, num_examples=self.data.train_x.size(0))

    def _next_batch(self) -> Tensor:
        """The examples of the first step of the next epoch, (replica, batch)."""
        return self._order()[:, : self.train.batch_size].to(self.plan.device)

    def _warm_up(self) -> None:
        """Steps with a copy of the stack once, so that no epoch's time has first calls in it."""
        scratch = self.network.select(range(len(self.replicas)))
        optimiser = build_optimiser(scratch.parameters, self.plan.optim)
        steps = self._program(scratch, optimiser, capture=False)
        order = torch.arange(self.data.train_x.size(0)).expand(len(self.replicas), -1)
        with torch.no_grad():
            for first in {0, steps.num_steps - 1}:
                steps.begin(order, lr=0.0, first=first)
                steps.step()

    def _program(self, network: StackedMLP, optimiser: Optimiser, *, capture: bool = True) -> Steps:
        return Steps(network, optimiser, self.data, self.train, capture=capture)

    def _count_seconds(self, stack_seconds: float) -> None:
        self.seconds = [seconds + stack_seconds / len(self.replicas) for seconds in self.seconds]

    def _learning_rate(self, epoch: int) -> float:
        return learning_rate(self.plan.optim, epoch=epoch, num_epochs=self.train.epochs)

    def _metrics(
        self, i: int, losses: npt.NDArray[np.floating], train: EvalResult, val: EvalResult
    ) -> EpochMetrics:
        return EpochMetrics(
            epoch=self.epoch,
            step=self.step,
            learning_rate=self._learning_rate(max(self.epoch, 1)),
            batch_loss=float(losses.mean(dtype=np.float64)) if losses.size else None,
            train_loss=train.loss,
            train_accuracy=train.accuracy,
            val_loss=val.loss,
            val_accuracy=val.accuracy,
            seconds=self.seconds[i],
        )

    def _diverged_step(self, losses: npt.NDArray[np.floating], *evaluated: float) -> int | None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            return self.step - losses.size + int(bad[0]) + 1
        return None if all(math.isfinite(loss) for loss in evaluated) else self.step

    def _checkpoint(self, i: int) -> Checkpoint:
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            seconds=self.seconds[i],
            network=self.network.state(i),
            optimiser={name: t[i].clone() for name, t in self.optimiser.tensors().items()},
            probes=self.prober.state(i),
            begun=self.begun[i].copy(),
        )


def train_stack(
    plan: StackPlan,
    replicas: Sequence[ReplicaPlan],
    data: Data,
    *,
    stop: Callable[[], bool] = never,
) -> Iterator[EpochRecord | InterruptedEpoch | FinalRecord]:
    """Trains networks together.

    A network that goes to NaN or infinity leaves the stack at the end of that epoch; on the CPU
    nothing of the others changes by it.

    Args:
        plan: What they have in common.
        replicas: At least one network; all have finished the same number of epochs, and of steps.
        data: On the device and in the dtype of the plan.
        stop: Asked after each step, each epoch and before the end; True ends the training there.

    Yields:
        An `EpochRecord` for each epoch, from 0 or from the one after the checkpoint, be it that of
        epoch 0; then a
        `FinalRecord` for each network that did not diverge. Between two records nothing runs, so
        the caller can take checkpoints. Told to stop within an epoch, an `InterruptedEpoch` last:
        from its checkpoints a training resumes with the bits that it would have had.

    Raises:
        ValueError: The checkpoints are of different epochs or steps, or do not fit the
            architecture; or a batch is larger than the training set.
    """
    training = Session(plan, replicas, data)
    if replicas[0].checkpoint is None:
        yield training.record(None, stack_seconds=0.0)
    while training.epoch < plan.train.epochs and training.replicas:
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
    plan: StackPlan, replicas: Sequence[ReplicaPlan], data: Data, *, num_steps: int = 10
) -> float:
    """How long a step of a stack takes on this machine now: the median of a few, in seconds.

    Args:
        plan: As in `train_stack`.
        replicas: As in `train_stack`.
        data: As in `train_stack`, at least one batch of it.
        num_steps: Steps to time, at least 1.
    """
    training = Session(plan, replicas, data)
    order = torch.arange(data.train_x.size(0)).expand(len(replicas), -1)
    times = []
    for _ in range(num_steps):
        training.steps.begin(order, lr=0.0)
        began = time.perf_counter()
        with torch.no_grad():
            training.steps.step()
        training.steps.losses()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
