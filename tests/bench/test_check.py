"""Everyone trains the same networks on the same batches; who does not is told, and not timed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bninit.data.load import Data
from bninit.verbs.bench import contenders as torch_loops
from bninit.verbs.bench.contenders import (
    CHECKED_STEPS,
    Build,
    Case,
    LoaderLoop,
    PlainLoop,
    UnequalLossesError,
    check_losses,
    reference_losses,
    stack_of,
)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(
    "build", [PlainLoop, LoaderLoop, stack_of(1), stack_of(3)], ids=["plain", "loader", "1", "3"]
)
def test_all_train_the_same(build: Build, placement: str, noise: Data) -> None:
    case = Case.restricted(noise, hidden=(7, 5), batch_size=10, placement=placement, max_steps=None)
    contender = build(case)
    losses = contender.train()
    assert losses.shape == (contender.num_networks, 6)
    assert check_losses(case, name=contender.name, losses=losses) < 1e-5
    again = contender.train()
    assert again.shape == losses.shape
    assert not np.array_equal(again[:, :1], losses[:, :1]), "a later pass shuffles anew"


def test_each_network_of_a_stack_is_checked(case: Case) -> None:
    losses = stack_of(3)(case).train().copy()
    losses[2, 1] *= 1.001
    with pytest.raises(UnequalLossesError, match="bninit, network 2: the loss of step 2"):
        check_losses(case, name="bninit", losses=losses)


def _without_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_loops, "MOMENTUM", 0.0)


def _with_nesterov(monkeypatch: pytest.MonkeyPatch) -> None:
    sgd = torch.optim.SGD
    monkeypatch.setattr(torch_loops, "SGD", lambda *args, **how: sgd(*args, **how, nesterov=True))


def _with_another_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_loops, "LEARNING_RATE", 0.0105)


def _in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Case.order
    monkeypatch.setattr(Case, "order", lambda case, seed: order(case, seed + 1))


def _with_another_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Case.start
    monkeypatch.setattr(Case, "start", lambda case, seed: start(case, seed + 1))


def _with_kerass_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Case.network

    def changed(case: Case, seed: int) -> torch.nn.Sequential:
        made = network(case, seed)
        for module in made:
            if isinstance(module, torch.nn.BatchNorm1d):
                module.eps = 1e-3
        return made

    monkeypatch.setattr(Case, "network", changed)


@pytest.mark.parametrize(
    "spoil",
    [
        _without_momentum,
        _with_nesterov,
        _with_another_rate,
        _in_another_order,
        _with_another_start,
        _with_kerass_epsilon,
    ],
)
def test_other_arithmetic_is_found(
    spoil: Callable[[pytest.MonkeyPatch], None], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        spoil(patch)
        losses = PlainLoop(case).train()
    with pytest.raises(UnequalLossesError, match="does not compute the same"):
        check_losses(case, name="plain", losses=losses)


def test_missing_steps_and_numbers_that_are_none_are_found(case: Case) -> None:
    losses = PlainLoop(case).train()
    with pytest.raises(UnequalLossesError, match="5 steps where 6 were due"):
        check_losses(case, name="plain", losses=losses[:, :5])
    losses[0, 0] = np.nan
    with pytest.raises(UnequalLossesError, match="step 1 is nan"):
        check_losses(case, name="plain", losses=losses)


def test_the_reference_falls_and_is_as_long_as_asked(case: Case) -> None:
    losses = reference_losses(case, seed=0, num_steps=CHECKED_STEPS)
    assert len(losses) == CHECKED_STEPS
    assert reference_losses(case, seed=0, num_steps=2) == losses[:2]
    assert reference_losses(case, seed=1, num_steps=2) != losses[:2]
