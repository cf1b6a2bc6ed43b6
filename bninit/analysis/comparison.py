"""What a comparison of arms holds: plain values, for files, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bninit.analysis.frame import Setting
from bninit.analysis.metric import Metric
from bninit.analysis.spread import Spread
from bninit.analysis.statistics import Estimate
from bninit.analysis.survival import ReachedCurve

if TYPE_CHECKING:
    import pandas as pd

FIGURES = (
    "test_accuracy",
    "generalization_gap",
    "best_val_loss",
    "final_val_loss",
    "seconds_per_epoch",
)
"""Metrics with a mean for each arm."""

TIMES = ("epochs_to_accuracy", "steps_to_accuracy", "seconds_to_accuracy")
"""Metrics with a median for each arm and target."""

SHARED_CLOCK = "shared clock"
"""Method of a difference of seconds that has no interval; see `Comparison.notes`."""

Reading = Literal["better", "worse", "undecided", ""]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmAtTarget:
    """How the runs of one arm came to one validation accuracy.

    Attributes:
        target: The validation accuracy, in (0, 1].
        num_runs: All runs of the arm.
        num_reached: Those that reached it.
        watched_epochs: Epochs that each run had for it.
        medians: By metric in `TIMES`, over all runs, those that never got there being later than
            all others; None where half of them or more never did.
        means: By metric in `TIMES`; None unless all runs got there.
        curve: Share of runs that have reached it by each epoch.
    """

    target: float
    num_runs: int
    num_reached: int
    watched_epochs: int
    medians: dict[str, float | None]
    means: dict[str, Spread | None]
    curve: ReachedCurve


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedArm:
    """One arm of a comparison.

    Attributes:
        label: Its name, with its id where another arm has the same name.
        name: Of its config.
        id: Its content id.
        placement: Where batch norm stands, for the colour of the arm.
        settings: Its values of the settings that vary between the arms.
        seeds: Of its runs, rising.
        num_diverged: Runs that diverged; they have no test figures.
        num_parameters: Numbers that one network trains.
        figures: By metric in `FIGURES`, over the runs that have it; None when none has.
        targets: Rising.
    """

    label: str
    name: str
    id: str
    placement: str
    settings: dict[str, Setting | None]
    seeds: tuple[int, ...]
    num_diverged: int
    num_parameters: int
    figures: dict[str, Spread | None]
    targets: tuple[ArmAtTarget, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One arm minus the baseline in one metric, seed by seed.

    Attributes:
        arm: Label of the arm.
        metric: What was measured.
        target: For metrics that take one.
        estimate: The difference; its interval and those of the other arms in this metric hold
            together.
        is_median: Whether the effect is the median of the differences, not their mean.
        seeds: Common seeds.
        num_missing: Runs without the figure on these seeds (diverged, or never got there): of
            the arm, and of the baseline.
        horizon: What a run that never got there counts as; None where it ranks as the worst.
        alpha: Error of all intervals of this metric together.
    """

    arm: str
    metric: Metric
    target: float | None
    estimate: Estimate
    is_median: bool
    seeds: tuple[int, ...]
    num_missing: tuple[int, int]
    horizon: float | None
    alpha: float

    @property
    def open_end(self) -> Literal["low", "high"] | None:
        """The end beyond which the true difference may lie.

        The effect and its interval are those of times cut at the horizon. Where runs of one side
        alone never got there, their true times are later, and so the true difference lies further
        to that side.
        """
        of_arm, of_baseline = self.num_missing
        if self.horizon is None or (of_arm > 0) == (of_baseline > 0):
            return None
        return "high" if of_arm else "low"

    @property
    def reading(self) -> Reading:
        """What the interval says: it holds zero (undecided), or lies on one side of it."""
        estimate = self.estimate
        if estimate.p_value is None or self.metric.better is None:
            return ""
        if estimate.p_value > self.alpha:
            return "undecided"
        known = (estimate.effect, estimate.low, estimate.high)
        at = next((number for number in known if number is not None), None)
        if at is None:
            # Every difference is infinite: one side has no figure at all.
            of_arm, of_baseline = self.num_missing
            return "worse" if of_arm > of_baseline else "better"
        if at == 0 or self.open_end == ("high" if at < 0 else "low"):
            return "undecided"
        return "better" if (at < 0) == (self.metric.better == "low") else "worse"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Arms side by side.

    Attributes:
        baseline: Label of the arm that the others are held against.
        targets: Validation accuracies, rising.
        varied: Keys of the settings that differ between the arms, in the order of a config.
        arms: In the order asked for.
        differences: By metric, target and arm.
        warnings: What a reader should know before believing a difference.
        notes: How the numbers were made.
        level: Confidence with which all intervals of one metric hold together.
        runs: One row per run, see `bninit.analysis.frame.runs_frame`.
        epochs: One row per run and epoch, with the arm's label as ``name``.
    """

    baseline: str
    targets: tuple[float, ...]
    varied: tuple[str, ...]
    arms: tuple[ComparedArm, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    level: float
    runs: pd.DataFrame
    epochs: pd.DataFrame

    def differences_in(self, metric: str, *, target: float | None = None) -> list[Difference]:
        """The differences in one metric, arm by arm."""
        return [d for d in self.differences if d.metric.name == metric and d.target == target]
