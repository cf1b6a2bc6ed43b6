"""Softmax cross-entropy of every network of a stack."""

from __future__ import annotations

import torch
from torch import Tensor

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
