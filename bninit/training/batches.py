"""Which examples make up each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bninit.training.seeding import batch_stream, generator

KEEP = "keep"
DROP = "drop"


def num_steps(num_examples: int, *, batch_size: int, last_batch: str) -> int:
    """Steps of an epoch: examples / batch size, rounded down (``drop``) or up (``keep``).

    Args:
        num_examples: Size of the training set.
        batch_size: Examples of a step.
        last_batch: What becomes of a rest smaller than a batch.
    """
    whole, rest = divmod(num_examples, batch_size)
    return whole + (1 if rest and last_batch == KEEP else 0)


def epoch_order(seeds: Sequence[int], *, epoch: int, num_examples: int) -> Tensor:
    """The order in which each network sees the training set in an epoch.

    Args:
        seeds: One for each network; equal seeds see equal orders.
        epoch: From 1.
        num_examples: Size of the training set.

    Returns:
        (replica, example), int64, on the CPU.
    """
    orders = {
        seed: torch.randperm(num_examples, generator=generator(seed, batch_stream(epoch)))
        for seed in dict.fromkeys(seeds)
    }
    return torch.stack([orders[seed] for seed in seeds])


def batches(order: Tensor, *, batch_size: int, last_batch: str) -> Iterator[Tensor]:
    """The steps of an epoch, as indices (replica, batch) into the training set.

    Args:
        order: From `epoch_order`.
        batch_size: Examples of a step.
        last_batch: As in `num_steps`.
    """
    count = num_steps(order.size(1), batch_size=batch_size, last_batch=last_batch)
    for step in range(count):
        yield order[:, step * batch_size : (step + 1) * batch_size]
