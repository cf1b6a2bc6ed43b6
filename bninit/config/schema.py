"""The config's section on the network: widths, activation, normalization, initial values."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    Strict,
    model_validator,
)

from bninit.data.catalog import DATASETS, SCALES, Scale
from bninit.fields import (
    DEVICE_PATTERN,
    NAME_PATTERN,
    AlsoAccepts,
    Fault,
    OneOf,
    Section,
    check_device,
    check_name,
    fault,
    parameter_faults,
    refuse,
    shown_value,
    without_nulls,
)
from bninit.nets.activations import ACTIVATIONS
from bninit.nets.initialisers import ALIASES, SCHEMES

BIAS_PARAMETERS: dict[str, tuple[str, ...]] = {
    "zeros": (),
    "constant": ("value",),
    "normal": ("std",),
    "uniform": ("limit",),
    "torch_default": (),
}
"""The parameter that each scheme for biases needs."""

Positive = Annotated[float, Field(gt=0, le=1e6)]
Value = Annotated[float, Field(ge=-1e6, le=1e6)]
Width = Annotated[int, Field(ge=1, le=4096)]


class NormConfig(Section):
    """Batch normalization: where it stands and how it keeps its running statistics."""

    naming_key: ClassVar[str | None] = "placement"

    placement: Annotated[Literal["none", "pre", "post"], OneOf("a placement")] = Field(
        default="none",
        description="batch norm of hidden layers: none, pre (before the activation), post (after)",
    )
    input: bool = Field(default=False, description="batch norm on the input layer too")
    eps: float = Field(
        default=1e-5, gt=0, le=1, description="added to the variance before its root"
    )
    momentum: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="weight of the new batch in the running statistics (ema)",
    )
    affine: bool = Field(
        default=True, description="train gamma (from 1) and beta (from 0) for each unit"
    )
    running: Annotated[
        Literal["ema", "cumulative", "population"], OneOf("a way to keep running statistics")
    ] = Field(
        default="ema",
        description="running statistics: ema (moving average), cumulative (average of all "
        "batches) or population (recomputed over the training set)",
    )


class BiasConfig(Section):
    """Initial values of the linear layers' biases."""

    naming_key: ClassVar[str | None] = "scheme"

    scheme: Annotated[
        Literal["zeros", "constant", "normal", "uniform", "torch_default"],
        OneOf("a scheme for biases"),
    ] = Field(
        description="zeros, constant (value), normal (std), uniform (limit) or torch_default",
        examples=["zeros"],
    )
    value: Value | None = Field(default=None, description="constant: the value", examples=[0.1])
    std: Positive | None = Field(
        default=None, description="normal: standard deviation", examples=[0.01]
    )
    limit: Positive | None = Field(
        default=None, description="uniform: values lie in (-limit, limit)", examples=[0.1]
    )

    @model_validator(mode="after")
    def _parameters_fit(self) -> BiasConfig:
        needs = BIAS_PARAMETERS[self.scheme]
        parameters = {key: getattr(self, key) for key in ("value", "std", "limit")}
        faults = parameter_faults(
            parameters, naming_key="scheme", name=self.scheme, takes=needs, needs=needs
        )
        refuse(faults, section="bias")
        return self


class InitConfig(Section):
    """Initial values of the linear layers: the scheme for weights, and that for biases."""

    naming_key: ClassVar[str | None] = "scheme"

    scheme: Annotated[str, OneOf("a scheme", tuple(SCHEMES), aliases=tuple(ALIASES))] = Field(
        default="he_normal", description=f"law of the initial weights: {', '.join(SCHEMES)}"
    )
    gain: Positive = Field(
        default=1.0, description="factor on the scheme's standard deviation, limit or matrix"
    )
    std: Positive | None = Field(
        default=None, description="normal: standard deviation", examples=[0.01]
    )
    limit: Positive | None = Field(
        default=None, description="uniform: weights lie in (-limit, limit)", examples=[0.05]
    )
    value: Value | None = Field(default=None, description="constant: the value", examples=[0.5])
    truncated: bool = Field(
        default=False,
        description="normal laws: cut at 2 standard deviations, and rescaled to the law's",
    )
    bias: Annotated[
        BiasConfig, AlsoAccepts({"type": "number", "minimum": -1e6, "maximum": 1e6})
    ] = Field(
        default_factory=lambda data: BiasConfig(
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
    def _parameters_fit(self) -> InitConfig:
        scheme = SCHEMES[self.scheme]
        parameters = {key: getattr(self, key) for key in _INIT_PARAMETERS}
        faults = parameter_faults(
            parameters,
            naming_key="scheme",
            name=self.scheme,
            takes=scheme.takes,
            needs=scheme.needs,
            neutral={"gain": 1.0, "truncated": False},
        )
        refuse(faults, section="init")
        return self

    def applicable_keys(self) -> list[str]:
        """Return the keys that mean something to this scheme."""
        taken = SCHEMES[self.scheme].takes
        keys = super().applicable_keys()
        return [key for key in keys if key in taken or key not in _INIT_PARAMETERS]


_INIT_PARAMETERS = ("gain", "std", "limit", "value", "truncated")


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


class ModelConfig(Section):
    """A multi-layer perceptron."""

    hidden: Annotated[tuple[Width, ...], Strict(False)] = Field(
        default=(256, 256, 256),
        max_length=1000,
        description="units of each hidden layer, 1 to 4096; [] is softmax regression",
    )
    activation: Annotated[str, OneOf("an activation", tuple(ACTIVATIONS))] = Field(
        default="relu", description=f"after each hidden layer: {', '.join(ACTIVATIONS)}"
    )
    bias: bool = Field(
        default=True,
        description="linear layers have a bias (but where batch norm follows, it is redundant)",
    )
    norm: NormConfig = Field(default_factory=NormConfig, description="batch normalization")
    init: InitConfig = Field(default_factory=InitConfig, description="initial weights and biases")

    @property
    def has_norm(self) -> bool:
        """Whether any layer is batch-normalized."""
        return self.norm.input or self.norm.placement != "none"

    @model_validator(mode="after")
    def _norm_has_a_place(self) -> ModelConfig:
        if self.norm.placement != "none" and not self.hidden:
            what = f"{self.norm.placement} has no place: there are no hidden layers"
            hint = "set placement to none, input to true, or give hidden layers"
            involves = (("hidden",), ("norm", "input"))
            faults = [Fault(("norm", "placement"), what, hint, involves)]
            refuse(faults, section="model")
        return self


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


SCHEMA_VERSION: Final = 1
"""Raised when the meaning of a key changes, so that older runs are not taken for newer ones."""

MAX_SEED = 2**32 - 1
MAX_SEEDS = 10_000


def _version_is_known(value: int) -> int:
    if value == SCHEMA_VERSION:
        return value
    age = "a newer" if value > SCHEMA_VERSION else "an unknown"
    hint = f"this one reads {SCHEMA_VERSION}; leave the key out in a file of your own"
    raise fault(f"the file is of schema version {value}, from {age} bninit", hint)


def seeds_of_count(value: object) -> object:
    """Return the seeds 0 to n - 1 for a count n, and anything else as it is.

    Raises:
        pydantic_core.PydanticCustomError: A count out of range, or neither a count nor a list.
    """
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


def _not_percent(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        raise fault(f"{value} is above 1", f"accuracies are fractions: write {value / 100:g}")
    return value


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Seeds = Annotated[
    tuple[Seed, ...],
    Strict(False),
    AfterValidator(_all_different),
    BeforeValidator(seeds_of_count),
    AlsoAccepts({"type": "integer", "minimum": 1, "maximum": MAX_SEEDS}),
]
Accuracy = Annotated[float, Field(gt=0, le=1), BeforeValidator(_not_percent)]
Targets = Annotated[
    tuple[Accuracy, ...],
    Strict(False),
    AfterValidator(lambda targets: tuple(sorted(set(targets)))),
]
SchemaVersion = Annotated[int, AfterValidator(_version_is_known)]


_VAL_SIZES = ", ".join(f"{each.name} {each.default_val_size}" for each in DATASETS.values())


class DataConfig(Section):
    """The images."""

    naming_key: ClassVar[str | None] = "name"

    name: Annotated[str, OneOf("a data set", tuple(DATASETS))] = Field(
        default=next(iter(DATASETS)), description=f"data set: {', '.join(DATASETS)}"
    )
    scale: Annotated[Scale, OneOf("a scale", SCALES)] = Field(
        default="unit",
        description="pixels: unit (0 to 1), raw (0 to 255) or standardize (mean 0, variance 1)",
    )
    val_size: int = Field(
        default_factory=lambda data: DATASETS[data["name"]].default_val_size,
        ge=1,
        description=f"images split off the training part for validation (default {_VAL_SIZES})",
    )

    @property
    def num_train(self) -> int:
        """Images to train on, those for validation taken off."""
        return DATASETS[self.name].num_train - self.val_size

    @model_validator(mode="after")
    def _leaves_training_images(self) -> DataConfig:
        if self.num_train < 1:
            total = DATASETS[self.name].num_train
            what = f"{self.val_size} images for validation leave none to train on"
            hint = f"at most {total - 1} of the {total} images of {self.name}"
            refuse([Fault(("val_size",), what, hint, (("name",),))], section="data")
        return self


class TrainConfig(Section):
    """How long, in which batches, with which seeds and where to train."""

    epochs: int = Field(default=10, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(default=128, ge=1, le=60_000, description="images per iteration")
    seeds: Seeds = Field(
        default=(0,),
        min_length=1,
        max_length=MAX_SEEDS,
        description="how many networks to train (seeds 0, 1, ...), or a list of seeds",
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN), BeforeValidator(check_device)] = Field(
        default="auto", description="auto (a GPU if there is one), cpu, cuda or cuda:N"
    )
    last_batch: Annotated[Literal["drop", "keep"], OneOf("a way with the last batch")] = Field(
        default="drop",
        description="the smaller batch that may be left at an epoch's end: drop or keep",
    )
    precision: Annotated[Literal["float32", "float64", "bf16", "tf32"], OneOf("a precision")] = (
        Field(
            default="float32",
            description="float32 or float64 arithmetic; bf16 or tf32 (on a GPU): float32, "
            "but for the factors of matrix products",
        )
    )
    tensorboard: bool = Field(
        default=False, description="write TensorBoard's event files beside each run"
    )


class Config(Section):
    """One training, fully resolved."""

    schema_version: SchemaVersion = Field(
        default=SCHEMA_VERSION,
        description="version of the meaning of these keys; written by bninit",
        json_schema_extra={"const": SCHEMA_VERSION},
    )
    name: Annotated[str, Field(pattern=NAME_PATTERN), BeforeValidator(check_name)] = Field(
        description="name of the runs folder", examples=["bn-pre"]
    )
    data: DataConfig = Field(default_factory=DataConfig, description="the images")
    model: ModelConfig = Field(default_factory=ModelConfig, description="the network")
    optim: OptimConfig = Field(default_factory=OptimConfig, description="the optimiser")
    train: TrainConfig = Field(default_factory=TrainConfig, description="the training")
    probes: Annotated[ProbesConfig, AlsoAccepts({"type": "boolean"})] = Field(
        default_factory=ProbesConfig,
        description="what is measured inside the networks; true or false is short for {enabled: "
        "...}",
    )
    targets: Targets = Field(
        default=(0.95, 0.97, 0.98),
        max_length=100,
        description="validation accuracies in (0, 1]: how soon each is reached is reported",
    )

    @property
    def iterations_per_epoch(self) -> int:
        """Batches per epoch: rounded down with ``last_batch: drop``, up with ``keep``."""
        num_full, rest = divmod(self.data.num_train, self.train.batch_size)
        return num_full + (1 if rest and self.train.last_batch == "keep" else 0)

    @model_validator(mode="before")
    @classmethod
    def _unfold_probes(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("probes"), bool):
            return {**data, "probes": {"enabled": data["probes"]}}
        return data

    @model_validator(mode="after")
    def _batches_fit(self) -> Config:
        refuse(_batch_faults(self), section="config")
        return self


def _batch_faults(config: Config) -> list[Fault]:
    key = ("train", "batch_size")
    size, num_train = config.train.batch_size, config.data.num_train
    data_keys = (("data", "name"), ("data", "val_size"))
    norm_keys = (("model", "norm", "placement"), ("model", "norm", "input"))
    if size > num_train:
        what = f"a batch of {size} is more than the {num_train} training images"
        hint = (
            f"at most {num_train} ({config.data.name} less {config.data.val_size} for validation)"
        )
        return [Fault(key, what, hint, data_keys)]
    if not config.model.has_norm:
        return []
    if size == 1:
        what = "batch norm cannot normalize over a batch of 1"
        return [Fault(key, what, "at least 2 with batch norm", norm_keys)]
    if config.train.last_batch == "keep" and num_train % size == 1:
        what = f"keep leaves a last batch of 1 ({num_train} images in batches of {size}), "
        what += "which batch norm cannot normalize over"
        hint = "set last_batch to drop, or change batch_size or val_size"
        involves = (key, *data_keys, *norm_keys)
        return [Fault(("train", "last_batch"), what, hint, involves)]
    return []


def leaf_values(section: Section) -> dict[str, Any]:
    """Return the keys that mean something, resolved, as plain nested values.

    Lists are lists, numbers are numbers, and keys that are None or belong to another scheme,
    optimiser or schedule are left out.
    """
    values: dict[str, Any] = {}
    for key in section.applicable_keys():
        value = getattr(section, key)
        if isinstance(value, Section):
            value = leaf_values(value)
        elif isinstance(value, tuple):
            value = list(value)
        values[key] = value
    return values
