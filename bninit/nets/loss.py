"""Softmax cross-entropy of every network of a stack."""

from __future__ import annotations

import torch
from torch import Tensor


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
    loss = torch.log_softmax(rows, dim=2).gather(2, picked).squeeze(2).mean(dim=1).neg_()
    # d(-log p_label) / d(logit) is p - 1 at the label and p elsewhere.
    gradient = torch.softmax(rows, dim=2)
    gradient.scatter_add_(2, picked, gradient.new_full((), -1.0).expand(picked.shape))
    return loss, gradient.mul_(1.0 / labels.size(1)).transpose(1, 2)


def example_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss of each example in nats, (replica, batch); arguments as `cross_entropy`."""
    rows = logits.transpose(1, 2).contiguous()
    return torch.log_softmax(rows, dim=2).gather(2, labels.unsqueeze(2)).squeeze(2).neg_()
