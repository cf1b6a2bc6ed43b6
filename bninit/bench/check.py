"""Whether everyone computes the same: the losses of the first steps, against an nn.Sequential."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from bninit.bench.case import LEARNING_RATE, MOMENTUM, Case
from bninit.bench.contenders import Losses

CHECKED_STEPS = 5
"""Momentum first acts in the second step, and shows in the loss of the third."""

TOLERANCE = 2e-4
"""Largest relative difference of losses that is rounding: float32 against float64."""


class UnequalLossesError(Exception):
    """Someone trains something else, so that times would compare nothing."""


def reference_losses(case: Case, *, seed: int, num_steps: int) -> list[float]:
    """The losses of a network's first steps in float64, with autograd and ``torch.optim.SGD``.

    Args:
        case: What is trained.
        seed: Of the network.
        num_steps: At most those of the case.
    """
    network = case.network(seed).double().train()
    optimiser = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    data, order = case.data, case.order(seed).to(case.device)
    losses = []
    for index in torch.split(order, case.batch_size)[:num_steps]:
        optimiser.zero_grad()
        loss = cross_entropy(network(data.train_x[index].double()), data.train_y[index])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def check_losses(case: Case, *, name: str, losses: Losses) -> float:
    """Makes sure that a contender's first pass began as it should have.

    Args:
        case: What was trained.
        name: Who trained it.
        losses: Of its first pass, (network, step).

    Returns:
        The largest relative difference from the reference.

    Raises:
        UnequalLossesError: The number of steps is wrong, or a loss of the first `CHECKED_STEPS`
            differs by more than `TOLERANCE`.
    """
    if losses.shape[1] != case.num_steps:
        raise UnequalLossesError(
            f"{name} made {losses.shape[1]} steps where {case.num_steps} were due ({case.label})"
        )
    worst = 0.0
    for seed, own in enumerate(losses):
        expected = reference_losses(case, seed=seed, num_steps=CHECKED_STEPS)
        for step, (loss, due) in enumerate(zip(own.tolist(), expected, strict=False), start=1):
            difference = abs(loss - due) / due
            if not difference <= TOLERANCE:
                raise UnequalLossesError(
                    f"{name}, network {seed}: the loss of step {step} is {loss:.6f}, not {due:.6f} "
                    f"({case.label}): it does not compute the same, and is not timed"
                )
            worst = max(worst, difference)
    return worst
