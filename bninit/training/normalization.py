"""The probe of batch norm: what it has learnt, and how far evaluation is from training.

The yardstick is the population: means and variances over mini-batches with the weights held, as
in algorithm 2 of Ioffe & Szegedy 2015 (arXiv:1502.03167). The moving averages that evaluation
goes by are made of mini-batches with weights of the past, so they lag behind; a mini-batch's own
statistics scatter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from bninit.nets.batch_norm import POPULATION, BatchNorm
from bninit.nets.loss import example_losses
from bninit.training.distributions import root_mean_square
from bninit.training.moments import NETWORK, NORM, WHOLE, Moment, Reading, per_network
from bninit.training.running import RunningStatistics

POPULATION_BATCHES = 8
"""Mini-batches of a pass, of the training's size, the first of the training set; within an epoch
half as many."""

NUM_VALIDATION = 256
"""Validation examples on which the modes are compared, the first ones; within an epoch half as
many."""

BATCH = "batch"
TRAIN_MODE = "train_mode"


def batch_norm(moment: Moment) -> Iterator[Reading]:
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
    read = [
        (layer, i)
        for i, layer in enumerate(_layers_of(moment))
        if layer in moment.layers or layer == 0
    ]
    if not moment.network.batch_norms:
        return
    population = _population(moment)
    for layer, i in read:
        yield from _parameters(layer, moment.network.batch_norms[i])
        for kind, statistics in moment.running.items():
            yield from _gaps(layer, kind, population[i].gap(statistics[i]))
        yield from _gaps(layer, BATCH, population[i].scatter())
    averages = {POPULATION: [one.mean() for one in population]}
    yield from _modes(moment, {**moment.running, **averages})


def _layers_of(moment: Moment) -> list[int]:
    return [layer for kind, layer in moment.network.architecture.kinds() if kind == "norm"]


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
        """Takes in those of a mini-batch; see `bninit.nets.batch_norm.BatchNorm.observer`."""
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


def _population(moment: Moment) -> list[_Population]:
    """The population's statistics of each batch norm."""
    norms = moment.network.batch_norms
    found = [_Population(norm) for norm in norms]
    x, size = moment.data.train_x, moment.batch_size
    most = POPULATION_BATCHES if moment.at_epoch else POPULATION_BATCHES // 2
    for start in range(0, min(x.size(0) - size, (most - 1) * size) + 1, size):
        moment.network.forward(_shared(moment, x[start : start + size]), training=True)
    for norm in norms:
        norm.observer = None
    return found


def _modes(moment: Moment, kinds: dict[str, list[RunningStatistics]]) -> Iterator[Reading]:
    network = moment.network
    num = NUM_VALIDATION if moment.at_epoch else NUM_VALIDATION // 2
    x, y = moment.data.val_x[:num], moment.data.val_y[:num]
    for mode in (TRAIN_MODE, *kinds):
        size = y.numel()
        if mode == TRAIN_MODE:
            size = min(moment.batch_size, size)
        else:
            for norm, one in zip(network.batch_norms, kinds[mode], strict=True):
                norm.running_mean.copy_(one.mean)
                norm.running_var.copy_(one.var)
        loss = torch.zeros(network.num_replicas, dtype=torch.float64, device=x.device)
        hits = torch.zeros_like(loss)
        num_seen = 0
        for part_x, part_y in zip(torch.split(x, size), torch.split(y, size), strict=True):
            if mode == TRAIN_MODE and part_y.numel() < size:
                break  # a mini-batch of another size has other statistics
            labels = part_y.expand(network.num_replicas, -1)
            logits = network.forward(_shared(moment, part_x), training=mode == TRAIN_MODE)
            loss += example_losses(logits, labels).sum(dim=1, dtype=torch.float64)
            hits += (logits.argmax(dim=1) == labels).sum(dim=1)
            num_seen += part_y.numel()
        for quantity, values in (("loss", loss), ("accuracy", hits)):
            yield Reading(
                layer=WHOLE, place=NETWORK, quantity=f"{quantity}_{mode}", values=values / num_seen
            )


def _shared(moment: Moment, x: Tensor) -> Tensor:
    return x.T.expand(moment.network.num_replicas, -1, -1)
