"""One training step of a stack."""

from __future__ import annotations

from torch import Tensor

from bninit.nets.loss import cross_entropy
from bninit.nets.stack import StackedMLP
from bninit.training.optimisers import Optimiser


def train_step(
    network: StackedMLP,
    optimiser: Optimiser,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    *,
    lr: float | Tensor,
) -> Tensor:
    """Gathers each network's mini-batch, and changes every network by one step.

    Args:
        network: The stack.
        optimiser: Of its parameters.
        x: The training set, (example, feature).
        y: Its labels, (example,).
        index: The examples of the step, (replica, batch).
        lr: Learning rate; see `bninit.training.optimisers.Optimiser.step`.

    Returns:
        The mean loss of each network over its mini-batch, before the step, in nats, (replica,).
    """
    inputs, labels = gather(x, y, index)
    logits = network.forward(inputs, training=True)
    loss, dlogits = cross_entropy(logits, labels)
    network.backward(dlogits)
    optimiser.step(lr)
    return loss


def gather(x: Tensor, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The mini-batch of each network: inputs (replica, feature, batch), labels (replica, batch).

    Args:
        x: As in `train_step`.
        y: As in `train_step`.
        index: As in `train_step`.
    """
    flat = index.reshape(-1)
    inputs = x.index_select(0, flat).view(*index.shape, -1)
    return inputs.transpose(1, 2), y.index_select(0, flat).view(index.shape)
