"""Settings of a network: widths, activation, normalization and initial values."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, model_validator

from bninit.fields import (
    AlsoAccepts,
    Fault,
    OneOf,
    Section,
    parameter_faults,
    refuse,
    shown_value,
    without_nulls,
)
from bninit.nets.activations import ACTIVATIONS
from bninit.nets.initialisers import ALIASES, BIAS_SCHEMES, PARAMETERS, SCHEMES

Positive = Annotated[float, Field(gt=0, le=1e6)]
Value = Annotated[float, Field(ge=-1e6, le=1e6)]
Width = Annotated[int, Field(ge=1, le=4096)]


class NormSettings(Section):
    """Batch normalization: its place in the network, and its running statistics."""

    kind: ClassVar[str] = "batch"
    """A key of `bninit.nets.norm.NORMS`."""

    placement: Annotated[Literal["none", "pre", "post"], OneOf("a placement")] = Field(
        "none",
        description="batch norm of hidden layers: none, pre (before the activation), post (after)",
    )
    input: bool = Field(False, description="batch norm on the input layer too")
    eps: float = Field(1e-5, gt=0, le=1, description="added to the variance before its root")
    momentum: float = Field(
        0.1, gt=0, le=1, description="weight of the new batch in the running statistics (ema)"
    )
    affine: bool = Field(True, description="train gamma (from 1) and beta (from 0) for each unit")
    running: Annotated[
        Literal["ema", "cumulative", "population"], OneOf("a way to keep running statistics")
    ] = Field(
        "ema",
        description="running statistics: ema (moving average), cumulative (average of all "
        "batches) or population (recomputed over the training set)",
    )


class BiasSettings(Section):
    """Initial biases of the linear layers."""

    scheme: Annotated[
        Literal["zeros", "constant", "normal", "uniform", "torch_default"],
        OneOf("a scheme for biases"),
    ] = Field(
        description="zeros, constant (value), normal (std), uniform (limit) or torch_default",
        examples=["zeros"],
    )
    value: Value | None = Field(None, description="constant: the value", examples=[0.1])
    std: Positive | None = Field(None, description="normal: standard deviation", examples=[0.01])
    limit: Positive | None = Field(
        None, description="uniform: values lie in (-limit, limit)", examples=[0.1]
    )

    @model_validator(mode="after")
    def _parameters_fit(self) -> BiasSettings:
        needs = BIAS_SCHEMES[self.scheme].needs
        parameters = {key: getattr(self, key) for key in ("value", "std", "limit")}
        faults = parameter_faults(
            parameters, naming_key="scheme", name=self.scheme, takes=needs, needs=needs
        )
        refuse(faults, section="bias")
        return self


class InitSettings(Section):
    """Initial weights and biases of the linear layers."""

    scheme: Annotated[str, OneOf("a scheme", tuple(SCHEMES), aliases=tuple(ALIASES))] = Field(
        "he_normal", description=f"law of the initial weights: {', '.join(SCHEMES)}"
    )
    gain: Positive = Field(
        1.0, description="factor on the scheme's standard deviation, limit or matrix"
    )
    std: Positive | None = Field(None, description="normal: standard deviation", examples=[0.01])
    limit: Positive | None = Field(
        None, description="uniform: weights lie in (-limit, limit)", examples=[0.05]
    )
    value: Value | None = Field(None, description="constant: the value", examples=[0.5])
    truncated: bool = Field(
        False, description="normal laws: cut at 2 standard deviations, and rescaled to the law's"
    )
    bias: Annotated[
        BiasSettings, AlsoAccepts({"type": "number", "minimum": -1e6, "maximum": 1e6})
    ] = Field(
        default_factory=lambda data: BiasSettings(
            scheme="torch_default" if data["scheme"] == "torch_default" else "zeros"
        ),
        description="law of the initial biases; a number is short for that constant",
    )

    @model_validator(mode="before")
    @classmethod
    def _unfold_short_forms(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = without_nulls(data, cls.model_fields)
        bias = data.get("bias")
        if isinstance(bias, int | float) and not isinstance(bias, bool):
            data["bias"] = {"scheme": "constant", "value": bias}
        alias = data.get("scheme")
        if isinstance(alias, str) and alias in ALIASES:
            data["scheme"], parameters = ALIASES[alias]
            refuse(_alias_faults(alias, data), section="init")
            data |= parameters
        return data

    @model_validator(mode="after")
    def _parameters_fit(self) -> InitSettings:
        scheme = SCHEMES[self.scheme]
        parameters = {key: getattr(self, key) for key in PARAMETERS}
        faults = parameter_faults(
            parameters,
            naming_key="scheme",
            name=self.scheme,
            takes=scheme.takes,
            needs=scheme.needs,
            neutral={key: value for key, value in PARAMETERS.items() if value is not None},
        )
        refuse(faults, section="init")
        return self

    def applicable_keys(self) -> list[str]:
        """Return the keys that this scheme takes."""
        taken = SCHEMES[self.scheme].takes
        keys = super().applicable_keys()
        return [key for key in keys if key in taken or key not in PARAMETERS]


def _alias_faults(alias: str, data: dict[str, Any]) -> list[Fault]:
    canonical, parameters = ALIASES[alias]
    return [
        Fault(
            (key,),
            f"{alias} means {canonical} with {key} {value}, but {shown_value(data[key])} is given",
            f"leave {key} out, or name the scheme {canonical}",
            involves=(("scheme",),),
            can_be_unset=True,
        )
        for key, value in parameters.items()
        if key in data and data[key] != value
    ]


class ModelSettings(Section):
    """A multi-layer perceptron."""

    hidden: Annotated[tuple[Width, ...], Strict(False)] = Field(
        (256, 256, 256),
        max_length=1000,
        description="units of each hidden layer, 1 to 4096; [] is softmax regression",
    )
    activation: Annotated[str, OneOf("an activation", tuple(ACTIVATIONS))] = Field(
        "relu", description=f"after each hidden layer: {', '.join(ACTIVATIONS)}"
    )
    bias: bool = Field(
        True,
        description="linear layers have a bias (but where batch norm follows, it is redundant)",
    )
    norm: NormSettings = Field(default_factory=NormSettings, description="batch normalization")
    init: InitSettings = Field(
        default_factory=InitSettings, description="initial weights and biases"
    )

    @property
    def has_norm(self) -> bool:
        """Whether any layer is batch-normalized."""
        return self.norm.input or self.norm.placement != "none"

    @model_validator(mode="after")
    def _norm_has_a_place(self) -> ModelSettings:
        if self.norm.placement != "none" and not self.hidden:
            what = f"{self.norm.placement} has no place: there are no hidden layers"
            hint = "set placement to none, input to true, or give hidden layers"
            involves = (("hidden",), ("norm", "input"))
            faults = [Fault(("norm", "placement"), what, hint, involves)]
            refuse(faults, section="model")
        return self
