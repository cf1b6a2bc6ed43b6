"""Settings of a training: optimiser, learning-rate schedule, seeds, batches and probes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from bninit.fields import (
    AlsoAccepts,
    Fault,
    OneOf,
    OneSectionOf,
    Section,
    fault,
    nearest,
    refuse,
    shown_value,
    without_nulls,
)

if TYPE_CHECKING:
    import torch

Decay = Annotated[float, Field(ge=0, lt=1)]


class ConstantSchedule(Section):
    """One learning rate for all epochs."""

    name: Literal["constant"] = Field(
        "constant",
        description="constant, step (by a factor every few epochs) or cosine (down to min_lr)",
    )


class StepSchedule(Section):
    """The learning rate is multiplied by a factor every few epochs."""

    name: Literal["step"] = Field("step", description="step: by a factor every few epochs")
    step_epochs: int = Field(
        ge=1, le=100_000, description="step: epochs between two steps", examples=[5]
    )
    factor: float = Field(
        0.1, gt=0, le=1, description="step: factor on the learning rate at each step (default 0.1)"
    )


class CosineSchedule(Section):
    """The learning rate falls along half a cosine."""

    name: Literal["cosine"] = Field("cosine", description="cosine: down to min_lr")
    min_lr: float = Field(
        0.0, ge=0, le=1e4, description="cosine: learning rate at the end (default 0.0)"
    )


Schedule: TypeAlias = ConstantSchedule | StepSchedule | CosineSchedule


def _unfold_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


LearningRate = Annotated[
    float,
    Field(
        gt=0, le=1e4, description="learning rate (default 0.1 for sgd, 0.001 for adam and adamw)"
    ),
]
WeightDecay = Annotated[
    float,
    Field(
        ge=0,
        le=1e3,
        description="weight decay (default 0.0; 0.01 for adamw, whose decay is decoupled)",
    ),
]
Betas = Annotated[
    tuple[Decay, Decay],
    Strict(False),
    Field(description="adam, adamw: decay of the two moving averages (default [0.9, 0.999])"),
]
Eps = Annotated[
    float, Field(gt=0, le=1, description="adam, adamw: added to the denominator (default 1.0e-8)")
]
AnySchedule = Annotated[
    Schedule,
    OneSectionOf("a schedule"),
    BeforeValidator(_unfold_name),
    AlsoAccepts({"enum": ["constant", "cosine"], "type": "string"}),
    Field(description="how the learning rate changes; a name alone is short for {name: ...}"),
]


class SGDSettings(Section):
    """Stochastic gradient descent with momentum; the decay is part of the gradient (L2)."""

    name: Literal["sgd"] = Field("sgd", description="sgd, adam or adamw")
    lr: LearningRate = 0.1
    momentum: Decay = Field(0.9, description="sgd: momentum (default 0.9)")
    nesterov: bool = Field(False, description="sgd: Nesterov's variant of momentum")
    weight_decay: WeightDecay = 0.0
    schedule: AnySchedule = ConstantSchedule()

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGDSettings:
        if self.nesterov and not self.momentum:
            what = "Nesterov's variant needs momentum, which is 0"
            hint = "set momentum above 0, or nesterov to false"
            involves = (("momentum",), ("name",))
            refuse([Fault(("nesterov",), what, hint, involves)], section="optim")
        return self


class AdamSettings(Section):
    """Adam; the decay is part of the gradient (L2)."""

    name: Literal["adam"] = Field("adam", description="adam: the decay is L2")
    lr: LearningRate = 0.001
    weight_decay: WeightDecay = 0.0
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    schedule: AnySchedule = ConstantSchedule()


class AdamWSettings(Section):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"] = Field("adamw", description="adamw: the decay is decoupled")
    lr: LearningRate = 0.001
    weight_decay: WeightDecay = 0.01
    betas: Betas = (0.9, 0.999)
    eps: Eps = 1e-8
    schedule: AnySchedule = ConstantSchedule()


Optimiser: TypeAlias = SGDSettings | AdamSettings | AdamWSettings


def _last_rate_fits(optimiser: Optimiser) -> Optimiser:
    schedule = optimiser.schedule
    if isinstance(schedule, CosineSchedule) and schedule.min_lr > optimiser.lr:
        what = f"the lowest learning rate {schedule.min_lr} is above the first, lr {optimiser.lr}"
        involves = (("lr",), ("name",), ("schedule", "name"))
        refuse([Fault(("schedule", "min_lr"), what, "at most lr", involves)], section="optim")
    return optimiser


AnyOptimiser = Annotated[
    Optimiser,
    OneSectionOf("an optimiser", neutral={"nesterov": False}),
    AfterValidator(_last_rate_fits),
    Field(description="the optimiser"),
]


DEFAULT_GROUPS: Final = ("signals", "gradients", "units", "batch_norm")

GROUPS: Final = (*DEFAULT_GROUPS, "landscape")
"""Groups of probes, the keys of `bninit.training.probes.PROBES`.

The last takes the time of several training steps, and is taken only where it is named.
"""


def _each_once(groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(group for group in GROUPS if group in groups)


class ProbeSettings(Section):
    """Probes inside the networks during training, which change nothing in them."""

    enabled: bool = Field(
        False,
        description="measure signals, gradients and batch norm inside the network while it "
        "trains; `probes: true` is short for it, and any other key here implies it",
    )
    groups: Annotated[
        tuple[Annotated[str, OneOf("a group of probes", GROUPS)], ...],
        Strict(False),
        AfterValidator(_each_once),
    ] = Field(
        DEFAULT_GROUPS,
        min_length=1,
        description=f"what is measured: {', '.join(DEFAULT_GROUPS)}; and landscape (the loss along "
        "the gradient, which takes the time of about 10 steps) where it is named",
    )
    batch_size: int = Field(
        128, ge=2, le=4096, description="training images (the first ones) on which it is measured"
    )
    steps_per_doubling: int = Field(
        1,
        ge=0,
        le=16,
        description="how often between two epochs: 1 for steps 1, 2, 4, 8, ..., more for steps "
        "between them, 0 for epochs alone",
    )
    units: int = Field(
        3, ge=0, le=16, description="units of each layer whose percentiles are followed one by one"
    )

    @model_validator(mode="before")
    @classmethod
    def _other_keys_imply_enabled(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = without_nulls(data, cls.model_fields)
            return {"enabled": True, **data} if data else data
        return data


MAX_SEED: Final = 2**32 - 1
MAX_SEEDS: Final = 10_000


def _seeds_of_count(value: object) -> object:
    """Return the seeds 0 to n - 1 for a count n, and a list as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value <= MAX_SEEDS:
            return tuple(range(value))
        what = f"{shown_value(value)} seeds cannot be trained"
        raise fault(what, f"allowed: a count from 1 to {MAX_SEEDS}, or a list such as [0, 3, 7]")
    if not isinstance(value, list | tuple):
        raise fault(f"{shown_value(value)} is neither a count nor a list", "as in 5, or [0, 3, 7]")
    return value


def _all_different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    seen: set[int] = set()
    for seed in seeds:
        if seed in seen:
            raise fault(f"seed {seed} is given twice", "each seed trains one network")
        seen.add(seed)
    return seeds


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Seeds = Annotated[
    tuple[Seed, ...],
    Strict(False),
    AfterValidator(_all_different),
    BeforeValidator(_seeds_of_count),
    AlsoAccepts({"type": "integer", "minimum": 1, "maximum": MAX_SEEDS}),
]

DEVICE_PATTERN: Final = r"^(auto|cpu|cuda(:(0|[1-9][0-9]?))?)$"


def _check_device(value: object) -> object:
    """Return ``auto`` or a device's name as torch takes it, and anything but text as it is."""
    if not isinstance(value, str) or re.fullmatch(DEVICE_PATTERN, value):
        return value
    found = nearest(value, ("auto", "cpu", "cuda"))
    guess = f"did you mean {found}? " if found else ""
    what = f"{shown_value(value)} is not a device"
    raise fault(what, f"{guess}allowed: auto, cpu, cuda, cuda:N (N from 0 to 99)")


class TrainSettings(Section):
    """Epochs, batches, seeds and device of a training."""

    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(128, ge=1, le=60_000, description="images per iteration")
    seeds: Seeds = Field(
        (0,),
        min_length=1,
        max_length=MAX_SEEDS,
        description="how many networks to train (seeds 0, 1, ...), or a list of seeds",
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN), BeforeValidator(_check_device)] = Field(
        "auto", description="auto (a GPU if there is one), cpu, cuda or cuda:N"
    )
    last_batch: Annotated[Literal["drop", "keep"], OneOf("a way with the last batch")] = Field(
        "drop", description="the smaller batch that may be left at an epoch's end: drop or keep"
    )
    precision: Annotated[Literal["float32", "float64", "bf16", "tf32"], OneOf("a precision")] = (
        Field(
            "float32",
            description="float32 or float64 arithmetic; bf16 or tf32 (on a GPU): float32, "
            "but for the factors of matrix products",
        )
    )
    tensorboard: bool = Field(False, description="write TensorBoard's event files beside each run")

    @property
    def number(self) -> Literal["float32", "float64"]:
        """Type of parameters, signals and data, as torch and NumPy name it."""
        return "float64" if self.precision == "float64" else "float32"

    @property
    def dtype(self) -> torch.dtype:
        """The same as torch's; imports torch."""
        import torch

        return torch.float64 if self.number == "float64" else torch.float32

    @property
    def products(self) -> str:
        """Rounding of the factors of products; see `bninit.nets.products.PRECISIONS`."""
        return self.precision if self.precision in ("bf16", "tf32") else "full"
