"""A claim: a sentence with a metric, two sides and an expectation, for the runs to decide."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from bninit.config.fields import Fault, OneOf, Section, fault, refuse
from bninit.config.schema import Accuracy
from bninit.config.source import shown_value

Shape = Literal["sides", "number", "spread", "trend"]


class TakesTarget(Protocol):
    """What the check of a claim has to know of a metric."""

    @property
    def needs_target(self) -> bool:
        """Whether the metric takes a target accuracy."""

    @property
    def probes(self) -> str | None:
        """The group of probes that it is read from; None for what every run keeps."""


@dataclass(frozen=True)
class MetricInfo:
    """The least that is known of a metric; an entry of the table of metrics will do as well.

    Attributes:
        needs_target: Whether the metric takes a target accuracy.
        probes: The group of probes that it is read from; None for what every run keeps.
    """

    needs_target: bool = False
    probes: str | None = None


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

Side = Annotated[
    dict[str, Any] | float | None,
    PlainValidator(_check_side),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "number"}]}),
]
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
    trend, spread, right = ("trend",), ("spread",), ("right",)
    is_ordered = claim.expect in ("increasing", "decreasing")
    if claim.trend is not None:
        if claim.spread is not None:
            yield Fault(trend, "a claim is about a spread or a trend, not both", None, (spread,))
        if not is_ordered:
            # Told of the trend: a missing expectation is made up as one for two sides.
            what = f"a trend is not {claim.expect}"
            hint = "set expect to increasing or decreasing"
            yield Fault(trend, what, hint, (("expect",),))
        if claim.right is not None:
            yield Fault(right, "a trend has one side", "leave right out", (trend,))
        yield from _tolerance_faults(claim)
        return
    if is_ordered:
        hint = "allowed: less, greater, equal; or name the axis: trend: optim.lr"
        yield Fault(("expect",), f"{claim.expect} is for a trend", hint, (trend,))
    if claim.right is None:
        hint = "a partial arm, as in {model.norm.placement: none}, or a number"
        yield Fault(right, "this key is missing", hint, (trend,))
        return
    if claim.spread is not None:
        if not isinstance(claim.right, dict):
            what = f"a spread is compared with another one, not with {claim.right:g}"
            yield Fault(right, what, "as in {model.norm.placement: none}", (spread,))
        if claim.expect == "equal":
            what = "spreads are not compared for equality"
            yield Fault(("expect",), what, "allowed: less, greater", (spread,))
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
