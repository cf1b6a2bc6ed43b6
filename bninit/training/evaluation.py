"""Evaluate a stack, and collect population statistics for its batch norms."""

from __future__ import annotations

import torch
from torch import Tensor

from bninit.nets.layers import example_losses
from bninit.nets.stack import StackedMLP
from bninit.training.records import EvalResult

EVALUATION_BATCH = 500
"""Divides the sizes of the validation and test sets that are shipped, so that shapes are few."""


@torch.no_grad()
def evaluate(
    network: StackedMLP,
    x: Tensor,
    y: Tensor,
    *,
    batch_size: int = EVALUATION_BATCH,
    training: bool = False,
) -> list[EvalResult]:
    """Loss and accuracy of each network on the same examples; of equal logits the first counts.

    Args:
        network: The stack.
        x: (example, feature).
        y: (example,), class numbers.
        batch_size: Examples that are passed together.
        training: Whether batch norm is in training mode.
    """
    losses = torch.zeros(network.num_replicas, dtype=torch.float64, device=x.device)
    hits = torch.zeros(network.num_replicas, dtype=torch.int64, device=x.device)
    parts = zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True)
    for part_x, part_y in parts:
        labels = part_y.expand(network.num_replicas, -1)
        logits = network.forward(shared(network, part_x), training=training)
        losses += example_losses(logits, labels).sum(dim=1, dtype=torch.float64)
        hits += (logits.argmax(dim=1) == labels).sum(dim=1)
    return [
        EvalResult(loss=loss / y.numel(), accuracy=num_hits / y.numel())
        for loss, num_hits in zip(losses.tolist(), hits.tolist(), strict=True)
    ]


@torch.no_grad()
def collect_population_statistics(network: StackedMLP, x: Tensor, *, batch_size: int) -> None:
    """Sets running statistics to the mean over the mini-batches of one pass with fixed weights.

    Ioffe & Szegedy 2015, algorithm 2, lines 7 to 11 (arXiv:1502.03167): the mean of the batch
    means and of the unbiased batch variances. Mini-batches are consecutive examples; a rest
    smaller than a mini-batch is left out.
    """
    for norm in network.batch_norms:
        norm.collect(on=True)
    for start in range(0, x.size(0) - batch_size + 1, batch_size):
        network.forward(shared(network, x[start : start + batch_size]), training=True)
    for norm in network.batch_norms:
        norm.collect(on=False)


def shared(network: StackedMLP, x: Tensor) -> Tensor:
    """The same (example, feature) for every network, as (replica, feature, example)."""
    return x.T.expand(network.num_replicas, -1, -1)
