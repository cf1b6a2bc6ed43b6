"""The config: what one training is asked to be, every key resolved.

A `Config` that exists is whole and consistent: defaults that depend on other keys are filled in,
aliases and short forms have become what they stand for, and every key fits the others. A key
that is None has no meaning beside the others (``momentum`` with Adam, ``std`` with He's scheme).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from bninit.config.fields import (
    DEVICE_PATTERN,
    NAME_PATTERN,
    AlsoAccepts,
    Fault,
    OneOf,
    Section,
    check_device,
    check_name,
    fault,
    refuse,
)
from bninit.config.model import ModelConfig
from bninit.config.optim import OptimConfig
from bninit.config.probes import ProbesConfig
from bninit.config.source import shown_value
from bninit.data.catalog import DATASETS, SCALES, Scale

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
