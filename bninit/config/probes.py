"""The config's section on probes: what is measured inside the networks while they train."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, Strict, model_validator

from bninit.config.fields import OneOf, Section, without_nulls

DEFAULT_GROUPS: Final = ("signals", "gradients", "units", "batch_norm")

GROUPS: Final = (*DEFAULT_GROUPS, "landscape")
"""Groups of probes, the keys of `bninit.training.probes.PROBES`.

The last takes the time of several training steps, and is taken only where it is named.
"""


def _each_once(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if group in groups)


class ProbesConfig(Section):
    """What is measured inside the networks while they train; it changes nothing in them."""

    enabled: bool = Field(
        default=False,
        description="measure signals, gradients and batch norm inside the network while it "
        "trains; `probes: true` is short for it, and any other key here implies it",
    )
    groups: Annotated[
        tuple[Annotated[str, OneOf("a group of probes", GROUPS)], ...],
        Strict(False),
        AfterValidator(_each_once),
    ] = Field(
        default=DEFAULT_GROUPS,
        min_length=1,
        description=f"what is measured: {', '.join(DEFAULT_GROUPS)}; and landscape (the loss along "
        "the gradient, which takes the time of about 10 steps) where it is named",
    )
    batch_size: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="training images (the first ones) on which it is measured",
    )
    steps_per_doubling: int = Field(
        default=1,
        ge=0,
        le=16,
        description="how often between two epochs: 1 for steps 1, 2, 4, 8, ..., more for steps "
        "between them, 0 for epochs alone",
    )
    units: int = Field(
        default=3,
        ge=0,
        le=16,
        description="units of each layer whose percentiles are followed one by one",
    )

    @model_validator(mode="before")
    @classmethod
    def _other_keys_imply_enabled(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = without_nulls(data, cls.model_fields)
            return {"enabled": True, **data} if data else data
        return data
