"""A config: the settings of data, network, optimiser, training and probes, composed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from bninit.data.catalog import DATASETS
from bninit.data.settings import DataSettings
from bninit.fields import AlsoAccepts, Fault, Section, fault, refuse, shown_value
from bninit.nets.architecture import Architecture
from bninit.nets.settings import ModelSettings
from bninit.training.settings import AnyOptimiser, ProbeSettings, SGDSettings, TrainSettings

SCHEMA_VERSION: Final = 1
"""Raised when the meaning of a key changes, so that older runs are not taken for newer ones."""

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def _version_is_known(value: int) -> int:
    if value == SCHEMA_VERSION:
        return value
    age = "a newer" if value > SCHEMA_VERSION else "an unknown"
    hint = f"this one reads {SCHEMA_VERSION}; leave the key out in a file of your own"
    raise fault(f"the file is of schema version {value}, from {age} bninit", hint)


def _check_name(value: object) -> object:
    """Return a name that is fit for a folder, and anything but text as it is."""
    if not isinstance(value, str) or re.fullmatch(NAME_PATTERN, value):
        return value
    usable = re.sub(r"[^A-Za-z0-9._-]+", "-", value).lstrip("._-")[:64]
    guess = f"; {usable} would do" if re.search("[A-Za-z0-9]", usable) else ""
    raise fault(
        f"{shown_value(value)} cannot name a run",
        f"allowed: 1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit{guess}",
    )


def _not_percent(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        raise fault(f"{value} is above 1", f"accuracies are fractions: write {value / 100:g}")
    return value


SchemaVersion = Annotated[
    int,
    AfterValidator(_version_is_known),
    Field(
        description="version of the meaning of these keys; written by bninit",
        json_schema_extra={"const": SCHEMA_VERSION},
    ),
]
Name = Annotated[str, Field(pattern=NAME_PATTERN), BeforeValidator(_check_name)]
Accuracy = Annotated[float, Field(gt=0, le=1), BeforeValidator(_not_percent)]
Targets = Annotated[
    tuple[Accuracy, ...],
    Strict(False),
    AfterValidator(lambda targets: tuple(sorted(set(targets)))),
    Field(
        max_length=100,
        description="validation accuracies in (0, 1]: how soon each is reached is reported",
    ),
]
DEFAULT_TARGETS: Final = (0.95, 0.97, 0.98)


class Config(Section):
    """One training, fully resolved."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    name: Name = Field(description="name of the runs folder", examples=["bn-pre"])
    data: DataSettings = Field(default_factory=DataSettings, description="the images")
    model: ModelSettings = Field(default_factory=ModelSettings, description="the network")
    optim: AnyOptimiser = SGDSettings()
    train: TrainSettings = Field(default_factory=TrainSettings, description="the training")
    probes: Annotated[ProbeSettings, AlsoAccepts({"type": "boolean"})] = Field(
        default_factory=ProbeSettings,
        description="what is measured inside the networks; true or false is short for {enabled: "
        "...}",
    )
    targets: Targets = DEFAULT_TARGETS

    @property
    def architecture(self) -> Architecture:
        """The shape of the networks."""
        dataset = DATASETS[self.data.name]
        return Architecture(
            num_inputs=dataset.num_features, num_classes=dataset.num_classes, model=self.model
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
    """Return the keys that play a part, resolved, as plain nested values.

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
