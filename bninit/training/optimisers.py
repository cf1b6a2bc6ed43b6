"""Optimisers of a stack: torch's own fused steps, on tensors that can be saved by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from bninit.nets.parameter import Parameter


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

    def step(self, lr: float) -> None:
        """Changes every parameter by its gradient."""

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers, under names, each (replica, ...)."""

    def loaded(self) -> None:
        """Told after `tensors` were written from outside."""


def _slabs(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors as the fused step is to see them.

    On the CPU one contiguous piece per network, so that the kernel treats a network's numbers
    alike wherever it stands in the stack; on CUDA whole tensors, in one launch.
    """
    if tensors and tensors[0].is_cuda:
        return list(tensors)
    return [slab for tensor in tensors for slab in tensor]


class SGD:
    """Stochastic gradient descent with momentum, as ``torch.optim.SGD``, dampening 0."""

    def __init__(self, parameters: Sequence[Parameter], settings: OptimiserSettings) -> None:
        self._settings = settings
        self._names = [parameter.name for parameter in parameters]
        self._momenta = [torch.zeros_like(parameter.value) for parameter in parameters]
        self._values = _slabs([parameter.value for parameter in parameters])
        self._grads = _slabs([parameter.grad for parameter in parameters])
        self._buffers: list[Tensor | None] = [*_slabs(self._momenta)]

    def step(self, lr: float) -> None:
        """One step; see `Optimiser`."""
        sgd(
            self._values,
            self._grads,
            self._buffers,
            fused=True,
            foreach=False,
            weight_decay=self._settings.weight_decay,
            momentum=self._settings.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self._settings.nesterov,
            maximize=False,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Momentum buffers, as ``momentum.<parameter>``."""
        return {
            f"momentum.{name}": buffer
            for name, buffer in zip(self._names, self._momenta, strict=True)
        }

    def loaded(self) -> None:
        """Nothing to do; see `Optimiser`."""


class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), or AdamW (Loshchilov & Hutter, arXiv:1711.05101).

    As ``torch.optim.Adam`` and ``torch.optim.AdamW``, without amsgrad.
    """

    def __init__(self, parameters: Sequence[Parameter], settings: OptimiserSettings) -> None:
        self._settings = settings
        self._function = adamw if settings.name == "adamw" else adam
        self._names = [parameter.name for parameter in parameters]
        self._firsts = [torch.zeros_like(parameter.value) for parameter in parameters]
        self._seconds = [torch.zeros_like(parameter.value) for parameter in parameters]
        self._values = _slabs([parameter.value for parameter in parameters])
        self._grads = _slabs([parameter.grad for parameter in parameters])
        self._first_slabs = _slabs(self._firsts)
        self._second_slabs = _slabs(self._seconds)
        first = parameters[0].value
        # One count for each network is saved; the fused step wants one for each tensor.
        self._count = torch.zeros(first.size(0), dtype=torch.float32, device=first.device)
        self._counts = [torch.zeros((), device=first.device) for _ in self._values]

    def step(self, lr: float) -> None:
        """One step; see `Optimiser`."""
        self._function(
            self._values,
            self._grads,
            self._first_slabs,
            self._second_slabs,
            [],
            self._counts,
            fused=True,
            foreach=False,
            amsgrad=False,
            beta1=self._settings.betas[0],
            beta2=self._settings.betas[1],
            lr=lr,
            weight_decay=self._settings.weight_decay,
            eps=self._settings.eps,
            maximize=False,
        )
        self._count += 1

    def tensors(self) -> dict[str, Tensor]:
        """First and second moments, and the number of steps."""
        named = {"steps": self._count}
        for name, first, second in zip(self._names, self._firsts, self._seconds, strict=True):
            named[f"exp_avg.{name}"] = first
            named[f"exp_avg_sq.{name}"] = second
        return named

    def loaded(self) -> None:
        """Takes over the number of steps; see `Optimiser`."""
        for count in self._counts:
            count.copy_(self._count[0])


OPTIMISERS: dict[str, Callable[[Sequence[Parameter], OptimiserSettings], Optimiser]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": Adam,
}


def build_optimiser(parameters: Sequence[Parameter], settings: OptimiserSettings) -> Optimiser:
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
