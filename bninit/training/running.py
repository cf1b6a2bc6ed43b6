"""Running statistics that batch norm would have kept in other ways, beside its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bninit.nets.batch_norm import CUMULATIVE, EMA, BatchNorm
from bninit.nets.stack import StackedMLP


@dataclass(frozen=True, eq=False)
class RunningStatistics:
    """What a batch norm would normalize with in evaluation.

    Attributes:
        mean: (replica, feature).
        var: (replica, feature), made of unbiased variances.
    """

    mean: Tensor
    var: Tensor


class Shadows:
    """The moving averages that batch norm does not keep, kept beside its own.

    A network that keeps an exponentially weighted average gets the cumulative one, too, and the
    other way round; one with population statistics gets both. They are fed by each training step
    with the same batch statistics, and change nothing of the network.

    Args:
        network: The stack, before its first step.
    """

    def __init__(self, network: StackedMLP) -> None:
        self._norms = network.batch_norms
        own = network.architecture.running
        self._kinds = [kind for kind in (EMA, CUMULATIVE) if kind != own]
        self._sums: dict[str, Tensor] = {}
        for norm in self._norms:
            for kind in self._kinds:
                for name, tensor in (("mean", norm.running_mean), ("var", norm.running_var)):
                    start = torch.zeros_like if kind == CUMULATIVE else torch.clone
                    self._sums[f"{norm.name}.{kind}_{name}"] = start(tensor)
            norm.observer = _Observer(norm, self._sums, self._kinds)

    def tensors(self) -> dict[str, Tensor]:
        """What is kept, under names, each (replica, feature)."""
        return self._sums

    def statistics(self, *, num_steps: int) -> dict[str, list[RunningStatistics]]:
        """The averages so far, those that the network keeps itself included.

        Args:
            num_steps: Finished training steps.

        Returns:
            For ``ema`` and ``cumulative`` one entry for each batch norm, in order. Before the
            first step they are the network's own, mean 0 and variance 1.
        """
        found: dict[str, list[RunningStatistics]] = {}
        for kind in (EMA, CUMULATIVE) if self._norms else ():
            found[kind] = [self._one(norm, kind, num_steps) for norm in self._norms]
        return found

    def _one(self, norm: BatchNorm, kind: str, num_steps: int) -> RunningStatistics:
        if kind not in self._kinds:
            return RunningStatistics(norm.running_mean, norm.running_var)
        mean, var = (self._sums[f"{norm.name}.{kind}_{name}"] for name in ("mean", "var"))
        if kind == EMA:
            return RunningStatistics(mean, var)
        if num_steps == 0:
            return RunningStatistics(torch.zeros_like(mean), torch.ones_like(var))
        return RunningStatistics(mean / num_steps, var / num_steps)


class _Observer:
    """Takes in the statistics of each mini-batch that a batch norm is trained on.

    Every operation is one that is rounded exactly, so that on the CPU a network's numbers do not
    depend on where it stands in the stack; and none depends on the number of the step, so that a
    captured step holds them.
    """

    def __init__(self, norm: BatchNorm, sums: dict[str, Tensor], kinds: list[str]) -> None:
        self._eps = norm.eps
        self._momentum = norm.momentum
        kept = {
            kind: tuple(sums[f"{norm.name}.{kind}_{name}"].view(-1) for name in ("mean", "var"))
            for kind in kinds
        }
        self._averages, self._totals = kept.get(EMA), kept.get(CUMULATIVE)

    def __call__(self, mean: Tensor, invstd: Tensor, num_examples: int) -> None:
        """See `bninit.nets.batch_norm.BatchNorm.observer`."""
        var = invstd.square().reciprocal_().sub_(self._eps)
        var.mul_(num_examples / (num_examples - 1))
        if self._totals is not None:
            for total, new in zip(self._totals, (mean, var), strict=True):
                total.add_(new)
        if self._averages is not None:
            for average, new in zip(self._averages, (mean, var), strict=True):
                average.mul_(1.0 - self._momentum).add_(new * self._momentum)
