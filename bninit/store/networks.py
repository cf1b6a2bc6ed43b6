"""From a run's config to the shape of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from bninit.config import Config
    from bninit.nets.architecture import Architecture


def architecture_of(config: Config) -> Architecture:
    """The shape of the config's networks."""
    from bninit.data.catalog import DATASETS
    from bninit.nets.architecture import Architecture

    dataset = DATASETS[config.data.name]
    norm = config.model.norm
    return Architecture(
        widths=(dataset.num_features, *config.model.hidden, dataset.num_classes),
        activation=config.model.activation,
        bias=config.model.bias,
        placement=norm.placement,
        input_norm=norm.input,
        eps=norm.eps,
        momentum=norm.momentum,
        affine=norm.affine,
        running=norm.running,
    )


def dtype_of(config: Config) -> torch.dtype:
    """The precision of parameters, signals and data."""
    import torch

    dtype = getattr(torch, number_of(config))
    assert isinstance(dtype, torch.dtype)
    return dtype


def number_of(config: Config) -> str:
    """The name of that precision: ``float32`` or ``float64``."""
    return "float64" if config.train.precision == "float64" else "float32"
