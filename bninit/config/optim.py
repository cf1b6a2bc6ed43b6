"""The config's section on the optimiser and its learning-rate schedule."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict, model_validator

from bninit.config.fields import AlsoAccepts, Fault, OneOf, Section, parameter_faults, refuse

OPTIMISERS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    "adam": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
    "adamw": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
}
"""The parameters that each optimiser takes, with their defaults."""

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"step_epochs": None, "factor": 0.1},
    "cosine": {"min_lr": 0.0},
}
"""The parameters that each schedule takes, with their defaults; None where one must be given."""

_OPTIMISER_KEYS = ("lr", "momentum", "nesterov", "weight_decay", "betas", "eps")
_SCHEDULE_KEYS = ("step_epochs", "factor", "min_lr")

Decay = Annotated[float, Field(ge=0, lt=1)]


class ScheduleConfig(Section):
    """How the learning rate changes over the epochs."""

    naming_key: ClassVar[str | None] = "name"

    name: Annotated[Literal["constant", "step", "cosine"], OneOf("a schedule")] = Field(
        default="constant",
        description="constant, step (by a factor every few epochs) or cosine (down to min_lr)",
    )
    step_epochs: int | None = Field(
        default=None, ge=1, le=100_000, description="step: epochs between two steps", examples=[5]
    )
    factor: float | None = Field(
        default_factory=lambda data: SCHEDULES[data["name"]].get("factor"),
        gt=0,
        le=1,
        description="step: factor on the learning rate at each step (default 0.1)",
        examples=[0.1],
    )
    min_lr: float | None = Field(
        default_factory=lambda data: SCHEDULES[data["name"]].get("min_lr"),
        ge=0,
        le=1e4,
        description="cosine: learning rate at the end (default 0.0)",
        examples=[0.0],
    )

    @model_validator(mode="after")
    def _parameters_fit(self) -> ScheduleConfig:
        takes = SCHEDULES[self.name]
        faults = parameter_faults(
            {key: getattr(self, key) for key in _SCHEDULE_KEYS},
            naming_key="name",
            name=self.name,
            takes=takes,
            needs=[key for key, default in takes.items() if default is None],
        )
        refuse(faults, section="schedule")
        return self


class OptimConfig(Section):
    """The optimiser and its parameters."""

    naming_key: ClassVar[str | None] = "name"

    name: Annotated[Literal["sgd", "adam", "adamw"], OneOf("an optimiser")] = Field(
        default="sgd", description="sgd, adam or adamw"
    )
    lr: float = Field(
        default_factory=lambda data: OPTIMISERS[data["name"]]["lr"],
        gt=0,
        le=1e4,
        description="learning rate (default 0.1 for sgd, 0.001 for adam and adamw)",
    )
    momentum: Decay | None = Field(
        default_factory=lambda data: OPTIMISERS[data["name"]].get("momentum"),
        description="sgd: momentum (default 0.9)",
        examples=[0.9],
    )
    nesterov: bool = Field(default=False, description="sgd: Nesterov's variant of momentum")
    weight_decay: float = Field(
        default_factory=lambda data: OPTIMISERS[data["name"]]["weight_decay"],
        ge=0,
        le=1e3,
        description="weight decay (default 0.0; 0.01 for adamw, whose decay is decoupled)",
    )
    betas: Annotated[tuple[Decay, Decay], Strict(False)] | None = Field(
        default_factory=lambda data: OPTIMISERS[data["name"]].get("betas"),
        description="adam, adamw: decay of the two moving averages (default [0.9, 0.999])",
        examples=[[0.9, 0.999]],
    )
    eps: float | None = Field(
        default_factory=lambda data: OPTIMISERS[data["name"]].get("eps"),
        gt=0,
        le=1,
        description="adam, adamw: added to the denominator (default 1.0e-8)",
        examples=[1e-8],
    )
    schedule: Annotated[
        ScheduleConfig, AlsoAccepts({"enum": ["constant", "cosine"], "type": "string"})
    ] = Field(
        default_factory=ScheduleConfig,
        description="how the learning rate changes; a name alone is short for {name: ...}",
    )

    @model_validator(mode="before")
    @classmethod
    def _unfold_schedule(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("schedule"), str):
            return {**data, "schedule": {"name": data["schedule"]}}
        return data

    @model_validator(mode="after")
    def _parameters_fit(self) -> OptimConfig:
        faults = parameter_faults(
            {key: getattr(self, key) for key in _OPTIMISER_KEYS},
            naming_key="name",
            name=self.name,
            takes=OPTIMISERS[self.name],
            neutral={"nesterov": False},
        )
        if self.name == "sgd" and self.nesterov and not self.momentum:
            what = "Nesterov's variant needs momentum, which is 0"
            hint = "set momentum above 0, or nesterov to false"
            faults.append(Fault(("nesterov",), what, hint, (("momentum",), ("name",))))
        min_lr = self.schedule.min_lr
        if min_lr is not None and min_lr > self.lr:
            what = f"the lowest learning rate {min_lr} is above the first, lr {self.lr}"
            involves = (("lr",), ("name",), ("schedule", "name"))
            faults.append(Fault(("schedule", "min_lr"), what, "at most lr", involves))
        refuse(faults, section="optim")
        return self

    def applicable_keys(self) -> list[str]:
        """Return the keys that mean something to this optimiser."""
        taken = OPTIMISERS[self.name]
        keys = super().applicable_keys()
        return [key for key in keys if key in taken or key not in _OPTIMISER_KEYS]
