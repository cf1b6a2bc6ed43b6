"""Learning-rate schedules, by epoch: each is one function and one entry in a dict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bninit.nets.parameter import Parameters


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate changes over a training.

    Attributes:
        name: A key of `SCHEDULES`.
        step_epochs: Of ``step``: epochs between two reductions.
        factor: Of ``step``: what the rate is multiplied with.
        min_lr: Of ``cosine``: the rate that it would reach after the last epoch.
    """

    name: str = "constant"
    step_epochs: int | None = None
    factor: float = 0.1
    min_lr: float = 0.0


def learning_rate(schedule: Schedule, *, base_lr: float, epoch: int, num_epochs: int) -> float:
    """The rate of an epoch.

    Args:
        schedule: The law.
        base_lr: The rate of the first epoch.
        epoch: From 1.
        num_epochs: Epochs of the whole training.

    Raises:
        KeyError: The schedule is unknown.
        ValueError: ``step`` without ``step_epochs``.
    """
    return SCHEDULES[schedule.name](schedule, base_lr, epoch - 1, num_epochs)


def _constant(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    return base_lr


def _step(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    """As ``torch.optim.lr_scheduler.StepLR``, stepped once an epoch."""
    if schedule.step_epochs is None:
        raise ValueError("schedule step needs step_epochs")
    return base_lr * schedule.factor ** (done // schedule.step_epochs)


def _cosine(schedule: Schedule, base_lr: float, done: int, num_epochs: int) -> float:
    """Loshchilov & Hutter 2017, eq. 5, without restarts (arXiv:1608.03983)."""
    share = 0.5 * (1.0 + math.cos(math.pi * done / num_epochs))
    return schedule.min_lr + (base_lr - schedule.min_lr) * share


SCHEDULES: dict[str, Callable[[Schedule, float, int, int], float]] = {
    "constant": _constant,
    "step": _step,
    "cosine": _cosine,
}


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """Which optimiser, and its constants but for the learning rate.

    Attributes:
        name: ``sgd``, ``adam`` or ``adamw``.
        momentum: Of ``sgd``.
        nesterov: Of ``sgd``.
        weight_decay: L2 in ``sgd`` and ``adam``, decoupled in ``adamw``; on every parameter,
            gamma, beta and biases included, as in ``torch.optim``.
        betas: Of ``adam`` and ``adamw``.
        eps: Of ``adam`` and ``adamw``.
    """

    name: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


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

    def __init__(self, parameters: Parameters, settings: OptimiserSettings) -> None:
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

    def __init__(self, parameters: Parameters, settings: OptimiserSettings) -> None:
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


OPTIMISERS: dict[str, Callable[[Parameters, OptimiserSettings], Optimiser]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
}


def build_optimiser(parameters: Parameters, settings: OptimiserSettings) -> Optimiser:
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
