"""Batch norm against its formula, and against nn.BatchNorm1d over several steps."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from bninit.nets.norm import CUMULATIVE, EMA, NORMS, POPULATION, BatchNorm
from bninit.nets.settings import NormSettings
from bninit.theory.layers import NORM_THEORIES

NUM_REPLICAS, NUM_FEATURES, BATCH = 3, 5, 7


def build(**settings: Any) -> BatchNorm:
    return BatchNorm(
        "4",
        NormSettings.model_construct(**settings),
        num_replicas=NUM_REPLICAS,
        num_features=NUM_FEATURES,
        dtype=torch.float64,
        device=torch.device("cpu"),
    )


def signals(step: int, batch: int = BATCH) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(NUM_REPLICAS, NUM_FEATURES, batch, generator=generator, dtype=torch.float64)
    return x * 3 + torch.arange(NUM_FEATURES, dtype=torch.float64)[:, None]


def randomise(norm: BatchNorm) -> None:
    for seed, parameter in enumerate(norm.parameters):
        generator = torch.Generator().manual_seed(seed)
        parameter.value.normal_(generator=generator)


def test_theories_are_of_kinds_of_norm_and_the_settings_name_one() -> None:
    assert set(NORM_THEORIES) <= set(NORMS)
    assert NormSettings.kind in NORMS


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("running", "momentum", "eps"),
    [(EMA, 0.1, 1e-5), (EMA, 0.0, 0.3), (EMA, 1.0, 0.3), (CUMULATIVE, 0.1, 0.3)],
)
def test_every_network_is_a_batchnorm1d(
    running: str, affine: bool, momentum: float, eps: float
) -> None:
    norm = build(running=running, affine=affine, momentum=momentum, eps=eps)
    randomise(norm)
    theirs = []
    for i in range(NUM_REPLICAS):
        one = nn.BatchNorm1d(
            NUM_FEATURES,
            eps=eps,
            momentum=momentum if running == EMA else None,
            affine=affine,
            dtype=torch.float64,
        )
        if affine:
            one.weight.data, one.bias.data = (p.value[i].clone() for p in norm.parameters)
        theirs.append(one)
    for step in range(4):
        x, dy = signals(step, BATCH + step), signals(step + 100, BATCH + step)
        y = norm.forward(x, training=True)
        dx = norm.backward(dy)
        # Of one example, and without a trace in the statistics.
        single = signals(step + 200, batch=1)
        evaluated = norm.forward(single, training=False)
        for i, one in enumerate(theirs):
            leaf = x[i].T.clone().requires_grad_()
            one.zero_grad()
            expected = one(leaf)
            expected.backward(dy[i].T)
            assert leaf.grad is not None
            torch.testing.assert_close(y[i], expected.detach().T, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(dx[i], leaf.grad.T, rtol=1e-10, atol=1e-12)
            for mine, their in zip(norm.parameters, one.parameters(), strict=True):
                assert their.grad is not None
                torch.testing.assert_close(mine.grad[i], their.grad, rtol=1e-12, atol=1e-12)
            buffers = dict(one.named_buffers())
            for name, value in norm.statistics().items():
                torch.testing.assert_close(value[i], buffers[name.removeprefix("4.")])
            torch.testing.assert_close(evaluated[i], one.eval()(single[i].T).detach().T)
            one.train()


def test_population_statistics_are_of_one_collection_alone() -> None:
    norm = build(running=POPULATION)
    norm.forward(signals(0), training=True)
    assert not norm.running_mean.any()
    assert (norm.running_var == 1).all()
    for _ in range(2):
        norm.collect(on=True)
        for step in (1, 2, 3):
            norm.forward(signals(step), training=True)
        norm.collect(on=False)
        norm.forward(signals(4), training=True)
        steps = [signals(step) for step in (1, 2, 3)]
        torch.testing.assert_close(
            norm.running_mean, torch.stack([x.mean(dim=2) for x in steps]).mean(dim=0)
        )
        torch.testing.assert_close(
            norm.running_var, torch.stack([x.var(dim=2) for x in steps]).mean(dim=0)
        )
        assert norm.num_batches_tracked.tolist() == [3] * NUM_REPLICAS


def test_a_collection_begins_anew_after_an_overflow() -> None:
    norm = build(running=POPULATION)
    norm.running_mean.fill_(math.nan)
    norm.running_var.fill_(math.inf)
    norm.collect(on=True)
    norm.forward(signals(1), training=True)
    torch.testing.assert_close(norm.running_var, signals(1).var(dim=2))
    torch.testing.assert_close(norm.running_mean, signals(1).mean(dim=2))


@pytest.mark.parametrize("running", [EMA, CUMULATIVE, POPULATION])
def test_a_batch_of_one_has_no_variance(running: str) -> None:
    norm = build(running=running)
    with pytest.raises(ValueError, match="batch of 1"):
        norm.forward(signals(0, batch=1), training=True)
    assert not norm.num_batches_tracked.any()
