"""Trainings that are told to stop after any step, and go on to the bits of one that was not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.start import Initialisation
from bninit.training.loop import ReplicaPlan, TrainSettings, train_stack
from bninit.training.optimisers import OptimiserSettings, Schedule
from bninit.training.records import EpochRecord, InterruptedEpoch

Tell = Callable[..., list[Any]]
STEPS = 3
"""Of an epoch of `data` in batches of 60."""


def settings_for(optimiser: str, running: str, placement: str = "pre") -> TrainSettings:
    return TrainSettings(
        architecture=Architecture(
            widths=(12, 17, 20, 10), placement=placement, running=running, input_norm=True
        ),
        optimiser=OptimiserSettings(name=optimiser),
        schedule=Schedule(name="cosine"),
        lr=0.02,
        epochs=2,
        batch_size=60,
        last_batch="keep",
    )


def after(num_steps: int) -> Callable[[], bool]:
    """Says stop after so many steps, and not before; it is asked after epochs, too."""
    asked: Iterator[int] = iter(range(1, 1000))
    return lambda: next(asked) >= num_steps


def cut_at(
    settings: TrainSettings, plans: list[ReplicaPlan], data: Data, num_steps: int
) -> InterruptedEpoch:
    *_, last = train_stack(settings, plans, data, stop=after(num_steps))
    assert isinstance(last, InterruptedEpoch)
    return last


def going_on(plans: list[ReplicaPlan], cut: InterruptedEpoch) -> list[ReplicaPlan]:
    return [
        dataclasses.replace(plan, checkpoint=cut.checkpoints[replica]())
        for replica, plan in enumerate(plans)
    ]


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
def test_cut_after_any_step_the_rest_is_the_same_to_the_bit(
    optimiser: str, running: str, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plans = settings_for(optimiser, running), mixed_plans[:3]
    whole = tell(settings, plans, data)
    for step in range(1, STEPS + 1):
        cut = cut_at(settings, plans, data, step)
        assert (cut.epoch, cut.steps) == (0, step)
        again = going_on(plans, cut)
        for checkpoint in (plan.checkpoint for plan in again):
            assert checkpoint is not None
            assert (checkpoint.epoch, checkpoint.step, checkpoint.begun.size) == (0, step, step)
        # In other company, and in another order.
        for places in ([2, 0], [1]):
            found = tell(settings, [again[place] for place in places], data)
            for place, told in zip(places, found, strict=True):
                assert told.bits == whole[place].since(0).bits


def test_cut_twice_in_an_epoch_and_once_in_the_next(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plans = settings_for("adam", "cumulative", "post"), mixed_plans[:2]
    whole = tell(settings, plans, data)
    again = plans
    for num_steps, place in ((1, (0, 1)), (1, (0, 2)), (3, (1, 1))):
        # The third goes on for a step, is asked after the epoch, and stops a step later.
        cut = cut_at(settings, again, data, num_steps)
        assert (cut.epoch, cut.steps) == place
        again = going_on(plans, cut)
    for told, one in zip(tell(settings, again, data), whole, strict=True):
        assert told.bits == one.since(1).bits


def test_told_to_stop_between_epochs_it_needs_no_cut(settings: TrainSettings, data: Data) -> None:
    plans = [ReplicaPlan(seed=0, initialisation=Initialisation())]
    # Asked after three steps, and then after the epoch.
    records = list(train_stack(settings, plans, data, stop=after(STEPS + 1)))
    assert [type(record) for record in records] == [EpochRecord, EpochRecord]


def test_one_that_diverges_before_the_cut_does_so_once(data: Data, tell: Tell) -> None:
    settings = dataclasses.replace(settings_for("sgd", "ema", "none"), lr=1e30)
    plans = [ReplicaPlan(seed=seed, initialisation=Initialisation()) for seed in (0, 1)]
    whole = tell(settings, plans, data)
    assert whole[0].epochs[-1][2] == 2, "its second loss is not finite"
    cut = cut_at(settings, plans, data, 2)
    for told, one in zip(tell(settings, going_on(plans, cut), data), whole, strict=True):
        assert told.bits == one.since(0).bits


def test_seconds_are_counted_on(settings: TrainSettings, data: Data) -> None:
    plans = [ReplicaPlan(seed=0, initialisation=Initialisation())]
    (plan,) = going_on(plans, cut_at(settings, plans, data, 2))
    assert plan.checkpoint is not None
    assert plan.checkpoint.seconds > 0
    plan = dataclasses.replace(
        plan, checkpoint=dataclasses.replace(plan.checkpoint, seconds=1000.0)
    )
    first = next(iter(train_stack(settings, [plan], data)))
    assert isinstance(first, EpochRecord)
    assert 1000 < first.replicas[0].metrics.seconds < 1100


def test_networks_at_different_steps_are_no_stack(settings: TrainSettings, data: Data) -> None:
    plans = [ReplicaPlan(seed=seed, initialisation=Initialisation()) for seed in (0, 1)]
    first, second = (cut_at(settings, plans, data, num_steps) for num_steps in (1, 2))
    mixed = [going_on(plans, first)[0], going_on(plans, second)[1]]
    with pytest.raises(ValueError, match="different numbers of epochs"):
        next(iter(train_stack(settings, mixed, data)))


def test_the_losses_of_a_cut_are_those_of_the_epoch(settings: TrainSettings, data: Data) -> None:
    plans = [ReplicaPlan(seed=0, initialisation=Initialisation())]
    epochs = [r for r in train_stack(settings, plans, data) if isinstance(r, EpochRecord)]
    (plan,) = going_on(plans, cut_at(settings, plans, data, 2))
    assert plan.checkpoint is not None
    assert plan.checkpoint.begun.dtype == np.float32
    assert plan.checkpoint.begun.tobytes() == epochs[1].replicas[0].step_losses[:2].tobytes()
