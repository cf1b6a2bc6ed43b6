"""Trainings that resume after any epoch or step, to the bits of one that was never interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from shapes import OPTIM, initial, planned, shape, vary

from bninit.data.load import Data
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.records import EpochRecord, InterruptedEpoch
from bninit.training.settings import CosineSchedule, ProbeSettings

Tell = Callable[..., list[Any]]
STEPS = 3
"""Of an epoch of `data` in batches of 60."""


def plan_of(optimiser: str, running: str, placement: str = "pre", *, epochs: int = 2) -> StackPlan:
    return planned(
        shape((12, 17, 20, 10), placement=placement, running=running, input_norm=True),
        optim=OPTIM[optimiser],
        schedule=CosineSchedule(),
        lr=0.02,
        epochs=epochs,
        batch_size=60,
        last_batch="keep",
        probes=ProbeSettings(enabled=running != "ema", batch_size=50),
    )


def after(num_steps: int) -> Callable[[], bool]:
    """Says stop after so many steps, and not before; it is asked after epochs, too."""
    asked: Iterator[int] = iter(range(1, 1000))
    return lambda: next(asked) >= num_steps


def cut_at(
    plan: StackPlan, replicas: list[ReplicaPlan], data: Data, num_steps: int
) -> InterruptedEpoch:
    *_, last = train_stack(plan, replicas, data, stop=after(num_steps))
    assert isinstance(last, InterruptedEpoch)
    return last


def resumed(replicas: list[ReplicaPlan], cut: InterruptedEpoch) -> list[ReplicaPlan]:
    return [
        dataclasses.replace(replica, checkpoint=cut.checkpoints[place]())
        for place, replica in enumerate(replicas)
    ]


def at_epoch(replica: ReplicaPlan, told: Any, epoch: int) -> ReplicaPlan:
    return dataclasses.replace(replica, checkpoint=told.checkpoints[epoch])


@pytest.mark.parametrize(
    ("optimiser", "placement", "running"),
    [
        *((optimiser, "pre", "ema") for optimiser in OPTIM),
        ("adam", "pre", "cumulative"),
        ("adam", "pre", "population"),
        ("sgd", "none", "population"),
        ("adamw", "post", "cumulative"),
    ],
)
def test_the_rest_is_the_same_to_the_bit(
    optimiser: str,
    placement: str,
    running: str,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    plan, replicas = plan_of(optimiser, running, placement), mixed_plans[:3]
    whole = tell(plan, replicas, data)
    # Epoch 0 is on record already; after the last one comes the end alone.
    for epoch in range(plan.train.epochs + 1):
        again = [at_epoch(*pair, epoch) for pair in zip(replicas, whole, strict=True)]
        check(plan, again, whole, data, tell, since=epoch)
    for step in (1, STEPS):
        cut = cut_at(plan, replicas, data, step)
        assert (cut.epoch, cut.steps) == (0, step)
        again = resumed(replicas, cut)
        for checkpoint in (one.checkpoint for one in again):
            assert checkpoint is not None
            assert (checkpoint.epoch, checkpoint.step, checkpoint.begun.size) == (0, step, step)
        check(plan, again, whole, data, tell, since=0)


def check(
    plan: StackPlan, again: list[ReplicaPlan], whole: Any, data: Data, tell: Tell, *, since: int
) -> None:
    """In other company, and in another order."""
    for places in ([2, 0], [1]):
        found = tell(plan, [again[place] for place in places], data)
        for place, told in zip(places, found, strict=True):
            assert told.bits == whole[place].since(since).bits


def test_cut_twice_in_an_epoch_and_once_in_the_next(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    plan, replicas = plan_of("adam", "cumulative", "post"), mixed_plans[:2]
    whole = tell(plan, replicas, data)
    again = replicas
    for num_steps, place in ((1, (0, 1)), (1, (0, 2)), (3, (1, 1))):
        # The third takes a step, is asked after the epoch, and stops a step later.
        cut = cut_at(plan, again, data, num_steps)
        assert (cut.epoch, cut.steps) == place
        again = resumed(replicas, cut)
    for told, one in zip(tell(plan, again, data), whole, strict=True):
        assert told.bits == one.since(1).bits


def test_told_to_stop_between_epochs_it_needs_no_cut(settings: StackPlan, data: Data) -> None:
    # Asked after three steps, and then after the epoch.
    records = list(train_stack(settings, [ReplicaPlan(seed=0)], data, stop=after(STEPS + 1)))
    assert [type(record) for record in records] == [EpochRecord, EpochRecord]


def test_one_that_diverges_before_the_cut_does_so_once(data: Data, tell: Tell) -> None:
    plan = vary(plan_of("sgd", "ema", "none"), lr=1e30)
    replicas = [ReplicaPlan(seed=seed) for seed in (0, 1)]
    whole = tell(plan, replicas, data)
    assert whole[0].epochs[-1][2] == 2, "its second loss is not finite"
    cut = cut_at(plan, replicas, data, 2)
    for told, one in zip(tell(plan, resumed(replicas, cut), data), whole, strict=True):
        assert told.bits == one.since(0).bits


@pytest.mark.parametrize("cut_after", [2, None])
def test_steps_losses_and_seconds_are_counted_on(
    cut_after: int | None, settings: StackPlan, data: Data, tell: Tell
) -> None:
    replicas = [ReplicaPlan(seed=0)]
    (whole,) = tell(settings, replicas, data)
    again = at_epoch(replicas[0], whole, 1)
    if cut_after is not None:
        (again,) = resumed(replicas, cut_at(settings, replicas, data, cut_after))
        assert again.checkpoint is not None
        assert again.checkpoint.begun.dtype == np.float32
        assert whole.epochs[1][1].startswith(again.checkpoint.begun.tobytes())
    assert again.checkpoint is not None
    assert again.checkpoint.seconds > 0
    late = dataclasses.replace(again.checkpoint, seconds=1000.0)
    records = train_stack(settings, [dataclasses.replace(again, checkpoint=late)], data)
    metrics = next(iter(records)).replicas[0].metrics  # type: ignore[union-attr]
    epoch = 2 if cut_after is None else 1
    assert (metrics.epoch, metrics.step) == (epoch, epoch * STEPS)
    assert 1000 < metrics.seconds < 1100


def test_checkpoints_that_do_not_fit_are_refused(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    plan, replicas = plan_of("sgd", "ema"), mixed_plans[:2]
    whole = tell(plan, replicas, data)
    first = at_epoch(replicas[0], whole[0], 1)
    cuts = [resumed(replicas, cut_at(plan, replicas, data, steps)) for steps in (1, 2)]
    for again in (
        [first, at_epoch(replicas[1], whole[1], 2)],
        [first, replicas[1]],
        [cuts[0][0], cuts[1][1]],
    ):
        with pytest.raises(ValueError, match="different numbers of epochs"):
            next(iter(train_stack(plan, again, data)))
    for other, match in (
        (plan_of("sgd", "ema", "none"), "names differ"),
        (plan_of("adam", "ema"), "optimiser state"),
    ):
        with pytest.raises(ValueError, match=match):
            next(iter(train_stack(other, [first], data)))


def test_nothing_but_the_checkpoint_matters(data: Data, tell: Tell) -> None:
    plan, replica = plan_of("adam", "cumulative"), ReplicaPlan(seed=3)
    (whole,) = tell(plan, [replica], data)
    torch.manual_seed(123)
    elsewhere = dataclasses.replace(at_epoch(replica, whole, 2), init=initial("zeros"))
    (told,) = tell(plan, [elsewhere], data)
    assert told.bits == whole.since(2).bits
