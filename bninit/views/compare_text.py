"""Numbers and words of a comparison, the same in tables, reports and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bninit.analysis.comparison import ArmAtTarget, ComparedArm, Comparison, Difference
from bninit.analysis.metric import Metric
from bninit.views import text

_SHORT_TITLES = {
    "generalization_gap": "training minus test",
    "best_val_loss": "best val loss",
    "final_val_loss": "last val loss",
    "seconds_per_epoch": "one epoch",
}
_SIZES = {"better": "smaller", "worse": "larger"}
"""A gap is no good in itself: a network that learns nothing has none."""

_KEYS_OF_STEPS = ("data.", "train.batch_size", "train.last_batch")


def metric_title(metric: Metric, target: float | None) -> str:
    """Name a metric with its target: ``epochs to 97 %``."""
    return metric.title.format(target="" if target is None else text.target_percent(target))


def unit_of_difference(metric: Metric) -> str:
    """The unit in which a difference is printed: of percentages, points."""
    return "points" if metric.unit == "%" else metric.unit


def difference_text(difference: Difference) -> str:
    """Write the size of a difference with its sign, or why there is none."""
    estimate = difference.estimate
    no_arm, no_baseline = difference.num_missing
    if estimate.effect is not None:
        said = _signed(estimate.effect, difference.metric)
        further = {"high": " or higher", "low": " or lower", None: ""}
        return said + further[difference.open_end]
    num_seeds = len(difference.seeds)
    lacking = "did not reach it" if difference.metric.censored else "diverged"
    if no_arm == no_baseline == num_seeds:
        return "never reached by either" if difference.metric.censored else "both diverged"
    if no_arm >= no_baseline:
        return f"{text.of(no_arm, num_seeds)} {lacking}"
    return f"{text.of(no_baseline, num_seeds)} of the baseline {lacking}"


def interval_text(difference: Difference) -> str:
    """Write an interval with signs: ``+0.24 to +1.00``; a dash where there is none."""
    estimate, metric = difference.estimate, difference.metric
    low = None if difference.open_end == "low" else estimate.low
    high = None if difference.open_end == "high" else estimate.high
    if low is None and high is None:
        return text.MISSING
    if low is None or high is None:
        bound, word = (high, "at most") if low is None else (low, "at least")
        return f"{word} {_signed(bound or 0.0, metric)}"
    return f"{_signed(low, metric)} to {_signed(high, metric)}"


def reading_text(difference: Difference) -> str:
    """Say in a word what the interval shows; nothing where there is none."""
    reading = difference.reading
    if reading == "undecided":
        return "unclear"
    return direction_word(difference.metric, reading) if reading else ""


def direction_word(metric: Metric, reading: str) -> str:
    """Name a side of zero: better or worse, or smaller or larger."""
    return _SIZES[reading] if metric.name == "generalization_gap" else reading


def short_title(metric: Metric, target: float | None) -> str:
    """Name a metric with the unit of its differences, for a narrow column."""
    title = _SHORT_TITLES.get(metric.name) or metric_title(metric, target)
    unit = unit_of_difference(metric)
    return title if unit in ("", "epochs", "steps") else f"{title} ({unit})"


def figure_text(arm: ComparedArm, metric: Metric) -> str:
    """Write mean and standard deviation of an arm's figure, and of how many runs if not all."""
    spread = arm.figures[metric.name]
    if spread is None:
        return text.MISSING
    scaled = [None if x is None else x * metric.scale for x in (spread.mean, spread.sd)]
    decimals = metric.num_decimals
    mean = _plain(scaled[0] or 0.0, decimals)
    # Networks of one stack share its clock: how their seconds spread tells nothing.
    said = (
        mean
        if scaled[1] is None or metric.unit == "s"
        else f"{mean} (SD {_plain(scaled[1], decimals)})"
    )
    return said if spread.n == len(arm.seeds) else f"{said}, {spread.n} of {len(arm.seeds)}"


def reached_text(at: ArmAtTarget) -> str:
    """Write how many of an arm's runs reached a target: ``all 5``, ``2 of 5``."""
    return text.of(at.num_reached, at.num_runs)


def median_text(at: ArmAtTarget, name: str) -> str:
    """Write the median time to a target; a dash where there is none."""
    median = at.medians[name]
    return text.seconds(median) if name.startswith("seconds") else text.count(median)


def interval_level(comparison: Comparison) -> str:
    """Write the confidence of the intervals: ``95 %``."""
    return f"{100 * comparison.level:g} %"


def shown_differences(
    comparison: Comparison,
) -> list[tuple[Metric, float | None, list[Difference]]]:
    """The metrics whose differences tables and pictures show, each with its arms.

    Steps are left out where every arm makes equally many in an epoch, as they say what epochs
    say, and so are seconds to a target: seconds per epoch and epochs to the target tell more.
    """
    groups: dict[tuple[str, float | None], list[Difference]] = {}
    steps_too = any(key.startswith(_KEYS_OF_STEPS) for key in comparison.varied)
    for each in comparison.differences:
        name = each.metric.name
        if name == "seconds_to_accuracy" or (name == "steps_to_accuracy" and not steps_too):
            continue
        groups.setdefault((name, each.target), []).append(each)
    return [(part[0].metric, target, part) for (_, target), part in groups.items()]


def join(items: Sequence[str]) -> str:
    """Write a list as a sentence has it: ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), *items[-1:]]) if len(items) > 1 else "".join(items)


def _signed(value: float, metric: Metric) -> str:
    scaled = value * metric.scale
    said = _plain(scaled, metric.num_decimals)
    return said if scaled <= 0 or float(said.replace(",", "")) == 0 else f"+{said}"


def _plain(value: float, num_decimals: int) -> str:
    if not math.isfinite(value):
        return text.MISSING
    said = f"{value:,.{0 if abs(value) >= 1000 else num_decimals}f}"
    return said.removeprefix("-") if float(said.replace(",", "")) == 0 else said
