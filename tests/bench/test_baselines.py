"""All loops train the same networks on the same batches; other arithmetic is an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import shapes
import torch
from noise import noise_images
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from bninit.nets.reference import build_sequential
from bninit.verbs.bench import baselines
from bninit.verbs.bench.baselines import (
    Build,
    Case,
    LoaderLoop,
    PlainLoop,
    StackLoop,
    UnequalLossesError,
    check_losses,
    step_cost,
)

BATCH = 12


@pytest.fixture
def case() -> Case:
    return Case(noise_images(), hidden=(7, 5), batch_size=10, placement="pre")


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(
    "build",
    [PlainLoop, LoaderLoop, partial(StackLoop, num_networks=1), partial(StackLoop, num_networks=3)],
    ids=["plain", "loader", "1", "3"],
)
def test_all_train_the_same(build: Build, placement: str) -> None:
    case = Case(noise_images(), hidden=(7, 5), batch_size=10, placement=placement)
    loop = build(case)
    losses = loop.train()
    assert losses.shape == (loop.num_networks, 6)
    assert check_losses(case, name=loop.name, losses=losses) < 1e-5
    again = loop.train()
    assert again.shape == losses.shape
    assert not np.array_equal(again[:, :1], losses[:, :1]), "a later pass shuffles anew"


def other(attribute: str, change: Callable[[Any], Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Replace a method of `Case`, or something in the module of the loops."""
    owner: Any = Case if hasattr(Case, attribute) else baselines
    changed = change(getattr(owner, attribute))
    return lambda patch: patch.setattr(owner, attribute, changed)


def next_seed(method: Callable[[Case, int], Any]) -> Callable[[Case, int], Any]:
    return lambda case, seed: method(case, seed + 1)


def with_the_epsilon_of_keras(
    method: Callable[[Case, int], torch.nn.Sequential],
) -> Callable[[Case, int], torch.nn.Sequential]:
    def network(case: Case, seed: int) -> torch.nn.Sequential:
        made = method(case, seed)
        for module in made:
            if isinstance(module, torch.nn.BatchNorm1d):
                module.eps = 1e-3
        return made

    return network


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(other("MOMENTUM", lambda _: 0.0), id="no momentum"),
        pytest.param(other("SGD", lambda sgd: partial(sgd, nesterov=True)), id="Nesterov"),
        pytest.param(other("LEARNING_RATE", lambda _: 0.0105), id="rate"),
        pytest.param(other("order", next_seed), id="order"),
        pytest.param(other("start", next_seed), id="start"),
        pytest.param(other("network", with_the_epsilon_of_keras), id="epsilon"),
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


def test_missing_steps_nan_and_each_network_of_a_stack_are_checked(case: Case) -> None:
    losses = StackLoop(case, num_networks=3).train().copy()
    with pytest.raises(UnequalLossesError, match="5 steps instead of 6"):
        check_losses(case, name="bninit", losses=losses[:, :5])
    for wrong in (losses[2, 1] * 1.001, np.nan):
        losses[2, 1] = wrong
        with pytest.raises(UnequalLossesError, match="bninit, network 2: the loss of step 2"):
            check_losses(case, name="bninit", losses=losses)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("input_norm", [False, True])
@pytest.mark.parametrize("widths", [(9, 4), (9, 7, 4), (9, 7, 5, 6, 4)])
def test_flops_are_those_that_torch_counts(
    widths: tuple[int, ...], input_norm: bool, placement: str
) -> None:
    shape = shapes.shape(widths=widths, placement=placement, input_norm=input_norm)
    network = build_sequential(shape)
    with FlopCounterMode(display=False) as counter:
        loss = cross_entropy(network(torch.randn(BATCH, 9)), torch.zeros(BATCH, dtype=torch.long))
        loss.backward()  # type: ignore[no-untyped-call]
    assert step_cost(shape, batch_size=BATCH)[0] == counter.get_total_flops()


def test_bytes_are_those_counted_by_hand() -> None:
    shape = shapes.shape(widths=(4, 3, 2), placement="pre")
    gathered = 2 * (5 * 4)
    # y = W x and dW of the first layer: 4 inputs, 3 units; the second layer needs dx, too.
    products = 2 * (4 * 3 + 5 * 4 + 5 * 3) + 3 * (3 * 2 + 5 * 3 + 5 * 2)
    norm = (2 + 1 + 4 + 1) * (5 * 3)
    activation = (1 + 1 + 2 + 1) * (5 * 3)
    optimiser = 5 * (4 * 3 + 3 * 2)
    numbers = gathered + products + norm + activation + optimiser
    assert step_cost(shape, batch_size=5)[1] == 4 * numbers
    assert step_cost(shape, batch_size=5, itemsize=8)[1] == 8 * numbers
