"""On the CPU a network's records are the same to the last bit, alone and in any stack."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from shapes import OPTIM, planned, shape, vary

from bninit.data.load import Data
from bninit.nets.activations import ACTIVATIONS
from bninit.training.evaluation import EVALUATION_BATCH
from bninit.training.plan import ReplicaPlan, StackPlan

MakeData = Callable[..., Data]
Tell = Callable[..., list[Any]]
SetThreads = Callable[[int], None]

# Stacks of 2, 3, 5 and 10, in which each network stands at different places.
STACKS = [[1, 0], [4, 2, 3], [3, 1, 0, 2, 4], [9, 8, 0, 7, 1, 6, 2, 5, 3, 4]]
SMALL_STACKS = STACKS[:3]


def assert_packing_does_not_matter(
    settings: StackPlan,
    plans: Sequence[ReplicaPlan],
    data: Data,
    tell: Tell,
    *,
    stacks: Sequence[Sequence[int]],
) -> None:
    places = sorted({place for members in stacks for place in members})
    alone = {place: tell(settings, [plans[place]], data)[0].bits for place in places}
    assert all(final is not None for *_, final in alone.values())
    assert len({repr(epochs) for epochs, *_ in alone.values()}) == len(places)
    for members in stacks:
        told = tell(settings, [plans[place] for place in members], data)
        for place, one in zip(members, told, strict=True):
            assert one.bits == alone[place], (place, members)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(
    activation: str,
    settings: StackPlan,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    architecture = shape(widths=(12, 17, 33, 10), activation=activation, placement="pre")
    settings = vary(settings, architecture=architecture)
    assert_packing_does_not_matter(settings, mixed_plans, data, tell, stacks=SMALL_STACKS)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize(
    ("optimiser", "last_batch"), list(zip(OPTIM, itertools.cycle(("keep", "drop"))))
)
def test_every_placement_and_optimiser(
    optimiser: str,
    placement: str,
    last_batch: str,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    settings = planned(
        architecture=shape(
            widths=(12, 17, 100, 10),
            placement=placement,
            activation="elu",
            input_norm=last_batch == "keep",
            running={"sgd": "ema", "nesterov": "population"}.get(optimiser, "cumulative"),
        ),
        optim=OPTIM[optimiser],
        lr=0.01,
        epochs=2,
        batch_size=60,
        last_batch=last_batch,
    )
    assert_packing_does_not_matter(settings, mixed_plans, data, tell, stacks=[[1, 0], [4, 2, 3]])


@pytest.mark.parametrize(
    ("hidden", "batch_size", "placement", "num_threads", "stacks"),
    [
        ((256, 256), 128, "pre", 1, STACKS[:2]),
        ((100, 100), 60, "none", 1, STACKS),
        ((100,), 60, "post", 1, STACKS[2:]),
        ((), 128, "none", 1, STACKS),
        ((256,), 128, "none", 2, STACKS[:1]),
        ((100, 100), 60, "pre", 2, STACKS[1:2]),
        ((), 60, "none", 2, STACKS[1:2]),
    ],
)
def test_the_shapes_of_real_trainings(
    hidden: tuple[int, ...],
    batch_size: int,
    placement: str,
    num_threads: int,
    stacks: list[list[int]],
    make_data: MakeData,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
    threads: SetThreads,
) -> None:
    threads(num_threads)
    settings = planned(
        architecture=shape(widths=(784, *hidden, 10), placement=placement),
        epochs=1,
        batch_size=batch_size,
        lr=0.01,
    )
    # Two steps; the last chunk of an evaluation is of one example.
    data = make_data(num_train=2 * batch_size, num_val=EVALUATION_BATCH + 1, num_features=784)
    assert_packing_does_not_matter(settings, mixed_plans, data, tell, stacks=stacks)


def test_double_precision(
    settings: StackPlan, make_data: MakeData, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    architecture = shape(widths=(12, 17, 33, 10), activation="silu", placement="post")
    settings = vary(settings, architecture=architecture, precision="float64")
    data = make_data(dtype=torch.float64)
    assert_packing_does_not_matter(settings, mixed_plans, data, tell, stacks=STACKS)


def test_seeds_of_one_scheme(
    settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    plans = [dataclasses.replace(mixed_plans[0], seed=seed) for seed in range(10)]
    assert_packing_does_not_matter(settings, plans, data, tell, stacks=STACKS)


def test_twins_in_a_stack_are_twins(
    settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings = vary(settings, activation="gelu", placement="pre")
    first, _, second = tell(settings, [mixed_plans[2], mixed_plans[1], mixed_plans[2]], data)
    assert first.bits == second.bits
