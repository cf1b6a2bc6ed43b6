"""Optimisers of a stack, and the learning rate by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from bninit.nets.parameter import Parameters
from bninit.training.settings import (
    AdamSettings,
    AdamWSettings,
    ConstantSchedule,
    CosineSchedule,
    SGDSettings,
    StepSchedule,
)
from bninit.training.settings import Optimiser as AnyOptimiser


def learning_rate(optim: AnyOptimiser, *, epoch: int, num_epochs: int) -> float:
    """The rate of an epoch, from 1, of a training of so many."""
    base, done = optim.lr, epoch - 1
    match optim.schedule:
        case ConstantSchedule():
            return base
        case StepSchedule(step_epochs=step_epochs, factor=factor):
            # As torch.optim.lr_scheduler.StepLR, stepped once an epoch.
            return base * factor ** (done // step_epochs)
        case CosineSchedule(min_lr=min_lr):
            # Loshchilov & Hutter 2017, eq. 5, without restarts (arXiv:1608.03983).
            share = 0.5 * (1.0 + math.cos(math.pi * done / num_epochs))
            return min_lr + (base - min_lr) * share


class Optimiser(Protocol):
    """What the training loop asks of an optimiser."""

    def step(self, lr: float | Tensor) -> None:
        """Changes every parameter by its gradient.

        Args:
            lr: Learning rate. A tensor of one number where a captured step is to read it anew.
        """

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers, under names, each (replica, ...)."""

    def loaded(self) -> None:
        """Told after `tensors` were written from outside."""


class SGD:
    """Stochastic gradient descent with momentum, as ``torch.optim.SGD``, dampening 0."""

    def __init__(self, parameters: Parameters, settings: SGDSettings) -> None:
        self._settings = settings
        self._parameters = parameters
        self._buffer, self._momenta = parameters.flat()

    def step(self, lr: float | Tensor) -> None:
        """One step; see `Optimiser`."""
        torch._fused_sgd_(
            [self._parameters.values],
            [self._parameters.grads],
            [self._buffer] if self._settings.momentum else [],
            weight_decay=self._settings.weight_decay,
            momentum=self._settings.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self._settings.nesterov,
            maximize=False,
            is_first_step=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Momentum buffers, as ``momentum.<parameter>``."""
        return {
            f"momentum.{parameter.name}": buffer
            for parameter, buffer in zip(self._parameters, self._momenta, strict=True)
        }

    def loaded(self) -> None:
        """Nothing to do; see `Optimiser`."""


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), or AdamW (Loshchilov & Hutter, arXiv:1711.05101).

    As ``torch.optim.Adam`` and ``torch.optim.AdamW``, without amsgrad.
    """

    def __init__(self, parameters: Parameters, settings: AdamSettings | AdamWSettings) -> None:
        self._settings = settings
        self._parameters = parameters
        self._function = torch._fused_adamw_ if settings.name == "adamw" else torch._fused_adam_
        self._first, self._firsts = parameters.flat()
        self._second, self._seconds = parameters.flat()
        like = parameters.values
        # One count for each network is saved; the fused step wants one.
        self._counts = torch.zeros(parameters[0].value.size(0), device=like.device)
        self._count = torch.zeros((), device=like.device)

    def step(self, lr: float | Tensor) -> None:
        """One step; see `Optimiser`."""
        self._count += 1
        self._function(
            [self._parameters.values],
            [self._parameters.grads],
            [self._first],
            [self._second],
            [],
            [self._count],
            amsgrad=False,
            beta1=self._settings.betas[0],
            beta2=self._settings.betas[1],
            lr=lr,
            weight_decay=self._settings.weight_decay,
            eps=self._settings.eps,
            maximize=False,
        )
        self._counts += 1

    def tensors(self) -> dict[str, Tensor]:
        """First and second moments, and the number of steps."""
        named = {"steps": self._counts}
        for parameter, first, second in zip(
            self._parameters, self._firsts, self._seconds, strict=True
        ):
            named[f"exp_avg.{parameter.name}"] = first
            named[f"exp_avg_sq.{parameter.name}"] = second
        return named

    def loaded(self) -> None:
        """Takes over the number of steps; see `Optimiser`."""
        self._count.copy_(self._counts[0])


OPTIMISERS: dict[str, Callable[[Parameters, Any], Optimiser]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
}


def build_optimiser(parameters: Parameters, settings: AnyOptimiser) -> Optimiser:
    """The optimiser of a stack's parameters, before its first step."""
    return OPTIMISERS[settings.name](parameters, settings)


def load_optimiser(optimiser: Optimiser, states: Sequence[Mapping[str, Tensor]]) -> None:
    """Takes what each network's optimiser remembered.

    Raises:
        ValueError: Names or shapes differ.
    """
    for name, tensor in optimiser.tensors().items():
        for replica, state in enumerate(states):
            if name not in state or state[name].shape != tensor.shape[1:]:
                raise ValueError(f"optimiser state {name} is missing or of another shape")
            tensor[replica].copy_(state[name])
    optimiser.loaded()
