"""Memory of a stack: trained tensors and gradients in one stretch each, and kept workspaces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import torch
from torch import Tensor

_LINE = 64
"""Bytes of a cache line. A multiple of the length of every vector register."""


@dataclass
class Parameter:
    """A trained tensor of every network of a stack.

    Attributes:
        name: The key of the tensor in the state dict of the equal ``nn.Sequential``.
        value: (replica, ...), one slice for each network.
        grad: As ``value``; overwritten by each backward pass.
        flat: ``value`` in one dimension.
        flat_grad: ``grad`` in one dimension.
    """

    name: str
    value: Tensor
    grad: Tensor = field(init=False)
    flat: Tensor = field(init=False)
    flat_grad: Tensor = field(init=False)

    def __post_init__(self) -> None:
        value = self.value.contiguous()
        self.lie_in(value, torch.zeros_like(value))

    def lie_in(self, value: Tensor, grad: Tensor) -> None:
        """Takes contiguous tensors as its own, with the numbers that are in them."""
        self.value, self.grad = value, grad
        self.flat, self.flat_grad = value.view(-1), grad.view(-1)


class Parameters(Sequence[Parameter]):
    """All parameters of a stack; their values lie one after another, and so do their gradients.

    So an optimiser changes them all in one call. Each begins at a cache line of its own, and the
    whole ends with one: a vectorized elementwise call then has no rest that it would do by another
    instruction, and on the CPU a number's bits do not depend on its place, nor on how threads share
    the work.

    Args:
        parameters: At least one, of one dtype and device. Their tensors become views.

    Attributes:
        values: All values, (number,), with zeros in between.
        grads: All gradients, (number,), likewise.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = list(parameters)
        self.values, values = self.flat()
        self.grads, grads = self.flat()
        for parameter, value, grad in zip(self._parameters, values, grads, strict=True):
            parameter.lie_in(value.copy_(parameter.value), grad)

    def flat(self) -> tuple[Tensor, list[Tensor]]:
        """Zeros laid out like the values: all of them, and the view that belongs to each."""
        first = self._parameters[0].value
        line = _LINE // first.element_size()
        starts = [0]
        for parameter in self._parameters:
            starts.append(starts[-1] + -(-parameter.value.numel() // line) * line)
        flat = torch.zeros(starts[-1], dtype=first.dtype, device=first.device)
        views = [
            flat[start : start + parameter.value.numel()].view_as(parameter.value)
            for start, parameter in zip(starts, self._parameters, strict=False)
        ]
        return flat, views

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters)

    @overload
    def __getitem__(self, place: int) -> Parameter: ...
    @overload
    def __getitem__(self, place: slice) -> list[Parameter]: ...
    def __getitem__(self, place: int | slice) -> Parameter | list[Parameter]:
        return self._parameters[place]


class Workspace:
    """Tensors that are written anew at each step, kept from step to step.

    One tensor for each name and shape, so that a step allocates nothing and a captured step
    finds its tensors where they were.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], *, like: Tensor, keep: bool) -> Tensor:
        """Returns an uninitialised contiguous tensor, the same one for the same name and shape."""
        if not keep:
            return torch.empty(shape, dtype=like.dtype, device=like.device)
        key = (name, shape)
        if key not in self._kept:
            self._kept[key] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return self._kept[key]
