"""Settings of the data: which images, their scale, and the size of the validation part."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bninit.data.catalog import DATASETS, SCALES, Scale
from bninit.fields import Fault, OneOf, Section, refuse

_VAL_SIZES = ", ".join(f"{each.name} {each.default_val_size}" for each in DATASETS.values())


class DataSettings(Section):
    """The images."""

    name: Annotated[str, OneOf("a data set", tuple(DATASETS))] = Field(
        next(iter(DATASETS)), description=f"data set: {', '.join(DATASETS)}"
    )
    scale: Annotated[Scale, OneOf("a scale", SCALES)] = Field(
        "unit",
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
    def _leaves_training_images(self) -> DataSettings:
        if self.num_train < 1:
            total = DATASETS[self.name].num_train
            what = f"{self.val_size} images for validation leave none to train on"
            hint = f"at most {total - 1} of the {total} images of {self.name}"
            refuse([Fault(("val_size",), what, hint, (("name",),))], section="data")
        return self
