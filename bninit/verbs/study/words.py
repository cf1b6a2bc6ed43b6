"""How claims and their conditions are put into words: effects, intervals, settings, seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bninit.config.identity import value_label
from bninit.metrics import Metric
from bninit.show import words as text
from bninit.verbs.study.contrast import Outcome, Verdict
from bninit.verbs.study.expand import StudyArm

OUTCOMES: tuple[Outcome, ...] = ("supported", "contradicted", "undecided")
"""The verdicts, in the order in which they are counted up."""

AXES = {
    "data.name": "data set",
    "data.scale": "pixel scale",
    "model.activation": "activation",
    "model.hidden": "hidden layers",
    "model.init": "initialisation",
    "model.init.scheme": "initialisation",
    "model.norm": "batch norm",
    "model.norm.input": "batch norm on the input",
    "model.norm.placement": "batch norm",
    "optim": "optimiser",
    "optim.lr": "learning rate",
    "optim.name": "optimiser",
    "train.batch_size": "batch size",
    "train.epochs": "epochs",
}
"""Names of keys that studies vary; others go by their last part."""

_SCALES = {
    "unit": "pixels from 0 to 1",
    "raw": "raw pixels, 0 to 255",
    "standardize": "standardized pixels",
}

_MINUS = re.compile(r"(?<![^ (])-(?=[0-9])")
_BEFORE_PERCENT = re.compile(r"(?<=[0-9]) (?=%)")


@dataclass(frozen=True, kw_only=True)
class Print:
    """How the numbers of a metric are printed.

    Attributes:
        scale: Factor from the metric to the printed number.
        num_decimals: At least so many.
        unit: After a value.
        difference_unit: After a difference of two values.
    """

    scale: float
    num_decimals: int
    unit: str
    difference_unit: str


def print_of(metric: Metric) -> Print:
    """How a metric is printed; shares as percentages of the runs."""
    if metric.is_share and metric.scale == 1:
        unit = "% of runs"
        return Print(scale=100, num_decimals=0, unit=unit, difference_unit=unit)
    return Print(
        scale=metric.scale,
        num_decimals=metric.num_decimals,
        unit=metric.unit,
        difference_unit="points" if metric.unit == "%" else metric.unit,
    )


def title_of(found: Verdict) -> str:
    """What is measured, with its target: "epochs to 97 %"."""
    target = found.claim.target
    return found.metric.title.format(target="" if target is None else text.target_percent(target))


def against(found: Verdict) -> str:
    """The number that a claim holds its left side against, with its unit; or empty."""
    if found.number is None:
        return ""
    how = print_of(found.metric)
    return f"{found.number * how.scale:g} {how.unit}".rstrip()


def unit_of(found: Verdict) -> str:
    """Unit of a claim's effect as it is printed; a trend's is per unit of its axis."""
    how = print_of(found.metric)
    if found.number is not None:
        return how.unit
    if found.claim.trend:
        return f"{how.difference_unit} per unit of {axis_name(found.claim.trend)}".strip()
    return how.difference_unit


def effect(found: Verdict) -> str:
    """The effect as a signed number with its unit; of a claim about a number, the value."""
    value = found.effect
    if value is None:
        return text.MISSING
    number, unit = _printed(found, value), unit_of(found)
    if number.lstrip("+-") == "1" and unit in ("epochs", "steps", "units", "points"):
        unit = unit[:-1]
    return f"{number} {unit}".rstrip()


def interval(found: Verdict) -> str:
    """The interval in words and numbers, without unit; empty where there is none."""
    low, high = found.low, found.high
    if low is None and high is None:
        return ""
    if low is None:
        return f"at most {_printed(found, high or 0.0)}"
    if high is None:
        return f"at least {_printed(found, low)}"
    return f"{_printed(found, low)} to {_printed(found, high)}"


def level(found: Verdict) -> str:
    """Confidence of the interval: ``98.3 %``."""
    return f"{round(100 * found.level, 1):g} %"


def _printed(found: Verdict, value: float) -> str:
    """A number of the verdict's effect, with as many decimals as all of its numbers have."""
    offset = found.number
    how = print_of(found.metric)
    numbers = [(each + (offset or 0.0)) * how.scale for each in
               (found.effect, found.low, found.high) if each is not None]  # fmt: skip
    num_decimals = how.num_decimals
    # What is not 0 shall not read 0: an interval that ends just short of it decides a claim.
    while num_decimals < how.num_decimals + 2 and any(
        number != 0 and round(number, num_decimals) == 0 for number in numbers
    ):
        num_decimals += 1
    written = f"{(value + (offset or 0.0)) * how.scale:.{num_decimals}f}"
    if float(written) == 0:
        written = written.removeprefix("-")
    sign = "+" if offset is None and float(written) > 0 else ""
    return sign + written


def question(found: Verdict, *, against: str) -> str:
    """What is measured, on which sides, and what the claim expects of it.

    Args:
        found: The verdict.
        against: The number on the right, with its unit.
    """
    claim, title = found.claim, title_of(found)
    left = found.left.says
    if claim.trend:
        return f"{title}, {left}: {claim.expect} along {axis_name(claim.trend)}"
    subject = f"spread of {title} over {axis_name(claim.spread)}" if claim.spread else title
    if found.metric.is_share:
        subject = f"share of runs with “{subject}”"
    right = against or (found.right.says if found.right else "")
    expected = {"less": "less than", "greater": "more than", "equal": "the same as"}[claim.expect]
    asked = f"{subject}: {left}, {expected} {right}"
    if claim.signed_margin:
        how = print_of(found.metric)
        size = f"{abs(claim.signed_margin) * how.scale:g} {how.difference_unit}".rstrip()
        is_tolerance = claim.expect == "equal" or claim.signed_margin < 0
        asked += f", give or take {size}" if is_tolerance else f" by at least {size}"
    return asked


def typeset(written: str) -> str:
    """Text with true minus signs, and with no line break before a percent sign, for pages."""
    written = _MINUS.sub("\N{MINUS SIGN}", written)
    return _BEFORE_PERCENT.sub("\N{NO-BREAK SPACE}", written)


def axis_name(key: str) -> str:
    """A config key as people call it."""
    return AXES.get(key, key.rpartition(".")[2].replace("_", " "))


def arm_label(arm: StudyArm, *, without: Sequence[str] = ()) -> str:
    """What sets an arm apart, in words: "no batch norm, learning rate 0.1".

    Args:
        arm: The arm.
        without: Axes, by dotted key, that the place where it stands tells already.
    """
    parts = []
    for key, value in arm.values.items():
        if key in without or value is None:
            continue
        label = value_label(value)
        if key == "model.norm.placement":
            parts.append(text.PLACEMENTS[label])
        elif key == "model.norm.input":
            parts.append("batch norm on the input" if value else "no batch norm on the input")
        elif key.startswith("model.init") and key.count(".") == 1:
            parts.append(label)
        else:
            parts.append(f"{axis_name(key)} {label}")
    return ", ".join(parts) or arm.label


def value_names(key: str, labels: Sequence[str]) -> str:
    """Values of an axis in words, one after another."""
    known = text.PLACEMENTS if key == "model.norm.placement" else {}
    return ", ".join(known.get(label, label) for label in labels)


def seeds_phrase(seeds: Sequence[int]) -> str:
    """Seeds with the noun: ``seed 3``, ``seeds 0 to 9``."""
    return f"seed{'' if len(seeds) == 1 else 's'} {seeds_label(seeds)}"


def seeds_label(seeds: Sequence[int]) -> str:
    """Seeds in short: ``0 to 9``, ``0, 3, 7``."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    shown = ", ".join(map(str, seeds[:12]))
    return f"{shown} and {len(seeds) - 12} more" if len(seeds) > 12 else shown


def conditions(held: Mapping[str, Any]) -> list[str]:
    """What was held, in short phrases, from the data to the training; what varied is left out.

    Args:
        held: Resolved values by dotted key.
    """
    phrases = []
    if "data.name" in held:
        phrases.append(str(held["data.name"]))
    phrases.append(_SCALES.get(held.get("data.scale", ""), ""))
    if "model.hidden" in held:
        phrases.append(_layers(held["model.hidden"]))
    if "model.activation" in held:
        phrases.append(f"{held['model.activation']} activation")
    phrases.append(text.PLACEMENTS.get(held.get("model.norm.placement", ""), ""))
    if held.get("model.norm.input"):
        phrases.append("batch norm on the input")
    phrases += [_init(held), *_optimiser(held), *_training(held)]
    return [phrase for phrase in phrases if phrase]


def _layers(widths: Sequence[int]) -> str:
    if not widths:
        return "no hidden layer"
    one_width = len(set(widths)) == 1
    units = str(widths[0]) if one_width else "-".join(map(str, widths))
    return f"{text.plural(len(widths), 'hidden layer')} of {units} units"


def _init(held: Mapping[str, Any]) -> str:
    scheme = held.get("model.init.scheme")
    if scheme is None:
        return ""
    keys = ("std", "limit", "value", "truncated")
    given = [(key, held.get(f"model.init.{key}")) for key in keys]
    parts = [f"{key} {value_label(value)}" for key, value in given if value]
    if held.get("model.init.gain", 1.0) != 1.0:
        parts.append(f"gain {value_label(held['model.init.gain'])}")
    return f"weights from {scheme}" + (f" ({', '.join(parts)})" if parts else "")


def _optimiser(held: Mapping[str, Any]) -> list[str]:
    phrases = []
    if "optim.name" in held:
        name = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[held["optim.name"]]
        momentum = held.get("optim.momentum")
        phrases.append(f"{name} with momentum {value_label(momentum)}" if momentum else name)
    if "optim.lr" in held:
        phrases.append(f"learning rate {value_label(held['optim.lr'])}")
    if held.get("optim.schedule.name", "constant") != "constant":
        phrases.append(f"{held['optim.schedule.name']} schedule")
    if held.get("optim.weight_decay"):
        phrases.append(f"weight decay {value_label(held['optim.weight_decay'])}")
    return phrases


def _training(held: Mapping[str, Any]) -> list[str]:
    phrases = []
    if "train.epochs" in held:
        phrases.append(text.plural(held["train.epochs"], "epoch"))
    if "train.batch_size" in held:
        phrases.append(f"batches of {held['train.batch_size']}")
    return phrases
