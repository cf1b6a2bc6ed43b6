"""Running averages of batch statistics that batch norm does not keep, tracked beside its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bninit.nets.norm import CUMULATIVE, EMA, BatchNorm
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


class RunningAverages:
    """The moving averages that batch norm does not keep, kept beside its own.

    A network that keeps an exponentially weighted average gets the cumulative one, too, and the
    other way round; one with population statistics gets both. They are fed by each training step
    with the same batch statistics, and change nothing of the network.

    Args:
        network: The stack, before its first step.
        batch_size: Examples of a step; the last one of an epoch may have fewer.
    """

    def __init__(self, network: StackedMLP, *, batch_size: int) -> None:
        self._norms = network.batch_norms
        self._factor = _unbiased(batch_size)
        own = network.architecture.norm.running
        self._kinds = [kind for kind in (EMA, CUMULATIVE) if kind != own]
        self._sums: dict[str, Tensor] = {}
        for norm in self._norms:
            for kind in self._kinds:
                mean, raw = torch.zeros_like(norm.running_mean), torch.zeros_like(norm.running_var)
                if kind == EMA:
                    raw.fill_(1.0 / self._factor + norm.eps)
                self._sums[f"{norm.name}.{kind}_mean"] = mean
                self._sums[f"{norm.name}.{kind}_raw"] = raw
            norm.observer = _Observer(norm, self._sums, batch_size=batch_size)

    def tensors(self) -> dict[str, Tensor]:
        """What is kept, under names, each (replica, feature)."""
        return self._sums

    def statistics(self, *, num_steps: int) -> dict[str, list[RunningStatistics]]:
        """The averages so far, those that the network keeps itself included."""
        found: dict[str, list[RunningStatistics]] = {}
        for kind in (EMA, CUMULATIVE) if self._norms else ():
            found[kind] = [self._one(norm, kind, num_steps) for norm in self._norms]
        return found

    def _one(self, norm: BatchNorm, kind: str, num_steps: int) -> RunningStatistics:
        if kind not in self._kinds:
            return RunningStatistics(norm.running_mean, norm.running_var)
        mean, raw = (self._sums[f"{norm.name}.{kind}_{name}"] for name in ("mean", "raw"))
        if kind == CUMULATIVE:
            if num_steps == 0:
                return RunningStatistics(torch.zeros_like(mean), torch.ones_like(raw))
            mean, raw = mean / num_steps, raw / num_steps
        return RunningStatistics(mean, (raw - norm.eps) * self._factor)


class _Observer:
    """Takes in the statistics of each mini-batch that a batch norm is trained on.

    What is averaged is the biased variance plus eps, the reciprocal of the square that batch norm
    has at hand; the rest is done when someone looks. Every operation is one that is rounded
    exactly, so that on the CPU a network's numbers do not depend on where it stands in the stack;
    and none depends on the number of the step, so that a captured step holds them.
    """

    def __init__(self, norm: BatchNorm, sums: dict[str, Tensor], *, batch_size: int) -> None:
        self._eps = norm.eps
        self._momentum = norm.momentum
        self._batch_size = batch_size
        self._raw = torch.empty_like(norm.running_var).view(-1)

        def kept(kind: str) -> tuple[Tensor, Tensor] | None:
            mean, raw = (sums.get(f"{norm.name}.{kind}_{name}") for name in ("mean", "raw"))
            return None if mean is None or raw is None else (mean.view(-1), raw.view(-1))

        self._average, self._total = kept(EMA), kept(CUMULATIVE)

    def __call__(self, mean: Tensor, invstd: Tensor, num_examples: int) -> None:
        """See `bninit.nets.norm.BatchNorm.observer`."""
        raw = torch.mul(invstd, invstd, out=self._raw).reciprocal_()
        if num_examples != self._batch_size:
            # As if its unbiased variance had come from a mini-batch of the usual size.
            factor = _unbiased(num_examples) / _unbiased(self._batch_size)
            raw.sub_(self._eps).mul_(factor).add_(self._eps)
        if self._total is not None:
            self._total[0].add_(mean)
            self._total[1].add_(raw)
        if self._average is not None:
            for average, new in zip(self._average, (mean, raw), strict=True):
                average.mul_(1.0 - self._momentum).add_(new * self._momentum)


def _unbiased(num_examples: int) -> float:
    """The factor from the biased variance of so many examples to the unbiased one."""
    return num_examples / (num_examples - 1) if num_examples > 1 else 1.0
