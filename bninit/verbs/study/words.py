"""How claims and their conditions are put into words: effects, intervals, settings, seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
    """How the numbers of a metric are printed: scale, decimals at least, units."""

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


def percent(fraction: float) -> str:
    """A confidence, with as many decimals as it needs: 95 %, 99.5 %, 99.75 %."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + " %"


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


def question(found: Verdict) -> str:
    """What is measured, on which sides or against which number, and what is expected of it."""
    claim, title = found.claim, title_of(found)
    left = found.left.says
    if claim.trend:
        return f"{title}, {left}: {claim.expect} along {axis_name(claim.trend)}"
    subject = f"spread of {title} over {axis_name(claim.spread)}" if claim.spread else title
    if found.metric.is_share:
        subject = f"share of runs with “{subject}”"
    right = against(found) or (found.right.says if found.right else "")
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


def setting_words(key: str, value: Any) -> str:
    """A setting as people say it: "no batch norm", "learning rate 0.1"."""
    if key in ("model.init", "model.init.scheme"):
        return value_label(value["scheme"] if isinstance(value, Mapping) else value)
    if key == "model.norm.input" and isinstance(value, bool):
        return f"{'' if value else 'no '}batch norm on the input"
    if isinstance(value, Mapping):
        label = ", ".join(f"{name} {value_label(part)}" for name, part in value.items())
    else:
        label = value_label(value)
    if key == "model.norm.placement":
        return text.PLACEMENTS.get(label, label)
    return f"{axis_name(key)} {label}"


def side_words(partial: Mapping[str, Any]) -> str:
    """What sets a side of a claim apart: "with batch norm before the activation"."""
    parts = []
    for key, value in partial.items():
        weights = " weights" if key in ("model.init", "model.init.scheme") else ""
        parts.append(f"with {setting_words(key, value)}{weights}".replace("with no ", "without "))
    return " and ".join(parts) or "over all arms"


def arm_label(arm: StudyArm, *, without: Sequence[str] = ()) -> str:
    """What sets an arm apart, but for the axes that the place where it stands tells already."""
    parts = [
        setting_words(key, value)
        for key, value in arm.values.items()
        if key not in without and value is not None
    ]
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
    """What was held, by dotted key, in short phrases from the data to the training."""
    shown = dict(held)
    if "model.init.scheme" in held:
        keys = ("std", "limit", "value", "truncated")
        given = [(key, held.get(f"model.init.{key}")) for key in keys]
        if held.get("model.init.gain", 1.0) != 1.0:
            given.append(("gain", held["model.init.gain"]))
        parts = ", ".join(f"{key} {value_label(value)}" for key, value in given if value)
        shown["model.init.scheme"] += f" ({parts})" if parts else ""
    if "optim.name" in held:
        shown["optim.name"] = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}[held["optim.name"]]
        if held.get("optim.momentum"):
            shown["optim.name"] += f" with momentum {value_label(held['optim.momentum'])}"
    return [say(shown[key]) for key, say in _CONDITIONS.items() if key in held and say(shown[key])]


def _layers(widths: Sequence[int]) -> str:
    if not widths:
        return "no hidden layer"
    one_width = len(set(widths)) == 1
    units = str(widths[0]) if one_width else "-".join(map(str, widths))
    return f"{text.plural(len(widths), 'hidden layer')} of {units} units"


_CONDITIONS: dict[str, Callable[[Any], str]] = {
    "data.name": str,
    "data.scale": lambda scale: _SCALES.get(scale, ""),
    "model.hidden": _layers,
    "model.activation": "{} activation".format,
    "model.norm.placement": lambda placement: text.PLACEMENTS.get(placement, ""),
    "model.norm.input": lambda has_it: "batch norm on the input" if has_it else "",
    "model.init.scheme": "weights from {}".format,
    "optim.name": str,
    "optim.lr": lambda rate: f"learning rate {value_label(rate)}",
    "optim.schedule.name": lambda name: "" if name == "constant" else f"{name} schedule",
    "optim.weight_decay": lambda decay: f"weight decay {value_label(decay)}" if decay else "",
    "train.epochs": lambda epochs: text.plural(epochs, "epoch"),
    "train.batch_size": "batches of {}".format,
}
"""How a setting that was held is said, in the order of the page; empty where it need not be."""
