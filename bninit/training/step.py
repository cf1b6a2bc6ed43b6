"""One training step of a stack."""

from __future__ import annotations

from torch import Tensor

from bninit.nets.loss import cross_entropy
from bninit.nets.stack import StackedMLP
from bninit.training.optimisers import Optimiser


def train_step(
    network: StackedMLP, optimiser: Optimiser, x: Tensor, y: Tensor, index: Tensor, *, lr: float
) -> Tensor:
    """Gathers each network's mini-batch, and changes every network by one step.

    Args:
        network: The stack.
        optimiser: Of its parameters.
        x: The training set, (example, feature).
        y: Its labels, (example,).
        index: The examples of the step, (replica, batch).
        lr: Learning rate.

    Returns:
        The mean loss of each network over its mini-batch, before the step, in nats, (replica,).
    """
    flat = index.reshape(-1)
    inputs = x.index_select(0, flat).view(*index.shape, -1)
    labels = y.index_select(0, flat).view(index.shape)
    logits = network.forward(inputs.transpose(1, 2), training=True)
    loss, dlogits = cross_entropy(logits, labels)
    network.backward(dlogits)
    optimiser.step(lr)
    return loss
