"""The training of a stack against a plain loop, written out with nn.Sequential and torch.optim."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from shapes import OPTIM, initial, planned, shape, vary
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from bninit.data.load import Data
from bninit.nets.reference import build_sequential, load_sequential
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.records import EpochRecord, FinalRecord
from bninit.training.seeding import generator
from bninit.training.settings import CosineSchedule

MakeData = Callable[..., Data]
Tell = Callable[..., list[Any]]

PLANS = [
    ReplicaPlan(seed=4),
    ReplicaPlan(seed=0, init=initial("torch_default")),
]


def figures(plain: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    logits = plain.eval()(x).detach()
    plain.train()
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).double().mean().item()


def trained_plainly(
    settings: StackPlan, seed: int, start: dict[str, torch.Tensor], data: Data
) -> tuple[list[dict[str, float]], torch.nn.Sequential]:
    """Rows as in `EpochMetrics` from epoch 1; batches re-derived from the seed."""
    plain = build_sequential(settings.architecture, dtype=settings.train.dtype)
    plain.load_state_dict(start)
    optimiser = torch.optim.SGD(plain.parameters(), lr=settings.optim.lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=settings.train.epochs)
    rows, step = [], 0
    for epoch in range(1, settings.train.epochs + 1):
        order = torch.randperm(len(data.train_x), generator=generator(seed, f"batch/{epoch}"))
        losses = []
        for index in order.split(settings.train.batch_size):
            if len(index) < settings.train.batch_size and settings.train.last_batch == "drop":
                continue
            optimiser.zero_grad()
            loss = F.cross_entropy(plain(data.train_x[index]), data.train_y[index])
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        step += len(losses)
        if settings.architecture.norm.running == "population":
            whole = len(data.train_x) // settings.train.batch_size * settings.train.batch_size
            update_bn(list(data.train_x[:whole].split(settings.train.batch_size)), plain)
        num_val = len(data.val_x)
        train = figures(plain, data.train_x[:num_val], data.train_y[:num_val])
        val = figures(plain, data.val_x, data.val_y)
        rows.append(
            {
                "epoch": epoch,
                "step": step,
                "learning_rate": optimiser.param_groups[0]["lr"],
                "batch_loss": sum(losses) / len(losses),
                "train_loss": train[0],
                "train_accuracy": train[1],
                "val_loss": val[0],
                "val_accuracy": val[1],
            }
        )
        scheduler.step()
    return rows, plain


@pytest.mark.parametrize("last_batch", ["keep", "drop"])
@pytest.mark.parametrize(
    ("placement", "running"),
    [("none", "ema"), ("pre", "ema"), ("post", "cumulative"), ("pre", "population")],
)
def test_every_record_is_that_of_a_plain_loop(
    placement: str, running: str, last_batch: str, make_data: MakeData
) -> None:
    data = make_data(dtype=torch.float64)
    settings = planned(
        architecture=shape(
            widths=(12, 17, 20, 10), placement=placement, running=running, activation="tanh"
        ),
        schedule=CosineSchedule(),
        epochs=3,
        batch_size=40,
        last_batch=last_batch,
        precision="float64",
    )
    records = list(train_stack(settings, PLANS, data))
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    finals = [record for record in records if isinstance(record, FinalRecord)]
    assert [record.epoch for record in epochs] == [0, 1, 2, 3]
    assert [record.replica for record in finals] == [0, 1]
    starts = [one.checkpoint().network for one in next(_epochs(settings, data)).replicas]
    for replica, plan in enumerate(PLANS):
        rows, plain = trained_plainly(settings, plan.seed, starts[replica], data)
        for record, row in zip(epochs[1:], rows, strict=True):
            one = record.replicas[replica]
            assert one.replica == replica
            assert one.diverged_step is None
            found = dataclasses.asdict(one.metrics)
            del found["seconds"]
            assert found == pytest.approx(row, rel=1e-8)
            assert one.step_losses.mean() == pytest.approx(row["batch_loss"], rel=1e-8)
            assert one.step_losses.shape == (4 if last_batch == "keep" else 3,)
        final = finals[replica]
        for found_figures, expected in (
            (final.train, figures(plain, data.train_x, data.train_y)),
            (final.test, figures(plain, data.test_x, data.test_y)),
        ):
            assert dataclasses.astuple(found_figures) == pytest.approx(expected, rel=1e-8)


def _epochs(settings: StackPlan, data: Data) -> Any:
    return train_stack(settings, PLANS, data)


def test_epoch_0_is_the_untrained_network(settings: StackPlan, data: Data) -> None:
    first = next(_epochs(settings, data))
    assert first.epoch == 0
    assert first.stack_seconds == 0
    for one in first.replicas:
        plain = load_sequential(settings.architecture, one.checkpoint().network)
        loss, accuracy = figures(plain, data.val_x, data.val_y)
        assert one.metrics.val_loss == pytest.approx(loss, rel=1e-5)
        assert one.metrics.val_accuracy == accuracy
        assert one.metrics.step == 0
        assert one.metrics.seconds == 0
        assert one.metrics.batch_loss is None
        assert one.metrics.learning_rate == settings.optim.lr
        assert one.step_losses.size == 0


def test_all_zeros_train_the_last_bias_alone(settings: StackPlan, data: Data) -> None:
    plans = [ReplicaPlan(seed=0, init=initial("zeros"))]
    *_, last = (r for r in train_stack(settings, plans, data) if isinstance(r, EpochRecord))
    network = last.replicas[0].checkpoint().network
    assert {name for name, value in network.items() if value.any()} == {"4.bias"}


def test_seconds_are_each_networks_share_and_add_up(settings: StackPlan, data: Data) -> None:
    spent = 0.0
    for record in _epochs(settings, data):
        if isinstance(record, EpochRecord):
            spent += record.stack_seconds / 2
            for one in record.replicas:
                assert one.metrics.seconds == pytest.approx(spent)
    assert spent > 0


def test_running_statistics_do_not_touch_the_training(
    settings: StackPlan, data: Data, tell: Tell
) -> None:
    losses = []
    for running in ("ema", "cumulative", "population"):
        told = tell(vary(settings, placement="pre", running=running), PLANS, data)
        losses.append([[bits for _, bits, _ in one.epochs] for one in told])
    assert losses[0] == losses[1] == losses[2]


def test_a_batch_larger_than_the_training_set_is_refused(settings: StackPlan, data: Data) -> None:
    with pytest.raises(ValueError, match="a batch of 151"):
        next(_epochs(vary(settings, batch_size=151), data))


def test_a_last_batch_of_one_never_reaches_batch_norm(settings: StackPlan, data: Data) -> None:
    lone = vary(settings, placement="pre", batch_size=149)
    with pytest.raises(ValueError, match="batch of 1"):
        list(_epochs(lone, data))
    list(_epochs(vary(lone, last_batch="drop"), data))
    list(_epochs(vary(lone, placement="none"), data))


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_the_first_steps_agree_on_every_device(
    placement: str,
    optimiser: str,
    settings: StackPlan,
    data: Data,
    make_data: MakeData,
    device: str,
) -> None:
    settings = vary(settings, placement=placement, optim=OPTIM[optimiser], lr=0.01)
    there = vary(settings, device=device)
    pairs = zip(
        train_stack(settings, PLANS, data),
        train_stack(there, PLANS, make_data(device=device)),
        strict=True,
    )
    for here, elsewhere in pairs:
        if isinstance(here, EpochRecord):
            assert isinstance(elsewhere, EpochRecord)
            for a, b in zip(here.replicas, elsewhere.replicas, strict=True):
                np.testing.assert_allclose(a.step_losses, b.step_losses, rtol=1e-4)
                assert a.metrics.val_loss == pytest.approx(b.metrics.val_loss, rel=1e-3)
