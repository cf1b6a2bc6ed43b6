"""The study file: a base config, experiments that vary it, seeds, and claims to decide.

An experiment's arms are configs: the base, the experiment's ``set`` over it, and one value of each
axis of ``over`` over that (`bninit.config.expansion`). Claims speak of arms by the keys that tell
them apart (`bninit.config.sides`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bninit.config.claim import Claim, Line, Partial, one_line
from bninit.config.fields import NAME_PATTERN, Fault, Section, check_name, refuse
from bninit.config.schema import MAX_SEEDS, SCHEMA_VERSION, SchemaVersion, Seeds, Targets
from bninit.config.source import shown_value

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

    schema_version: SchemaVersion = Field(
        default=SCHEMA_VERSION,
        description="version of the meaning of these keys; written by bninit",
        json_schema_extra={"const": SCHEMA_VERSION},
    )
    name: Annotated[str, Field(pattern=NAME_PATTERN), BeforeValidator(check_name)] = Field(
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
    targets: Targets = Field(
        default=(0.95, 0.97, 0.98),
        max_length=100,
        description="validation accuracies in (0, 1]: how soon each is reached is reported",
    )
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
            name = next(iter(experiments))
            claims = [
                {**claim, "in": name}
                if isinstance(claim, dict) and claim.get("in") is None
                else claim
                for claim in claims
            ]
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
