"""The probe of batch norm: its parameters, and its statistics against those of the population."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from bninit.nets.norm import POPULATION, BatchNorm
from bninit.training.evaluation import evaluate, shared
from bninit.training.readings import NETWORK, NORM, WHOLE, ProbeContext, Reading
from bninit.training.running_averages import RunningStatistics
from bninit.training.signal_statistics import per_network, root_mean_square

POPULATION_BATCHES = 8
"""Mini-batches of a pass, of the training's size, the first of the training set; within an epoch
half as many."""

NUM_VALIDATION = 256
"""Validation examples on which the modes are compared, the first ones; within an epoch half as
many."""

BATCH = "batch"
TRAIN_MODE = "train_mode"


def batch_norm(context: ProbeContext) -> Iterator[Reading]:
    """Batch norm's parameters, and its statistics against those of the population.

    For each batch norm: ``mean`` and ``sd`` over units of gamma and beta, and ``drift``, the root
    mean square over units of gamma - 1 and of beta, named ``gamma_mean`` and so on.

    For each batch norm and each kind of statistics (``ema``, ``cumulative``, and ``batch``, a
    training mini-batch's own): ``mean_gap_<kind>``, the root mean square over units of its mean
    minus the population's, in the population's SDs; ``sd_gap_<kind>``, the same of the natural
    logarithm of its SD over the population's. SD is sqrt(variance + eps), as batch norm uses it.
    What is known of the population comes from `POPULATION_BATCHES` mini-batches: by how much it
    scatters itself is taken off from the squares of ``ema`` and ``cumulative``.

    For the network: ``loss_<mode>`` and ``accuracy_<mode>`` on the first `NUM_VALIDATION`
    validation examples, in ``train_mode`` (with the statistics of mini-batches of the training's
    size) and in evaluation with ``ema``, ``cumulative`` and ``population`` statistics.
    """
    if not context.network.batch_norms:
        return
    population = _population(context)
    layers = [layer for kind, layer in context.network.architecture.kinds() if kind == "norm"]
    for i, layer in enumerate(layers):
        if layer not in context.layers and layer != 0:
            continue
        yield from _parameters(layer, context.network.batch_norms[i])
        for kind, statistics in context.running.items():
            yield from _gaps(layer, kind, population[i].gap(statistics[i]))
        yield from _gaps(layer, BATCH, population[i].scatter())
    averages = {POPULATION: [one.mean() for one in population]}
    yield from _modes(context, {**context.running, **averages})


def _parameters(layer: int, norm: BatchNorm) -> Iterator[Reading]:
    for name, parameter, start in (("gamma", norm.gamma, 1.0), ("beta", norm.beta, 0.0)):
        if parameter is None:
            continue
        for quantity, function in (("mean", _mean), ("sd", _sd), ("drift", root_mean_square)):
            value = parameter.value - start if quantity == "drift" else parameter.value
            values = per_network(function, value)
            yield Reading(layer=layer, place=NORM, quantity=f"{name}_{quantity}", values=values)


def _mean(values: Tensor) -> Tensor:
    return values.double().mean(dim=1)


def _sd(values: Tensor) -> Tensor:
    return values.double().std(dim=1, correction=0)


def _gaps(layer: int, kind: str, gap: Tensor) -> Iterator[Reading]:
    for i, quantity in enumerate(("mean_gap", "sd_gap")):
        yield Reading(layer=layer, place=NORM, quantity=f"{quantity}_{kind}", values=gap[:, i])


class _Population:
    """The statistics of a batch norm over some mini-batches, with the weights held."""

    def __init__(self, norm: BatchNorm) -> None:
        self._norm = norm
        self._means: list[Tensor] = []
        self._vars: list[Tensor] = []
        norm.observer = self

    def __call__(self, mean: Tensor, invstd: Tensor, num_examples: int) -> None:
        """Takes in those of a mini-batch; see `bninit.nets.norm.BatchNorm.observer`."""
        shape = self._norm.running_mean.shape
        # Copies: what comes is written anew by the next mini-batch.
        biased = invstd.double().square().reciprocal() - self._norm.eps
        unbiased = biased * (num_examples / (num_examples - 1))
        self._means.append(mean.to(torch.float64, copy=True).view(shape))
        self._vars.append(unbiased.view(shape))

    def mean(self) -> RunningStatistics:
        """The mean of the means and of the unbiased variances."""
        return RunningStatistics(
            torch.stack(self._means).mean(dim=0), torch.stack(self._vars).mean(dim=0)
        )

    def scatter(self) -> Tensor:
        """How far one mini-batch is from all, (replica, 2), as `_gap` tells it; NaN for one."""
        batches = RunningStatistics(torch.stack(self._means, dim=1), torch.stack(self._vars, dim=1))
        num = len(self._means)
        # What all of them come to is made of them, and so lies too close to each.
        freedom = math.sqrt(num / (num - 1)) if num > 1 else math.nan
        return self._gap(batches) * freedom

    def gap(self, average: RunningStatistics) -> Tensor:
        """How far an average is from the population, (replica, 2), as `_gap` tells it."""
        one = RunningStatistics(average.mean.unsqueeze(1), average.var.unsqueeze(1))
        found = self._gap(one).square()
        own = self.scatter().square() / len(self._means)
        gap: Tensor = (found - torch.nan_to_num(own)).clamp_(min=0.0).sqrt()
        return gap

    def _gap(self, others: RunningStatistics) -> Tensor:
        true = self.mean()
        return per_network(
            partial(_gap, eps=self._norm.eps),
            others.mean,
            others.var,
            true.mean.unsqueeze(1),
            true.var.unsqueeze(1),
        )


def _gap(mean: Tensor, var: Tensor, true_mean: Tensor, true_var: Tensor, *, eps: float) -> Tensor:
    """Root mean squares over all but the first dimension, (replica, 2).

    Of the differences of means in SDs of the population, and of the logarithms of the ratios of
    SDs.
    """
    true_sd = (true_var.double() + eps).sqrt()
    means = root_mean_square((mean.double() - true_mean.double()) / true_sd)
    sds = root_mean_square(((var.double() + eps).sqrt() / true_sd).log())
    return torch.stack([means, sds], dim=1)


def _population(context: ProbeContext) -> list[_Population]:
    """The population's statistics of each batch norm."""
    norms = context.network.batch_norms
    found = [_Population(layer) for layer in norms]
    x, size = context.data.train_x, context.batch_size
    most = POPULATION_BATCHES if context.at_epoch else POPULATION_BATCHES // 2
    for start in range(0, min(x.size(0) - size, (most - 1) * size) + 1, size):
        context.network.forward(shared(context.network, x[start : start + size]), training=True)
    for layer in norms:
        layer.observer = None
    return found


def _modes(context: ProbeContext, kinds: dict[str, list[RunningStatistics]]) -> Iterator[Reading]:
    network = context.network
    num = NUM_VALIDATION if context.at_epoch else NUM_VALIDATION // 2
    x, y = context.data.val_x[:num], context.data.val_y[:num]
    for mode in (TRAIN_MODE, *kinds):
        size = num = y.numel()
        if mode == TRAIN_MODE:
            # A mini-batch of another size has other statistics: a rest is left out.
            size = min(context.batch_size, num)
            num = num // size * size
        else:
            for layer, one in zip(network.batch_norms, kinds[mode], strict=True):
                layer.running_mean.copy_(one.mean)
                layer.running_var.copy_(one.var)
        results = evaluate(network, x[:num], y[:num], batch_size=size, training=mode == TRAIN_MODE)
        for quantity in ("loss", "accuracy"):
            found = [getattr(result, quantity) for result in results]
            values = torch.tensor(found, dtype=torch.float64)
            yield Reading(layer=WHOLE, place=NETWORK, quantity=f"{quantity}_{mode}", values=values)
