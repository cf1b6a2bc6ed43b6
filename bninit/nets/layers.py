"""The linear and the activation layer of a stack, each with a forward and a backward pass.

Signals are (replica, feature, batch). A layer keeps what its backward pass needs from the last
forward pass in training, in buffers that are used again at the next step of the same batch size.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from bninit.nets.activations import Activation
from bninit.nets.parameter import Parameter, Workspace
from bninit.nets.products import FULL, multiply


class Layer(Protocol):
    """What a stack asks of its layers."""

    parameters: list[Parameter]

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """Maps (replica, feature in, batch) to (replica, feature out, batch)."""

    def backward(self, dy: Tensor) -> Tensor:
        """Fills the parameters' gradients; returns the gradient with respect to the input."""

    def statistics(self) -> dict[str, Tensor]:
        """What the layer tracks without training it: name to (replica, ...)."""


class Linear:
    """A linear layer of every network: y = W x + b.

    Args:
        name: Its place in the equal ``nn.Sequential``.
        weight: (replica, fan_out, fan_in).
        bias: (replica, fan_out), or None for a layer without one.
        first: True when nothing that trains lies before it, so that no gradient with respect to
            its input is needed.
        precision: Of its products; see `bninit.nets.products.PRECISIONS`.
    """

    def __init__(
        self,
        name: str,
        *,
        weight: Tensor,
        bias: Tensor | None,
        first: bool,
        precision: str = FULL,
    ) -> None:
        self.weight = Parameter(f"{name}.weight", weight)
        self.bias = None if bias is None else Parameter(f"{name}.bias", bias)
        self.parameters = [self.weight] if self.bias is None else [self.weight, self.bias]
        self._first = first
        self._precision = precision
        self._workspace = Workspace()
        self._x: Tensor | None = None

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """Maps (replica, fan_in, batch) to (replica, fan_out, batch)."""
        weight = self.weight.value
        shape = (weight.size(0), weight.size(1), x.size(2))
        out = self._workspace.take("out", shape, like=weight, keep=training)
        multiply(weight, x, out=out, precision=self._precision)
        if self.bias is not None:
            out.add_(self.bias.value.unsqueeze(2))
        if training:
            self._x = x
        return out

    def backward(self, dy: Tensor) -> Tensor:
        """Fills the gradients of weight and bias; returns dL/dx, or ``dy`` when first."""
        x = self._x
        assert x is not None, "backward comes after a forward pass in training"
        multiply(dy, x.transpose(1, 2), out=self.weight.grad, precision=self._precision)
        if self.bias is not None:
            torch.sum(dy, dim=2, out=self.bias.grad)
        if self._first:
            return dy
        weight = self.weight.value
        dx = self._workspace.take("dx", tuple(x.shape), like=weight, keep=True)
        return multiply(weight.transpose(1, 2), dy, out=dx, precision=self._precision)

    def statistics(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


class Elementwise:
    """An activation.

    On the CPU, functions that are not exact are applied network by network, so that a network's
    values do not depend on where it stands in the stack.

    Args:
        activation: Which one.
    """

    parameters: list[Parameter]

    def __init__(self, activation: Activation) -> None:
        self.parameters = []
        self._exact = activation.exact
        self._forward, self._backward = activation.passes()
        self._workspace = Workspace()
        self._x: Tensor | None = None
        self._y: Tensor | None = None

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """Maps (replica, feature, batch) to the same shape."""
        y = self._workspace.take("y", tuple(x.shape), like=x, keep=training)
        if self._exact or x.is_cuda or x.size(0) == 1:
            self._forward(x, out=y)
        else:
            for x_one, y_one in zip(x, y, strict=True):
                self._forward(x_one, out=y_one)
        if training:
            self._x, self._y = x, y
        return y

    def backward(self, dy: Tensor) -> Tensor:
        """Returns dL/dx, (replica, feature, batch)."""
        x, y = self._x, self._y
        assert x is not None, "backward comes after a forward pass in training"
        assert y is not None
        dx = self._workspace.take("dx", tuple(x.shape), like=x, keep=True)
        if self._exact or x.is_cuda or x.size(0) == 1:
            self._backward(dy, x=x, y=y, out=dx)
        else:
            for dy_one, x_one, y_one, dx_one in zip(dy, x, y, dx, strict=True):
                self._backward(dy_one, x=x_one, y=y_one, out=dx_one)
        return dx

    def statistics(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}


_SERIAL = 16_384
"""Fewer numbers than torch (32,768) cuts into one part per thread when a sum has one result."""


def cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of each network and its gradient.

    Args:
        logits: (replica, class, batch).
        labels: (replica, batch), class numbers.

    Returns:
        The mean loss over the batch in nats, (replica,); and the gradient of each network's mean
        loss with respect to its logits, (replica, class, batch).
    """
    # Classes last: each row is then a computation of its own, wherever it stands in the stack.
    rows = logits.transpose(1, 2).contiguous()
    picked = labels.unsqueeze(2)
    loss = _batch_mean(torch.log_softmax(rows, dim=2).gather(2, picked).squeeze(2)).neg_()
    # d(-log p_label) / d(logit) is p - 1 at the label and p elsewhere.
    gradient = torch.softmax(rows, dim=2)
    gradient.scatter_(2, picked, -1.0, reduce="add")
    return loss, gradient.mul_(1.0 / labels.size(1)).transpose(1, 2)


def example_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each example in nats, (replica, batch); arguments as `cross_entropy`."""
    rows = logits.transpose(1, 2).contiguous()
    return torch.log_softmax(rows, dim=2).gather(2, labels.unsqueeze(2)).squeeze(2).neg_()


def _batch_mean(values: Tensor) -> Tensor:
    """Means over the batch, (replica, batch) to (replica,).

    A single row is a sum with one result, which torch shares among threads when it is long: then
    a network alone would be summed in another order than in a stack.
    """
    if values.size(1) <= _SERIAL:
        return values.mean(dim=1)
    first, *others = values.split_with_sizes(_parts(values.size(1)), dim=1)
    total = first.sum(dim=1)
    for part in others:
        total += part.sum(dim=1)
    return total.div_(values.size(1))


def _parts(size: int) -> list[int]:
    whole, rest = divmod(size, _SERIAL)
    return [_SERIAL] * whole + ([rest] if rest else [])
