"""Trainings that go on from checkpoints, to the bits of one that was never interrupted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.start import Initialisation
from bninit.training.loop import ReplicaPlan, TrainSettings, train_stack
from bninit.training.optimisers import OptimiserSettings, Schedule

Tell = Callable[..., list[Any]]

OPTIMISERS = {
    "sgd": OptimiserSettings(name="sgd"),
    "plain": OptimiserSettings(name="sgd", momentum=0.0),
    "nesterov": OptimiserSettings(name="sgd", nesterov=True, weight_decay=0.01),
    "adam": OptimiserSettings(name="adam"),
    "adamw": OptimiserSettings(name="adamw", weight_decay=0.01),
}


def settings_for(optimiser: str, running: str, placement: str = "pre") -> TrainSettings:
    return TrainSettings(
        architecture=Architecture(
            widths=(12, 17, 20, 10), placement=placement, running=running, input_norm=True
        ),
        optimiser=OPTIMISERS[optimiser],
        schedule=Schedule(name="cosine"),
        lr=0.02,
        epochs=4,
        batch_size=60,
        last_batch="keep",
    )


def goes_on(plan: ReplicaPlan, told: Any, epoch: int) -> ReplicaPlan:
    return dataclasses.replace(plan, checkpoint=told.checkpoints[epoch])


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
def test_the_rest_is_the_same_to_the_bit(
    optimiser: str, running: str, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plans = settings_for(optimiser, running), mixed_plans[:4]
    whole = tell(settings, plans, data)
    for epoch in (1, 3):
        # In other company, and in another order.
        for places in ([2, 0, 1], [3]):
            again = [goes_on(plans[place], whole[place], epoch) for place in places]
            for place, told in zip(places, tell(settings, again, data), strict=True):
                assert told.bits == whole[place].since(epoch).bits
                assert len(told.epochs) == settings.epochs - epoch


@pytest.mark.parametrize("placement", ["none", "post"])
def test_at_other_placements(
    placement: str, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings = settings_for("adamw", "cumulative", placement)
    whole = tell(settings, mixed_plans[:2], data)
    again = [goes_on(plan, one, 2) for plan, one in zip(mixed_plans[:2], whole, strict=True)]
    for told, one in zip(tell(settings, again, data), whole, strict=True):
        assert told.bits == one.since(2).bits


def test_from_epoch_0_and_from_the_last(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings = settings_for("sgd", "ema")
    (whole,) = tell(settings, mixed_plans[:1], data)
    (last,) = tell(settings, [goes_on(mixed_plans[0], whole, 4)], data)
    assert last.epochs == []
    assert last.final == whole.final
    (first,) = tell(settings, [goes_on(mixed_plans[0], whole, 0)], data)
    assert first.bits == whole.since(0).bits, "epoch 0 is on record already"


def test_steps_and_seconds_are_counted_on(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plan = settings_for("sgd", "ema"), mixed_plans[0]
    (whole,) = tell(settings, [plan], data)
    checkpoint = dataclasses.replace(whole.checkpoints[2], seconds=1000.0)
    resumed = train_stack(settings, [dataclasses.replace(plan, checkpoint=checkpoint)], data)
    metrics = next(iter(resumed)).replicas[0].metrics  # type: ignore[union-attr]
    assert (metrics.epoch, metrics.step) == (3, 9)
    assert 1000 < metrics.seconds < 1100


def test_checkpoints_that_do_not_fit_are_refused(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plans = settings_for("sgd", "ema"), mixed_plans[:2]
    whole = tell(settings, plans, data)
    for again in (
        [goes_on(plans[0], whole[0], 1), goes_on(plans[1], whole[1], 2)],
        [goes_on(plans[0], whole[0], 1), plans[1]],
    ):
        with pytest.raises(ValueError, match="different numbers of epochs"):
            next(iter(train_stack(settings, again, data)))
    other = settings_for("sgd", "ema", "none")
    with pytest.raises(ValueError, match="names differ"):
        next(iter(train_stack(other, [goes_on(plans[0], whole[0], 1)], data)))
    other = settings_for("adam", "ema")
    with pytest.raises(ValueError, match="optimiser state"):
        next(iter(train_stack(other, [goes_on(plans[0], whole[0], 1)], data)))


def test_nothing_but_the_checkpoint_matters(data: Data, tell: Tell) -> None:
    settings = settings_for("adam", "cumulative")
    plan = ReplicaPlan(seed=3, initialisation=Initialisation())
    (whole,) = tell(settings, [plan], data)
    resumed = goes_on(plan, whole, 2)
    torch.manual_seed(123)
    elsewhere = dataclasses.replace(resumed, initialisation=Initialisation(scheme="zeros"))
    (told,) = tell(settings, [elsewhere], data)
    assert told.bits == whole.since(2).bits
