"""When probes are taken, and that taking them changes nothing; their bits are tested in packing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from shapes import OPTIM, planned, shape, vary

from bninit.data.load import Data
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.probes import PROBES
from bninit.training.probing import EVERY_EPOCH, is_probed_epoch, probed_steps, rows_of
from bninit.training.readings import WHOLE
from bninit.training.records import LayerRows
from bninit.training.settings import DEFAULT_GROUPS, GROUPS, ProbeSettings

Tell = Callable[..., list[Any]]
NO_PROBES = ProbeSettings()


def plan_of(placement: str, **changes: Any) -> StackPlan:
    """Four steps an epoch, the last of 30 examples."""
    probes = ProbeSettings(enabled=True, batch_size=50)
    architecture = shape((12, 17, 20, 10), placement=placement)
    plan = planned(architecture, lr=0.02, epochs=3, batch_size=40, last_batch="keep", probes=probes)
    return vary(plan, **changes)


def rows_at_the_end(told: Any) -> LayerRows:
    return rows_of(told.checkpoints[-1].probes)


def test_a_config_can_name_every_group_and_no_other() -> None:
    assert tuple(PROBES) == GROUPS
    assert NO_PROBES.groups == DEFAULT_GROUPS


@pytest.mark.parametrize(
    ("placement", "running", "activation", "optimiser"),
    [
        ("none", "ema", "relu", "sgd"),
        ("pre", "ema", "relu", "nesterov"),
        ("pre", "population", "tanh", "adam"),
        ("post", "cumulative", "gelu", "adamw"),
    ],
)
def test_taking_probes_changes_no_bit(
    placement: str,
    running: str,
    activation: str,
    optimiser: str,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    plan = plan_of(placement, running=running, activation=activation, optim=OPTIM[optimiser])
    every = ProbeSettings(enabled=True, groups=GROUPS, batch_size=50)
    bare = tell(vary(plan, probes=NO_PROBES), mixed_plans[:2], data)
    probed = tell(vary(plan, probes=every), mixed_plans[:2], data)
    for with_probes, without in zip(probed, bare, strict=True):
        assert all(checkpoint.probes for checkpoint in with_probes.checkpoints)
        assert not any(checkpoint.probes for checkpoint in without.checkpoints)
        with_probes.checkpoints = [
            dataclasses.replace(checkpoint, probes={}) for checkpoint in with_probes.checkpoints
        ]
        assert with_probes.bits == without.bits


def test_probes_are_taken_when_the_schedule_says(data: Data, tell: Tell) -> None:
    (told,) = tell(plan_of("pre"), [ReplicaPlan(seed=0)], data)
    rows = rows_at_the_end(told)
    taken = dict(zip(rows.step.tolist(), rows.epoch.tolist(), strict=True))
    # Four steps an epoch; 4 and 8 are epochs' ends.
    assert taken == {0: 0, 1: 0, 2: 0, 4: 1, 8: 2, 12: 3}
    rank = rows.keys.index((1, "activation", "effective_rank", WHOLE))
    assert rows.step[rows.key == rank].tolist() == [0, 4, 8, 12]


@pytest.mark.parametrize(
    ("placement", "match"),
    [("pre", "is missing or of another shape"), ("none", "is of no probed run")],
)
def test_checkpoints_without_these_probes_are_refused(
    placement: str, match: str, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    plan = plan_of(placement)
    (bare,) = tell(vary(plan, probes=NO_PROBES), mixed_plans[:1], data)
    again = dataclasses.replace(mixed_plans[0], checkpoint=bare.checkpoints[1])
    with pytest.raises(ValueError, match=match):
        next(iter(train_stack(plan, [again], data)))


@pytest.mark.parametrize("num_steps", [0, 1, 1000, 4290])
@pytest.mark.parametrize("per_doubling", [0, 1, 3, 16])
def test_the_schedule_of_steps(per_doubling: int, num_steps: int) -> None:
    steps = sorted(probed_steps(per_doubling, num_steps=num_steps))
    if per_doubling == 0 or num_steps == 0:
        assert steps == []
        return
    assert steps[0] == 1
    assert num_steps / 2 < steps[-1] <= num_steps
    assert len(steps) <= per_doubling * (np.log2(num_steps) + 1)
    longer = probed_steps(per_doubling, num_steps=10 * num_steps)
    assert [step for step in sorted(longer) if step <= num_steps] == steps
    if per_doubling == 1:
        assert steps == [2**i for i in range(len(steps))]


def test_the_schedule_of_epochs_is_bounded() -> None:
    short = [epoch for epoch in range(31) if is_probed_epoch(epoch, num_epochs=30)]
    assert short == list(range(31))
    long = [epoch for epoch in range(100_001) if is_probed_epoch(epoch, num_epochs=100_000)]
    assert long[: EVERY_EPOCH + 1] == list(range(EVERY_EPOCH + 1))
    assert long[-1] == 100_000
    assert len(long) <= 243
    gaps = np.diff(long[EVERY_EPOCH:-1]) / np.array(long[EVERY_EPOCH:-2])
    assert gaps.max() < 0.06


def test_the_layers_of_deep_networks_are_bounded(data: Data, tell: Tell) -> None:
    probes = ProbeSettings(groups=("gradients",), enabled=True, steps_per_doubling=0)
    deep = shape((12, *[3] * 90, 10), activation="tanh")
    plan = plan_of("none", epochs=1, probes=probes, architecture=deep)
    (told,) = tell(plan, [ReplicaPlan(seed=0)], data)
    layers = {key[0] for key in rows_at_the_end(told).keys} - {WHOLE}
    assert len(layers) == 64
    assert {1, 91} <= layers
    assert max(np.diff(sorted(layers))) <= 2


def test_training_time_is_without_the_time_of_probes(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    seconds = []
    for plan in (vary(plan_of("none"), probes=NO_PROBES), plan_of("none")):
        records = train_stack(plan, [ReplicaPlan(seed=0)], data)
        seconds.append([r.stack_seconds for r in records if hasattr(r, "stack_seconds")])
    # Each look at the clock is a tick: one between begin and end, and two for each moment within
    # the epoch, of which the second ends what the first began.
    assert seconds[0] == [0.0, 1.0, 1.0, 1.0]
    assert seconds[1] == [0.0, 1.0 + 2.0, 1.0, 1.0]
