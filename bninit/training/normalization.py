"""The probe of batch norm: what it has learnt, and how far evaluation is from training.

The yardstick is the population: means and variances over mini-batches with the weights held, as
in algorithm 2 of Ioffe & Szegedy 2015 (arXiv:1502.03167). The moving averages that evaluation
goes by are made of mini-batches with weights of the past, so they lag behind; a mini-batch's own
statistics scatter.
"""

from __future__ import annotations

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
"""Mini-batches of a pass, of the training's size, the first of the training set."""

NUM_VALIDATION = 512
"""Validation examples on which the modes are compared, the first ones."""

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

    For the network: ``loss_<mode>`` and ``accuracy_<mode>`` on the first `NUM_VALIDATION`
    validation examples, in ``train_mode`` (with the statistics of mini-batches of the training's
    size) and in evaluation with ``ema``, ``cumulative`` and ``population`` statistics.
    """
    norms = [
        (layer, norm)
        for layer, norm in zip(_layers_of(moment), moment.network.batch_norms, strict=True)
    ]
    if not norms:
        return
    for layer, norm in norms:
        if layer in moment.layers or layer == 0:
            yield from _parameters(layer, norm)
    population, scatter = _population(moment)
    for kind, statistics in moment.running.items():
        for (layer, norm), one, true in zip(norms, statistics, population, strict=True):
            if layer in moment.layers or layer == 0:
                gap = per_network(
                    partial(_gap, eps=norm.eps), one.mean, one.var, true.mean, true.var
                )
                yield from _gaps(layer, kind, gap)
    for (layer, _), gap in zip(norms, scatter, strict=True):
        if layer in moment.layers or layer == 0:
            yield from _gaps(layer, BATCH, gap)
    yield from _modes(moment, {**moment.running, POPULATION: population})


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


def _gap(mean: Tensor, var: Tensor, true_mean: Tensor, true_var: Tensor, *, eps: float) -> Tensor:
    """(replica, 2): of means in SDs, and of logarithms of SDs; root mean squares over units."""
    true_sd = (true_var.double() + eps).sqrt()
    means = root_mean_square((mean.double() - true_mean.double()) / true_sd)
    sds = root_mean_square(((var.double() + eps).sqrt() / true_sd).log())
    return torch.stack([means, sds], dim=1)


class _Collector:
    """Keeps the statistics of the mini-batches that a batch norm sees."""

    def __init__(self, norm: BatchNorm) -> None:
        self.norm = norm
        self.means: list[Tensor] = []
        self.variances: list[Tensor] = []
        norm.observer = self

    def __call__(self, mean: Tensor, invstd: Tensor, num_examples: int) -> None:
        unbiased = (invstd.double().square().reciprocal() - self.norm.eps) * (
            num_examples / (num_examples - 1)
        )
        shape = self.norm.running_mean.shape
        self.means.append(mean.double().view(shape))
        self.variances.append(unbiased.view(shape))

    def population(self) -> RunningStatistics:
        """The mean of the means and of the variances."""
        mean, var = (torch.stack(each).mean(dim=0) for each in (self.means, self.variances))
        return RunningStatistics(mean, var)

    def scatter(self) -> Tensor:
        """How far a mini-batch's statistics are from the population's, as `_gap` tells it."""
        true = self.population()
        gaps = torch.stack(
            [
                per_network(partial(_gap, eps=self.norm.eps), mean, var, true.mean, true.var)
                for mean, var in zip(self.means, self.variances, strict=True)
            ]
        )
        # The population is made of these batches: they lie too close to it by this factor.
        num = len(self.means)
        freedom = num / (num - 1) if num > 1 else torch.nan
        return (gaps.square().mean(dim=0) * freedom).sqrt()


def _population(moment: Moment) -> tuple[list[RunningStatistics], list[Tensor]]:
    collectors = [_Collector(norm) for norm in moment.network.batch_norms]
    x, size = moment.data.train_x, moment.batch_size
    for start in range(0, min(x.size(0) - size, (POPULATION_BATCHES - 1) * size) + 1, size):
        moment.network.forward(_shared(moment, x[start : start + size]), training=True)
    for collector in collectors:
        collector.norm.observer = None
    return [one.population() for one in collectors], [one.scatter() for one in collectors]


def _modes(moment: Moment, kinds: dict[str, list[RunningStatistics]]) -> Iterator[Reading]:
    network = moment.network
    x, y = moment.data.val_x[:NUM_VALIDATION], moment.data.val_y[:NUM_VALIDATION]
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
        num = 0
        for part_x, part_y in zip(torch.split(x, size), torch.split(y, size), strict=True):
            if mode == TRAIN_MODE and part_y.numel() < size:
                break  # a mini-batch of another size has other statistics
            labels = part_y.expand(network.num_replicas, -1)
            logits = network.forward(_shared(moment, part_x), training=mode == TRAIN_MODE)
            loss += example_losses(logits, labels).sum(dim=1, dtype=torch.float64)
            hits += (logits.argmax(dim=1) == labels).sum(dim=1)
            num += part_y.numel()
        for quantity, values in (("loss", loss), ("accuracy", hits)):
            yield Reading(
                layer=WHOLE, place=NETWORK, quantity=f"{quantity}_{mode}", values=values / num
            )


def _shared(moment: Moment, x: Tensor) -> Tensor:
    return x.T.expand(moment.network.num_replicas, -1, -1)
