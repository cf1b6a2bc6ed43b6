"""A claim: a sentence with a metric, two sides and an expectation, for the runs to decide."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from bninit.config.schema import (
    DEFAULT_TARGETS,
    SCHEMA_VERSION,
    Accuracy,
    Name,
    SchemaVersion,
    Targets,
)
from bninit.fields import Fault, OneOf, Section, fault, refuse, shown_value
from bninit.training.settings import MAX_SEEDS, Seeds

Shape = Literal["sides", "number", "spread", "trend"]


def one_line(value: object) -> object:
    """Return text on one line, as folded YAML may bring line breaks; it commands no terminal."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.split())
    if any(unicodedata.category(char) == "Cc" for char in line):
        raise fault(f"{shown_value(line)} holds a control character", "leave it out")
    return line


def _check_side(value: object) -> object:
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and abs(value) <= 1e12:
            return float(value)
        raise fault(f"{shown_value(value)} is out of range")
    hint = "as in {model.norm.placement: none}, or 0.1"
    raise fault(f"{shown_value(value)} is neither a mapping (key: value) nor a number", hint)


Line = Annotated[str, Field(min_length=1, max_length=300), BeforeValidator(one_line)]
Partial = dict[str, Any]
"""Some keys of a config, dotted or nested, with their values."""

Side = Annotated[dict[str, Any] | float | None, PlainValidator(_check_side)]
Size = Annotated[float, Field(ge=0, le=1e12)]


class Claim(Section):
    """A sentence that the runs of a study are to decide."""

    id: Annotated[str, Field(min_length=1, max_length=80), BeforeValidator(one_line)] = Field(
        description="a short name of the claim, such as N11a", examples=["claim"]
    )
    says: Line = Field(description="the claim as a sentence", examples=["It is so"])
    experiment: str | None = Field(
        default=None,
        alias="in",
        description="the experiment that decides it; may be left out when there is only one",
    )
    metric: str = Field(
        description="what is measured of a run, such as test_accuracy", examples=["test_accuracy"]
    )
    target: Accuracy | None = Field(
        default=None, description="validation accuracy in (0, 1], for metrics that take one"
    )
    left: Partial = Field(default_factory=dict, description="left side: all arms with these values")
    right: Side = Field(
        default=None,
        description="right side: all arms with these values, or a number to hold left against",
    )
    given: Partial = Field(default_factory=dict, description="what both sides are restricted to")
    spread: str | None = Field(
        default=None, description="compare the spread of the metric over this axis"
    )
    trend: str | None = Field(
        default=None, description="the trend of the metric along this axis, for left"
    )
    expect: Annotated[
        Literal["less", "greater", "equal", "increasing", "decreasing"], OneOf("an expectation")
    ] = Field(
        description="less, greater or equal (left than right); increasing or decreasing (trend)",
        examples=["less"],
    )
    margin: Size | None = Field(
        default=None,
        description="in the metric's unit: less and greater by at least this much (0); equal "
        "means no further apart than this",
    )
    tolerance: Size | None = Field(
        default=None,
        description="beside a number: equal means no further from it than this, and less and "
        "greater may miss it by this much (0)",
    )
    required: bool = Field(
        default=False, description="with --strict, fail when the claim is not supported"
    )

    @property
    def shape(self) -> Shape:
        """What kind of claim it is: two sides, a side against a number, a spread or a trend."""
        if self.trend is not None:
            return "trend"
        if self.spread is not None:
            return "spread"
        return "sides" if isinstance(self.right, dict) else "number"

    @property
    def over(self) -> str | None:
        """The axis that a spread or a trend is taken over."""
        return self.spread if self.spread is not None else self.trend

    @property
    def signed_margin(self) -> float:
        """How far apart the sides must be, in the metric's unit; negative for a tolerance.

        For ``equal`` it is positive: how far apart they may be.
        """
        if self.tolerance is not None:
            return self.tolerance if self.expect == "equal" else -self.tolerance
        return self.margin or 0.0

    @model_validator(mode="after")
    def _shape_fits(self) -> Claim:
        refuse(_shape_faults(self), section="claim")
        return self


def _shape_faults(claim: Claim) -> Iterator[Fault]:
    trend, spread, right, expect = ("trend",), ("spread",), ("right",), ("expect",)
    is_ordered = claim.expect in ("increasing", "decreasing")
    if claim.trend is not None:
        if claim.spread is not None:
            yield Fault(trend, "a claim is about a spread or a trend, not both", None, (spread,))
        if not is_ordered:
            # Told of the trend: a missing expectation is made up as one for two sides.
            hint = "set expect to increasing or decreasing"
            yield Fault(trend, f"a trend is not {claim.expect}", hint, (expect,))
        if claim.right is not None:
            yield Fault(right, "a trend has one side", "leave right out", (trend,))
    elif is_ordered:
        hint = "allowed: less, greater, equal; or name the axis: trend: optim.lr"
        yield Fault(expect, f"{claim.expect} is for a trend", hint, (trend,))
    if claim.trend is None and claim.right is None:
        hint = "a partial arm, as in {model.norm.placement: none}, or a number"
        yield Fault(right, "this key is missing", hint, (trend,))
        return
    if claim.trend is None and claim.spread is not None:
        if isinstance(claim.right, float):
            what = f"a spread is compared with another one, not with {claim.right:g}"
            yield Fault(right, what, "as in {model.norm.placement: none}", (spread,))
        if claim.expect == "equal":
            what = "spreads are not compared for equality"
            yield Fault(expect, what, "allowed: less, greater", (spread,))
    yield from _tolerance_faults(claim)


def _tolerance_faults(claim: Claim) -> Iterator[Fault]:
    is_number = claim.shape == "number"
    key = "tolerance" if is_number else "margin"
    involves = (("right",), ("expect",), ("trend",), ("spread",))
    if not is_number and claim.tolerance is not None:
        what = "a tolerance goes with a number on the right"
        yield Fault(("tolerance",), what, "use margin", involves)
    elif is_number and claim.margin is not None and claim.tolerance is not None:
        what = "a claim has a margin or a tolerance, not both"
        yield Fault(("margin",), what, None, (("tolerance",),))
    elif is_number and claim.margin is not None and claim.expect == "equal":
        yield Fault(("margin",), "equality with a number has a tolerance", "use it", involves)
    elif claim.expect == "equal" and claim.spread is None and not getattr(claim, key):
        what = f"equal needs a {key} above 0: no data show that two things are exactly the same"
        other = ("margin" if is_number else "tolerance",)
        yield Fault((key,), what, "in the metric's unit, as in 0.005", (*involves, other))


EXPERIMENT_PATTERN = r"^[a-z0-9-]{1,40}$"
MAX_EXPERIMENTS = 200
MAX_CLAIMS = 1000


def _names_fit(experiments: dict[str, Any]) -> dict[str, Any]:
    faults = [
        Fault((name,), f"{shown_value(name)} cannot name an experiment", _name_hint(name))
        for name in experiments
        if not re.fullmatch(EXPERIMENT_PATTERN, name)
    ]
    refuse(faults, section="experiments")
    return experiments


def _name_hint(name: str) -> str:
    usable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    guess = f"; {usable} would do" if usable else ""
    return f"allowed: 1 to 40 lower-case letters, digits and '-'{guess}"


class Experiment(Section):
    """Arms that a study puts beside each other."""

    says: Annotated[str, Field(max_length=300), BeforeValidator(one_line)] = Field(
        default="", description="what is varied and what is held, in one line, for the report"
    )
    set: Partial = Field(
        default_factory=dict,
        description="keys that have another value than in base, for all arms",
    )
    over: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="axes: a list of values for each dotted key; the arms are all combinations. "
        "A mapping as a value replaces that whole section",
    )
    also: list[Partial] = Field(
        default_factory=list,
        description="further arms, each by the keys that it sets; without over, all the arms",
    )
    exclude: list[Partial] = Field(
        default_factory=list, description="combinations of over that are left out"
    )


class StudyConfig(Section):
    """A study: arms, seeds and claims, in one file."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: Name = Field(
        description="name of the study; its arms' names begin with it", examples=["notes"]
    )
    title: Line = Field(
        default_factory=lambda data: data["name"], description="title of the report, in one line"
    )
    base: Partial = Field(
        default_factory=dict,
        description="what all arms share: a config without name, seeds and targets",
    )
    seeds: Seeds = Field(
        description="how many networks to train of each arm (seeds 0, 1, ...), or a list of seeds",
        min_length=1,
        max_length=MAX_SEEDS,
        examples=[1],
    )
    targets: Targets = DEFAULT_TARGETS
    experiments: Annotated[dict[str, Experiment], AfterValidator(_names_fit)] = Field(
        description="arms to compare, by the name of the experiment",
        min_length=1,
        max_length=MAX_EXPERIMENTS,
    )
    claims: tuple[Claim, ...] = Field(
        default=(), strict=False, max_length=MAX_CLAIMS, description="what the runs are to decide"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_experiment_needs_no_naming(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        experiments, claims = data.get("experiments"), data.get("claims")
        if isinstance(experiments, dict) and len(experiments) == 1 and isinstance(claims, list):
            (name,) = experiments
            claims = list(claims)
            for place, claim in enumerate(claims):
                if isinstance(claim, dict) and claim.get("in") is None:
                    claims[place] = {**claim, "in": name}
            return {**data, "claims": claims}
        return data

    @model_validator(mode="after")
    def _ids_differ(self) -> StudyConfig:
        seen: set[str] = set()
        faults = []
        for index, claim in enumerate(self.claims):
            if claim.id in seen:
                what = f"{shown_value(claim.id)} is the id of an earlier claim too"
                faults.append(Fault(("claims", index, "id"), what, "each claim has its own id"))
            seen.add(claim.id)
        refuse(faults, section="study")
        return self
