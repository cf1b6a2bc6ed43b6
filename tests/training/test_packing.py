"""On the CPU a network's records are the same to the last bit, alone and in any stack.

Records are metrics, losses, divergence, checkpoints with what the optimiser and all probes hold,
and the figures at the end.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from shapes import OPTIM, initial, planned, shape, vary

from bninit.data.load import Data
from bninit.nets.activations import ACTIVATIONS
from bninit.training.evaluation import EVALUATION_BATCH
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.settings import GROUPS, ProbeSettings

MakeData = Callable[..., Data]
Tell = Callable[..., list[Any]]

# Stacks of 2, 3, 5 and 10, in which each network stands at different places.
STACKS = [[1, 0], [4, 2, 3], [3, 1, 0, 2, 4], [9, 8, 0, 7, 1, 6, 2, 5, 3, 4]]
PROBES = ProbeSettings(enabled=True, groups=GROUPS, batch_size=50)


def assert_packing_does_not_matter(
    plan: StackPlan,
    replicas: Sequence[ReplicaPlan],
    data: Data,
    tell: Tell,
    *,
    stacks: Sequence[Sequence[int]],
) -> None:
    places = sorted({place for members in stacks for place in members})
    alone = {place: tell(plan, [replicas[place]], data)[0].bits for place in places}
    assert all(final is not None for *_, final in alone.values())
    assert len({repr(epochs) for epochs, *_ in alone.values()}) == len(places)
    for members in stacks:
        told = tell(plan, [replicas[place] for place in members], data)
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
    architecture = shape((12, 17, 33, 10), activation=activation, placement="pre")
    plan = vary(settings, architecture=architecture)
    assert_packing_does_not_matter(plan, mixed_plans, data, tell, stacks=STACKS[:3])


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
    architecture = shape(
        (12, 17, 100, 10),
        placement=placement,
        activation="elu",
        input_norm=last_batch == "keep",
        running={"sgd": "ema", "nesterov": "population"}.get(optimiser, "cumulative"),
    )
    plan = planned(
        architecture,
        optim=OPTIM[optimiser],
        lr=0.01,
        epochs=2,
        batch_size=60,
        last_batch=last_batch,
        probes=PROBES if optimiser in ("plain", "nesterov") else None,
    )
    assert_packing_does_not_matter(plan, mixed_plans, data, tell, stacks=STACKS[:2])


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
    threads: Callable[[int], None],
) -> None:
    threads(num_threads)
    plan = planned(
        shape((784, *hidden, 10), placement=placement), epochs=1, batch_size=batch_size, lr=0.01
    )
    # Two steps; the last chunk of an evaluation is of one example.
    data = make_data(num_train=2 * batch_size, num_val=EVALUATION_BATCH + 1, num_features=784)
    assert_packing_does_not_matter(plan, mixed_plans, data, tell, stacks=stacks)


def test_double_precision(
    settings: StackPlan, make_data: MakeData, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    architecture = shape((12, 17, 33, 10), activation="silu", placement="post")
    plan = vary(settings, architecture=architecture, precision="float64")
    data = make_data(dtype=torch.float64)
    assert_packing_does_not_matter(plan, mixed_plans, data, tell, stacks=STACKS)


def test_seeds_of_one_scheme_and_twins(
    settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    replicas = [dataclasses.replace(mixed_plans[0], seed=seed) for seed in range(10)]
    assert_packing_does_not_matter(settings, replicas, data, tell, stacks=STACKS)
    plan = vary(settings, activation="gelu", placement="pre")
    first, _, second = tell(plan, [mixed_plans[2], mixed_plans[1], mixed_plans[2]], data)
    assert first.bits == second.bits


@pytest.mark.parametrize(
    ("placement", "optimiser", "running"),
    [
        ("none", "sgd", "ema"),
        ("pre", "adam", "cumulative"),
        ("post", "adamw", "population"),
        ("pre", "sgd", "ema"),
    ],
)
def test_neighbours_that_diverge_change_nothing(
    placement: str, optimiser: str, running: str, data: Data, tell: Tell
) -> None:
    # So large that a product is infinite: batch norm makes up for anything smaller.
    scales = (1e38, 0.1, 1e38, 0.3, 1e38)
    replicas = [
        ReplicaPlan(seed=seed, init=initial("normal", std=std)) for seed, std in enumerate(scales)
    ]
    plan = planned(
        shape((12, 17, 20, 10), placement=placement, running=running),
        optim=OPTIM[optimiser],
        lr=0.01,
        epochs=2,
        batch_size=60,
        last_batch="keep",
        probes=PROBES,
    )
    told = tell(plan, replicas, data)
    assert [len(one.epochs) for one in told] == [2, 3, 2, 3, 2]
    for place in (1, 3):
        (alone,) = tell(plan, [replicas[place]], data)
        assert told[place].bits == alone.bits
        assert alone.final is not None
