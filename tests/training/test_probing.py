"""Taking probes changes nothing, and what they find does not depend on interruptions or company."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from shapes import initial, planned, shape, vary

from bninit.data.load import Data
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.probes import PROBES
from bninit.training.probing import (
    EVERY_EPOCH,
    is_probed_epoch,
    probed_steps,
    rows_of,
)
from bninit.training.readings import WHOLE
from bninit.training.records import Checkpoint, InterruptedEpoch, LayerRows
from bninit.training.settings import (
    DEFAULT_GROUPS,
    GROUPS,
    AdamSettings,
    AdamWSettings,
    Optimiser,
    ProbeSettings,
    SGDSettings,
)

Tell = Callable[..., list[Any]]

PROBED = ProbeSettings(enabled=True, batch_size=50)

CASES = [
    ("none", "ema", "relu", SGDSettings()),
    ("pre", "ema", "relu", SGDSettings(nesterov=True, weight_decay=0.01)),
    ("pre", "population", "tanh", AdamSettings()),
    ("post", "cumulative", "gelu", AdamWSettings(weight_decay=0.01)),
]


def settings_for(
    placement: str,
    running: str = "ema",
    activation: str = "relu",
    optim: Optimiser | None = None,
    **changes: Any,
) -> StackPlan:
    return planned(
        architecture=shape(
            widths=(12, 17, 20, 10),
            placement=placement,
            running=running,
            activation=activation,
            input_norm=running == "cumulative",
        ),
        **{
            "optim": optim or SGDSettings(),
            "lr": 0.02,
            "epochs": 3,
            "batch_size": 40,
            "last_batch": "keep",
            "probes": PROBED,
            **changes,
        },
    )


def bits_of(rows: LayerRows) -> tuple[Any, ...]:
    columns = (rows.step, rows.epoch, rows.key, rows.value)
    return (rows.keys, *(np.ascontiguousarray(column).tobytes() for column in columns))


def all_rows(checkpoint: Checkpoint) -> LayerRows:
    return rows_of(checkpoint.probes)


def without_probes(told: Any) -> Any:
    bare = [dataclasses.replace(checkpoint, probes={}) for checkpoint in told.checkpoints]
    return dataclasses.replace(told, checkpoints=bare)


def read(
    rows: LayerRows, place: str, quantity: str, layer: int, unit: int = -1
) -> dict[int, float]:
    """The values of one quantity, by step."""
    key = rows.keys.index((layer, place, quantity, unit))
    chosen = rows.key == key
    return dict(zip(rows.step[chosen].tolist(), rows.value[chosen].tolist(), strict=True))


def test_a_config_can_name_every_group_and_no_other() -> None:
    assert tuple(PROBES) == GROUPS
    assert ProbeSettings().groups == DEFAULT_GROUPS


@pytest.mark.parametrize(("placement", "running", "activation", "optimiser"), CASES)
def test_taking_probes_changes_no_bit(
    placement: str,
    running: str,
    activation: str,
    optimiser: Optimiser,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    settings = settings_for(placement, running, activation, optimiser, epochs=2)
    bare = tell(vary(settings, probes=ProbeSettings()), mixed_plans[:2], data)
    probed = tell(settings, mixed_plans[:2], data)
    for with_probes, without in zip(probed, bare, strict=True):
        assert with_probes.bits == without.bits
        assert with_probes.checkpoints[-1].probes
        assert not without.checkpoints[-1].probes


@pytest.mark.parametrize(("placement", "running", "activation", "optimiser"), CASES)
def test_what_is_found_is_the_same_alone_and_in_a_stack(
    placement: str,
    running: str,
    activation: str,
    optimiser: Optimiser,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    settings = settings_for(placement, running, activation, optimiser, epochs=2)
    stacked = tell(settings, mixed_plans[:3], data)
    for place in (2,):
        (alone,) = tell(settings, [mixed_plans[place]], data)
        assert bits_of(all_rows(alone.checkpoints[-1])) == bits_of(
            all_rows(stacked[place].checkpoints[-1])
        )


def test_moments_are_those_of_the_schedule(data: Data, tell: Tell) -> None:
    settings = settings_for("pre")
    (told,) = tell(settings, [ReplicaPlan(seed=0)], data)
    rows = all_rows(told.checkpoints[-1])
    taken = dict(zip(rows.step.tolist(), rows.epoch.tolist(), strict=True))
    # Four steps an epoch; 4 and 8 are epochs' ends.
    assert taken == {0: 0, 1: 0, 2: 0, 4: 1, 8: 2, 12: 3}
    rank = read(rows, "activation", "effective_rank", 1)
    assert list(rank) == [0, 4, 8, 12]


class StopAt:
    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize(("placement", "running", "activation", "optimiser"), CASES)
@pytest.mark.parametrize("epoch", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_training_that_goes_on_has_the_rows_of_one_that_was_not_interrupted(
    epoch: int,
    placement: str,
    running: str,
    activation: str,
    optimiser: Optimiser,
    data: Data,
    mixed_plans: list[ReplicaPlan],
    tell: Tell,
) -> None:
    settings = settings_for(placement, running, activation, optimiser, epochs=2)
    whole = tell(settings, mixed_plans[:3], data)
    # In other company, and in another order.
    again = [
        dataclasses.replace(mixed_plans[place], checkpoint=whole[place].checkpoints[epoch])
        for place in (2, 0)
    ]
    for place, told in zip((2, 0), tell(settings, again, data), strict=True):
        assert told.bits == whole[place].since(epoch).bits
        assert bits_of(all_rows(told.checkpoints[-1])) == bits_of(
            all_rows(whole[place].checkpoints[-1])
        )


@pytest.mark.parametrize("asked", [1, pytest.param(3, marks=pytest.mark.slow), 6])
def test_nor_does_a_cut_within_an_epoch_matter(
    asked: int, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings, plans = settings_for("pre", "population"), mixed_plans[:2]
    whole = tell(settings, plans, data)
    *_, cut = train_stack(settings, plans, data, stop=StopAt(asked))
    assert isinstance(cut, InterruptedEpoch)
    again = [
        dataclasses.replace(plan, checkpoint=cut.checkpoints[i]()) for i, plan in enumerate(plans)
    ]
    resumed = list(train_stack(settings, again, data))
    for i, other in enumerate(whole):
        last = resumed[len(resumed) - 1 - len(plans)].replicas[i].checkpoint()
        assert bits_of(all_rows(last)) == bits_of(all_rows(other.checkpoints[-1]))


def test_checkpoints_without_these_probes_are_refused(
    data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings = settings_for("pre")
    (bare,) = tell(vary(settings, probes=ProbeSettings()), mixed_plans[:1], data)
    again = dataclasses.replace(mixed_plans[0], checkpoint=bare.checkpoints[1])
    with pytest.raises(ValueError, match="is missing or of another shape"):
        next(iter(train_stack(settings, [again], data)))
    none = settings_for("none")
    (bare,) = tell(vary(none, probes=ProbeSettings()), mixed_plans[:1], data)
    again = dataclasses.replace(mixed_plans[0], checkpoint=bare.checkpoints[1])
    with pytest.raises(ValueError, match="is of no probed run"):
        next(iter(train_stack(none, [again], data)))


@pytest.mark.parametrize("placement", ["none", "pre"])
def test_a_network_that_diverges_disturbs_no_other(
    placement: str, data: Data, mixed_plans: list[ReplicaPlan], tell: Tell
) -> None:
    settings = settings_for(placement, epochs=3)
    lost = ReplicaPlan(seed=5, init=initial("constant", value=1e30))
    (alone,) = tell(settings, [mixed_plans[0]], data)
    first, gone = tell(settings, [mixed_plans[0], lost], data)
    assert first.bits == alone.bits
    assert bits_of(all_rows(first.checkpoints[-1])) == bits_of(all_rows(alone.checkpoints[-1]))
    if placement == "none":
        assert gone.final is None
    rows = all_rows(gone.checkpoints[-1])
    assert np.isnan(rows.value).any()


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
    settings = vary(
        settings_for("none", epochs=1),
        probes=ProbeSettings(
            enabled=True, groups=("gradients",), steps_per_doubling=0, batch_size=10
        ),
        architecture=shape(widths=(12, *[3] * 90, 10), activation="tanh"),
    )
    (told,) = tell(settings, [ReplicaPlan(seed=0)], data)
    layers = {key[0] for key in all_rows(told.checkpoints[-1]).keys} - {WHOLE}
    assert len(layers) == 64
    assert {1, 91} <= layers


def test_training_time_is_without_the_time_of_probes(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    plan: Sequence[ReplicaPlan] = [ReplicaPlan(seed=0)]
    seconds = []
    for probes in (ProbeSettings(), PROBED):
        settings = vary(settings_for("none"), probes=probes)
        records = [r for r in train_stack(settings, plan, data) if hasattr(r, "replicas")]
        seconds.append([record.stack_seconds for record in records])
    # Each look at the clock is a tick: one between begin and end, and two for each moment within
    # the epoch, of which the second ends what the first began.
    assert seconds[0] == [0.0, 1.0, 1.0, 1.0]
    assert seconds[1][2:] == [1.0, 1.0]
    assert seconds[1][1] == 1.0 + 2.0
