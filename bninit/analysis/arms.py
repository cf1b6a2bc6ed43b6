"""Arms in short: what the table at the end of a training says of each."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bninit.analysis.spread import Spread, median_of_censored, spread

Summary = Mapping[str, Any]
"""What ``summary.json`` holds of one run."""


@dataclass(frozen=True, kw_only=True)
class TargetSummary:
    """How soon the runs of an arm reached one validation accuracy.

    The medians are over all runs, and one that never reached it is later than all that did. They
    are None where half of the runs or more never did: there is no median then.

    Attributes:
        target: The validation accuracy, in (0, 1].
        num_runs: Runs that were watched for it.
        num_reached: Those that reached it.
        median_epochs: Epochs until then; 0 is before training.
        median_steps: Steps until then.
        median_seconds: Training seconds until then.
        watched_epochs: Epochs after which the runs that did not reach it were given up, the
            lowest if they differ; None when all reached it.
    """

    target: float
    num_runs: int
    num_reached: int
    median_epochs: float | None
    median_steps: float | None
    median_seconds: float | None
    watched_epochs: int | None


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """The finished runs of one arm.

    Attributes:
        name: Of its config.
        arm: Its content id.
        label: The name, with the start of the id where another arm has the same name.
        seeds: Of its runs, rising.
        num_diverged: Runs that diverged. They have no test figures.
        test_accuracy: Over the runs that did not diverge; its ``n`` says how many.
        best_val_accuracy: Best epoch of each run, diverged runs included.
        generalization_gap: Training accuracy minus test accuracy, as ``test_accuracy``.
        median_seconds_per_epoch: Of training, over all runs; None when no epoch was finished.
        num_parameters: Numbers that one network trains.
        targets: Rising.
    """

    name: str
    arm: str
    label: str
    seeds: tuple[int, ...]
    num_diverged: int
    test_accuracy: Spread | None
    best_val_accuracy: Spread | None
    generalization_gap: Spread | None
    median_seconds_per_epoch: float | None
    num_parameters: int | None
    targets: tuple[TargetSummary, ...]

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        return len(self.seeds)


def summarise_arms(summaries: Iterable[Summary]) -> list[ArmSummary]:
    """Put the runs of each arm together.

    Args:
        summaries: As in ``summary.json``, in any order.

    Returns:
        One for each name and arm id, in the order of first appearance.
    """
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault((summary["name"], summary["arm"]), []).append(summary)
    labels = arm_labels(list(groups))
    return [_summarise(runs, label=labels[key]) for key, runs in groups.items()]


def arm_labels(arms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Name arms as briefly as tells them apart.

    Args:
        arms: (name, content id) of each, all different.
    """
    num_of_name = Counter(name for name, _ in arms)
    return {
        (name, arm): name if num_of_name[name] == 1 else f"{name}-{arm[:8]}" for name, arm in arms
    }


def _summarise(runs: list[Summary], *, label: str) -> ArmSummary:
    runs = sorted(runs, key=lambda run: run["seed"])
    seconds = [s for run in runs if (s := run.get("seconds_per_epoch")) is not None]
    return ArmSummary(
        name=runs[0]["name"],
        arm=runs[0]["arm"],
        label=label,
        seeds=tuple(run["seed"] for run in runs),
        num_diverged=sum(run["status"] == "diverged" for run in runs),
        test_accuracy=spread(run.get("test_accuracy") for run in runs),
        best_val_accuracy=spread((run.get("best") or {}).get("val_accuracy") for run in runs),
        generalization_gap=spread(run.get("generalization_gap") for run in runs),
        median_seconds_per_epoch=statistics.median(seconds) if seconds else None,
        num_parameters=runs[0].get("num_parameters"),
        targets=_targets(runs),
    )


def _targets(runs: list[Summary]) -> tuple[TargetSummary, ...]:
    by_target: dict[float, list[Mapping[str, Any]]] = {}
    for run in runs:
        for entry in run.get("targets") or ():
            by_target.setdefault(entry["target"], []).append(entry)
    return tuple(_target(target, by_target[target]) for target in sorted(by_target))


def _target(target: float, entries: list[Mapping[str, Any]]) -> TargetSummary:
    given_up = [entry["censored_at_epochs"] for entry in entries if not entry["reached"]]
    return TargetSummary(
        target=target,
        num_runs=len(entries),
        num_reached=len(entries) - len(given_up),
        median_epochs=median_of_censored([entry["epochs"] for entry in entries]),
        median_steps=median_of_censored([entry["steps"] for entry in entries]),
        median_seconds=median_of_censored([entry["seconds"] for entry in entries]),
        watched_epochs=min(given_up, default=None),
    )
