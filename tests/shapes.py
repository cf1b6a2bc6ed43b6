"""Short ways to architectures, initial values, drawn stacks and plans, beyond a config's bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from bninit.nets.architecture import Architecture
from bninit.nets.initialisers import PARAMETERS
from bninit.nets.settings import BiasSettings, InitSettings, ModelSettings, NormSettings
from bninit.nets.stack import StackedMLP
from bninit.training.loop import draw_networks
from bninit.training.plan import StackPlan
from bninit.training.seeding import generator
from bninit.training.settings import (
    AdamSettings,
    AdamWSettings,
    ConstantSchedule,
    Optimiser,
    ProbeSettings,
    Schedule,
    SGDSettings,
    TrainSettings,
)

OPTIM: dict[str, Optimiser] = {
    "sgd": SGDSettings(),
    "plain": SGDSettings(momentum=0.0),
    "nesterov": SGDSettings(nesterov=True, weight_decay=0.01),
    "adam": AdamSettings(weight_decay=0.01),
    "adamw": AdamWSettings(),
}


def shape(
    widths: Sequence[int],
    *,
    activation: str = "relu",
    bias: bool = True,
    placement: str = "none",
    input_norm: bool = False,
    **norm: Any,
) -> Architecture:
    """A network's shape; its norm takes eps, momentum, affine and running."""
    model = ModelSettings.model_construct(
        hidden=tuple(widths[1:-1]),
        activation=activation,
        bias=bias,
        norm=NormSettings.model_construct(placement=placement, input=input_norm, **norm),
        init=InitSettings(),
    )
    return Architecture(num_inputs=widths[0], num_classes=widths[-1], model=model)


def initial(
    scheme: str = "he_normal", *, bias: BiasSettings | None = None, **parameters: Any
) -> InitSettings:
    """Initial values."""
    return InitSettings.model_construct(
        scheme=scheme, bias=bias or BiasSettings(scheme="zeros"), **PARAMETERS | parameters
    )


def drawn(
    architecture: Architecture,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    init: InitSettings | None = None,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    spread: bool = False,
) -> StackedMLP:
    """A stack before training.

    Where `spread` is true, biases, gamma, beta and running statistics are drawn too, so that
    nothing is right for being 0 or 1.
    """
    starts = [(seed, init or initial()) for seed in seeds]
    examples = torch.randn(64, architecture.widths[0], generator=generator(0, "x"))
    network = draw_networks(
        architecture, starts, dtype=dtype, examples=examples, device=torch.device(device)
    )
    if spread:
        for name, value in network.tensors().items():
            if value.is_floating_point() and value.dim() == 2:
                for one, seed in zip(value, seeds, strict=True):
                    values = torch.empty(one.shape, dtype=one.dtype)
                    one.copy_(values.uniform_(0.5, 1.5, generator=generator(seed, name)))
    return network


def planned(
    architecture: Architecture,
    *,
    optim: Optimiser | None = None,
    lr: float = 0.1,
    schedule: Schedule | None = None,
    probes: ProbeSettings | None = None,
    device: str = "cpu",
    **train: Any,
) -> StackPlan:
    """The plan of a stack's training; `train` are keys of `TrainSettings`."""
    rates = {"lr": lr, "schedule": schedule or ConstantSchedule()}
    return StackPlan(
        architecture=architecture,
        optim=(optim or SGDSettings()).model_copy(update=rates),
        train=TrainSettings.model_construct(**train),
        probes=probes or ProbeSettings(),
        device=torch.device(device),
    )


def vary(plan: StackPlan, **changes: Any) -> StackPlan:
    """The plan with other values of what `planned` and `shape` take."""
    own = {key: changes.pop(key) for key in ("architecture", "probes") if key in changes}
    norm = plan.architecture.norm
    former = {
        "activation": plan.architecture.activation,
        "bias": plan.architecture.model.bias,
        "input_norm": norm.input,
        **{
            key: getattr(norm, key) for key in ("placement", "eps", "momentum", "affine", "running")
        },
    }
    if set(changes) & set(former):
        new = {key: changes.pop(key, value) for key, value in former.items()}
        own["architecture"] = shape(plan.architecture.widths, **new)
    if "device" in changes:
        own["device"] = torch.device(changes.pop("device"))
    optim = changes.pop("optim", plan.optim)
    rates = {"lr": plan.optim.lr, "schedule": plan.optim.schedule}
    rates = {key: changes.pop(key, value) for key, value in rates.items()}
    return dataclasses.replace(
        plan,
        optim=optim.model_copy(update=rates),
        train=plan.train.model_copy(update=changes),
        **own,
    )
