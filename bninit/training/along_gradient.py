"""How smooth the loss is: loss and gradient along the gradient of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.nets.layers import cross_entropy
from bninit.nets.stack import StackedMLP

MULTIPLES = tuple(2 ** (exponent / 2) for exponent in range(-2, 5))
"""Step lengths in learning rates: 1/2 to 4 in steps of a factor of sqrt 2.

With the paper's learning rate of 0.1 they end at its largest length, 0.4 times the gradient.
"""

QUANTITIES = ("loss_range", "gradient_change", "relative_gradient_change", "smoothness")
"""What an `AlongGradient` is summed up in, one number for each network."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AlongGradient:
    """What a network meets along its gradient, for each network of a stack.

    Everything is of the mean loss over the step's mini-batch, with batch norm in training mode.

    Attributes:
        lengths: Step lengths eta, (length,), rising; the weights move by eta times the gradient.
        loss: Before moving, in nats, (replica,).
        losses: At each length, (replica, length).
        gradient_norm: l2 norm of the gradient before moving, over all parameters, (replica,).
        gradient_changes: l2 distance of the gradient at each length from it, (replica, length).
    """

    lengths: Numbers
    loss: Numbers
    losses: Numbers
    gradient_norm: Numbers
    gradient_changes: Numbers

    @property
    def loss_limits(self) -> tuple[Numbers, Numbers]:
        """Lowest and highest loss on the way, where it begins included, (replica,) each.

        The highest is infinite where a loss on the way is not finite.
        """
        way = _finite_or_inf(np.concatenate([self.loss[:, None], self.losses], axis=1))
        return way.min(axis=1), way.max(axis=1)

    @property
    def loss_range(self) -> Numbers:
        """Highest minus lowest loss on the way, in nats, (replica,); see `loss_limits`."""
        low, high = self.loss_limits
        span: Numbers = np.subtract(high, low, out=np.full_like(low, np.inf), where=low < np.inf)
        return span

    @property
    def gradient_change(self) -> Numbers:
        """Largest distance of a gradient on the way from the one where it begins, (replica,)."""
        largest: Numbers = _finite_or_inf(self.gradient_changes).max(axis=1)
        return largest

    @property
    def relative_gradient_change(self) -> Numbers:
        """The largest change over the norm of the gradient, (replica,); NaN where that is 0.

        Without a unit. Below 1 the loss still falls where the longest step ends: the two gradients
        point to the same side.
        """
        return _over(self.gradient_change, self.gradient_norm)

    @property
    def smoothness(self) -> Numbers:
        """The effective beta-smoothness: most change of the gradient per distance, (replica,).

        Of a quadratic loss no more than the largest eigenvalue of its Hessian. NaN where the
        gradient is 0, as nothing moves.
        """
        distances = self.gradient_norm[:, None] * self.lengths
        steepest: Numbers = _over(_finite_or_inf(self.gradient_changes), distances).max(axis=1)
        return steepest


def lengths_for(learning_rate: float) -> tuple[float, ...]:
    """The step lengths that suit a learning rate: `MULTIPLES` of it."""
    return tuple(multiple * learning_rate for multiple in MULTIPLES)


@torch.no_grad()
def measure_along_gradient(
    network: StackedMLP, inputs: Tensor, labels: Tensor, *, lengths: Sequence[float]
) -> AlongGradient:
    """Moves copies of the networks along their gradients; the networks stay as they are.

    All parameters move: weights, biases, gamma and beta. The gradient is that of the loss, without
    weight decay and momentum. A measurement takes the time of about
    1.3 (1 + len(lengths)) training steps.
    """
    scratch = network.select(range(network.num_replicas))
    starts = [parameter.value for parameter in network.parameters]
    loss = _gradient(scratch, inputs, labels)
    gradients = [parameter.grad.clone() for parameter in scratch.parameters]
    losses, changes = [], []
    for length in lengths:
        for start, gradient, parameter in zip(starts, gradients, scratch.parameters, strict=True):
            torch.sub(start, gradient, alpha=length, out=parameter.value)
        losses.append(_gradient(scratch, inputs, labels))
        differences = [
            parameter.grad - gradient
            for parameter, gradient in zip(scratch.parameters, gradients, strict=True)
        ]
        changes.append(_norms(differences))
    return AlongGradient(
        lengths=np.asarray(lengths, dtype=np.float64),
        loss=_numbers(loss),
        losses=_numbers(torch.stack(losses, dim=1)),
        gradient_norm=_numbers(_norms(gradients)),
        gradient_changes=_numbers(torch.stack(changes, dim=1)),
    )


def _gradient(network: StackedMLP, inputs: Tensor, labels: Tensor) -> Tensor:
    """Fills the gradients; returns the losses, (replica,)."""
    loss, dlogits = cross_entropy(network.forward(inputs, training=True), labels)
    network.backward(dlogits)
    return loss


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm of each network's numbers, (replica,), summed in float64.

    On the CPU each network's are summed by themselves, so that they do not depend on its stack.
    """
    norm: Callable[..., Tensor] = partial(torch.linalg.vector_norm, dtype=torch.float64)
    if tensors[0].is_cuda:
        return norm(torch.stack([norm(tensor.flatten(1), dim=1) for tensor in tensors]), dim=0)
    replicas = range(tensors[0].size(0))
    return torch.stack([norm(torch.stack([norm(t[i]) for t in tensors])) for i in replicas])


def _numbers(tensor: Tensor) -> Numbers:
    found: Numbers = tensor.cpu().numpy().astype(np.float64)
    return found


def _finite_or_inf(values: Numbers) -> Numbers:
    return np.where(np.isfinite(values), values, np.inf)


def _over(values: Numbers, divisors: Numbers) -> Numbers:
    ratio: Numbers = np.divide(
        values, divisors, out=np.full_like(values, np.nan), where=divisors > 0
    )
    return ratio
