"""Times of several contenders, side by side in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bninit.bench.case import Case
from bninit.bench.check import check_losses
from bninit.bench.contenders import LOADER, PLAIN, Build
from bninit.bench.machine import Limits, Machine


@dataclass(frozen=True)
class Middle:
    """Several measurements of one thing.

    Attributes:
        median: Of all.
        low: Lowest.
        high: Highest.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Middle:
        """Sums up at least one measurement."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender.

    Attributes:
        name: Who.
        num_networks: Networks that it trains together.
        seconds: For an epoch of `bninit.bench.case.EPOCH_IMAGES` images and one network, scaled
            from the steps that were timed.
        against_plain: These seconds over those of the plain loop, repeat by repeat; None without
            a plain loop.
        against_loader: The same against the loop with a DataLoader.
        matmul_fraction: Operations of its matrix products per second (median), as a fraction of
            the machine's best rate.
        bandwidth_fraction: Bytes per second (median) as `bninit.bench.work` counts them, as a
            fraction of the machine's copy rate; above 1, caches serve what memory could not.
        loss_difference: Largest relative difference of its first losses from the reference.
    """

    name: str
    num_networks: int
    seconds: Middle
    against_plain: Middle | None
    against_loader: Middle | None
    matmul_fraction: float
    bandwidth_fraction: float
    loss_difference: float


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """All contenders on one case.

    Attributes:
        label: The case in short.
        hidden: Units of each hidden layer.
        batch_size: Examples of a step.
        placement: Of batch norm.
        num_steps: Steps of each timed pass.
        epoch_steps: Steps that `Row.seconds` is for.
        flops_per_step: Of one network; see `bninit.bench.work`.
        bytes_per_step: Of one network; see `bninit.bench.work`.
        rows: One for each contender.
    """

    label: str
    hidden: tuple[int, ...]
    batch_size: int
    placement: str
    num_steps: int
    epoch_steps: int
    flops_per_step: int
    bytes_per_step: int
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What a benchmark found.

    Attributes:
        machine: Where it ran.
        data: Name of the data set.
        num_repeats: Timed passes of each contender.
        cases: In order.
    """

    machine: Machine
    data: str
    num_repeats: int
    cases: tuple[CaseResult, ...]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of passes, before they are put into relation.

    Attributes:
        seconds: For each contender those of its passes, in the order of the repeats.
        num_networks: For each contender.
        loss_differences: For each contender.
    """

    seconds: Mapping[str, list[float]]
    num_networks: Mapping[str, int]
    loss_differences: Mapping[str, float]


def time_passes(
    case: Case,
    builds: Sequence[Build],
    *,
    num_repeats: int,
    between: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Times contenders in turns.

    The first pass of each is checked and not timed. Then they take turns, each time beginning
    with another one, so that what slows the machine down for a while slows all of them down.

    Args:
        case: What they train.
        builds: Make them.
        num_repeats: Timed passes of each.
        between: Called before each round.
        clock: Tells seconds.

    Raises:
        UnequalLossesError: One of them computes something else.
    """
    contenders = [build(case) for build in builds]
    differences = {
        each.name: check_losses(case, name=each.name, losses=each.train()) for each in contenders
    }
    seconds: dict[str, list[float]] = {each.name: [] for each in contenders}
    for repeat in range(num_repeats):
        between()
        first = repeat % len(contenders)
        for each in [*contenders[first:], *contenders[:first]]:
            began = clock()
            each.train()
            seconds[each.name].append(clock() - began)
    return Times(
        seconds=seconds,
        num_networks={each.name: each.num_networks for each in contenders},
        loss_differences=differences,
    )


def result_of(case: Case, times: Times, *, machine: Machine) -> CaseResult:
    """Puts the times of a case into relation to each other and to the machine."""
    per_epoch = {
        name: [
            one / times.num_networks[name] / case.num_steps * case.epoch_steps for one in seconds
        ]
        for name, seconds in times.seconds.items()
    }
    work = case.work
    rows = []
    for name, seconds in per_epoch.items():
        per_step = statistics.median(seconds) / case.epoch_steps
        rows.append(
            Row(
                name=name,
                num_networks=times.num_networks[name],
                seconds=Middle.of(seconds),
                against_plain=_ratio(seconds, per_epoch.get(PLAIN)),
                against_loader=_ratio(seconds, per_epoch.get(LOADER)),
                matmul_fraction=work.flops / per_step / machine.matmul_flops_per_second,
                bandwidth_fraction=work.num_bytes / per_step / machine.copy_bytes_per_second,
                loss_difference=times.loss_differences[name],
            )
        )
    return CaseResult(
        label=case.label,
        hidden=case.hidden,
        batch_size=case.batch_size,
        placement=case.placement,
        num_steps=case.num_steps,
        epoch_steps=case.epoch_steps,
        flops_per_step=work.flops,
        bytes_per_step=work.num_bytes,
        rows=tuple(rows),
    )


def measure_cases(
    cases: Sequence[Case],
    builds: Sequence[Build],
    *,
    num_repeats: int,
    limits: Limits,
    note: Callable[[str], None] = lambda line: None,
) -> BenchResult:
    """Times contenders on several cases, and the machine in between.

    Args:
        cases: At least one.
        builds: Make the contenders.
        num_repeats: Timed passes of each contender, at least 1.
        limits: Measure the machine before each round.
        note: Told what is done.

    Raises:
        UnequalLossesError: A contender computes something else.
    """
    found = []
    for case in cases:
        note(f"{case.label}: {case.num_steps} steps, {num_repeats} times each")
        found.append(time_passes(case, builds, num_repeats=num_repeats, between=limits.measure))
    machine = limits.machine()
    return BenchResult(
        machine=machine,
        data=cases[0].data.name,
        num_repeats=num_repeats,
        cases=tuple(
            result_of(case, times, machine=machine)
            for case, times in zip(cases, found, strict=True)
        ),
    )


def _ratio(seconds: Sequence[float], others: Sequence[float] | None) -> Middle | None:
    if others is None:
        return None
    return Middle.of([one / other for one, other in zip(seconds, others, strict=True)])
