"""Networks that go to NaN: told as such, dropped, and of no consequence for the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from shapes import initial, planned, shape, vary
from torch.nn import functional as F

from bninit.data.load import Data
from bninit.nets.reference import build_sequential
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.records import EpochRecord
from bninit.training.seeding import generator

Tell = Callable[..., list[Any]]


def normal(seed: int, std: float) -> ReplicaPlan:
    return ReplicaPlan(seed=seed, init=initial("normal", std=std))


# Products of linear layers with SGD: the larger the weights, the sooner they blow up.
LINEAR = planned(
    architecture=shape(widths=(12, 17, 20, 10), activation="identity"),
    epochs=4,
    batch_size=30,
)
STEPS_PER_EPOCH = 5
LINEAR_PLANS = [
    normal(0, 1e30),  # at once
    normal(1, 0.1),
    normal(2, 5.0),  # in the second epoch
    normal(3, 0.2),
    normal(4, 100.0),  # within the first epoch
]


def first_bad_step(settings: StackPlan, plan: ReplicaPlan, data: Data) -> int | None:
    """By a plain loop over nn.Sequential."""
    (start,) = next(iter(train_stack(settings, [plan], data))).replicas  # type: ignore[union-attr]
    plain = build_sequential(settings.architecture)
    plain.load_state_dict(start.checkpoint().network)
    optimiser = torch.optim.SGD(plain.parameters(), lr=settings.optim.lr, momentum=0.9)
    step = 0
    for epoch in range(1, settings.train.epochs + 1):
        order = torch.randperm(len(data.train_x), generator=generator(plan.seed, f"batch/{epoch}"))
        for index in order.split(settings.train.batch_size):
            step += 1
            optimiser.zero_grad()
            loss = F.cross_entropy(plain(data.train_x[index]), data.train_y[index])
            if not math.isfinite(loss.item()):
                return step
            loss.backward()
            optimiser.step()
    return None


def test_the_step_is_the_one_of_a_plain_loop(data: Data, tell: Tell) -> None:
    expected = [first_bad_step(LINEAR, plan, data) for plan in LINEAR_PLANS]
    assert expected[0] == 1
    assert expected[1] is None
    assert expected[2] is not None
    assert STEPS_PER_EPOCH < expected[2] < 2 * STEPS_PER_EPOCH
    assert expected[4] is not None
    assert 1 < expected[4] < STEPS_PER_EPOCH
    together = tell(LINEAR, LINEAR_PLANS, data)
    for plan, told, step in zip(LINEAR_PLANS, together, expected, strict=True):
        found = [diverged for _, _, diverged in told.epochs]
        if step is None:
            assert found == [None] * (LINEAR.train.epochs + 1)
            assert told.final is not None
            (alone,) = tell(LINEAR, [plan], data)
            assert told.bits == alone.bits, "whatever becomes of its neighbours"
        else:
            # Its last record is that of the epoch in which it happened, and epoch 0 is none.
            epoch = math.ceil(step / STEPS_PER_EPOCH)
            assert found == [None] * epoch + [step]
            assert told.final is None


def test_one_that_left_is_in_no_later_record(data: Data) -> None:
    records = list(train_stack(LINEAR, LINEAR_PLANS, data))
    present = [
        [one.replica for one in record.replicas]
        for record in records
        if isinstance(record, EpochRecord)
    ]
    assert present == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3], [1, 3], [1, 3]]
    assert [r.replica for r in records if not isinstance(r, EpochRecord)] == [1, 3]


def test_weights_that_overflow_in_the_last_step_are_seen_in_the_evaluation(data: Data) -> None:
    settings = vary(LINEAR, lr=1e38, batch_size=150, epochs=3)
    plans = [normal(0, 1.0)]
    *_, last = train_stack(settings, plans, data)
    assert isinstance(last, EpochRecord)
    (one,) = last.replicas
    assert math.isfinite(one.step_losses[0])
    assert not math.isfinite(one.metrics.val_loss)
    assert (last.epoch, one.diverged_step) == (1, 1)


def test_what_only_the_untrained_running_statistics_blow_up_has_not_diverged(data: Data) -> None:
    # 30 layers, each multiplying by about 800 as long as the running variance is still 1.
    architecture = shape(widths=(12, *[8] * 30, 10), placement="pre", running="cumulative")
    settings = planned(architecture=architecture, epochs=2, batch_size=50, lr=0.01)
    first, *others = train_stack(settings, [normal(0, 300.0)], data)
    assert isinstance(first, EpochRecord)
    assert not math.isfinite(first.replicas[0].metrics.val_loss)
    assert first.replicas[0].diverged_step is None
    assert len(others) == 3
    for record in others[:-1]:
        assert isinstance(record, EpochRecord)
        assert math.isfinite(record.replicas[0].metrics.val_loss)
        assert record.replicas[0].diverged_step is None
