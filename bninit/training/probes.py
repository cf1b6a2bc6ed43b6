"""What a probe is given, and what it gives: one moment of a training, and readings of it.

A probe is a function from a `Moment` to readings, and an entry in `bninit.training.probes.PROBES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.nets.activations import ACTIVATIONS
from bninit.nets.architecture import POST, PRE
from bninit.nets.layers import cross_entropy, example_losses
from bninit.nets.norm import CUMULATIVE, EMA, POPULATION, BatchNorm
from bninit.nets.signals import LayerSignals, distinct_units, read_signals
from bninit.nets.stack import StackedMLP
from bninit.training.steps import gather

LINEAR = "linear"
NORM = "norm"
ACTIVATION = "activation"
GRADIENT = "gradient"
WEIGHT = "weight"
NETWORK = "network"

PLACES = (LINEAR, NORM, ACTIVATION, GRADIENT, WEIGHT, NETWORK)
"""Where something is read: what comes out of the linear layer, of batch norm and of the
activation; the gradient of the loss with respect to what comes out of the linear layer; the
layer's weights; the network as a whole."""

WHOLE = -1
"""The layer of what is read of the whole network, and the unit of what is read of all units."""

MOST_LAYERS = 64
"""Of deeper networks as many layers are read, spread evenly, the first and the last among them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """One quantity of every network of a stack.

    Attributes:
        layer: The linear layer that it belongs to, from 1, the output layer the last; 0 for batch
            norm on the input; `WHOLE` for the network.
        place: One of `PLACES`.
        quantity: Its name, with the unit in it.
        values: One for each network, (replica,); NaN where it has none.
        unit: The unit of the layer, from 0; `WHOLE` for all of them together.
    """

    layer: int
    place: str
    quantity: str
    values: Tensor
    unit: int = WHOLE


@dataclass(kw_only=True, eq=False)
class Moment:
    """A stack at one moment of its training.

    Attributes:
        step: Finished steps.
        epoch: Finished epochs.
        at_epoch: Whether it is before the training or at an epoch's end; else it is between two
            steps of an epoch.
        network: A copy of the stack. A probe may pass examples through it, forward and backward,
            and set its running statistics; it leaves its parameters as they are.
        running: What running statistics there are, the network's own and others, by name and in
            the order of the network's batch norms.
        data: What it is trained and evaluated on.
        batch_size: Examples of a training step.
        probe_size: Examples of the probe batch, the first of the training set.
        num_units: Units of each layer to be followed one by one.
        next_batch: The examples of the step to come, as indices (replica, batch) into the training
            set. After the last epoch, of the step that would come.
        learning_rate: Of the step to come.
        memory: What probes keep from one moment to the next, by name, each (replica, ...).
    """

    step: int
    epoch: int
    at_epoch: bool
    network: StackedMLP
    running: dict[str, list[RunningStatistics]]
    data: Data
    batch_size: int
    probe_size: int
    num_units: int
    next_batch: Callable[[], Tensor]
    learning_rate: float
    memory: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def layers(self) -> frozenset[int]:
        """The layers that are read; see `MOST_LAYERS`."""
        return chosen_layers(self.network.architecture.num_hidden + 1)

    @cached_property
    def signals(self) -> list[LayerSignals]:
        """Signals and gradients on the probe batch, of the layers that are read.

        Batch norm is in training mode, with the probe batch as its mini-batch.
        """
        shape = (self.network.num_replicas, -1)
        x = self.data.train_x[: self.probe_size].T.expand(*shape, -1)
        labels = self.data.train_y[: self.probe_size].expand(*shape)
        found = read_signals(self.network, x, labels)
        return [one for one in found if one.layer in self.layers]


Probe: TypeAlias = Callable[[Moment], Iterable[Reading]]


def chosen_layers(num_layers: int) -> frozenset[int]:
    """The 1-based linear layers that are read: all, or of many `MOST_LAYERS`, spread evenly."""
    if num_layers <= MOST_LAYERS:
        return frozenset(range(1, num_layers + 1))
    last = MOST_LAYERS - 1
    return frozenset(1 + (num_layers - 1) * i // last for i in range(MOST_LAYERS))


def per_network(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Applies a function of (replica, ...) tensors to each network by itself; on CUDA to all.

    On the CPU a network's numbers then do not depend on the others of its stack.

    Args:
        function: From tensors whose first dimension is the replica to one such tensor.
        tensors: Of the whole stack.
    """
    if tensors[0].is_cuda:
        return function(*tensors)
    parts = zip(*(torch.split(tensor, 1) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


PERCENTILES = (1, 5, 15, 30, 50, 70, 85, 95, 99)
"""Of a layer's signal, all units and examples together."""

UNIT_PERCENTILES = (15, 50, 85)
"""Of one unit over the examples, as in figure 1 of Ioffe & Szegedy 2015 (arXiv:1502.03167)."""

RANK_EXAMPLES = 128
"""Examples of the probe batch of which the effective rank is taken, and so its upper bound."""

SATURATED = 0.01
"""A unit is saturated where its slope is below this share of the activation's steepest."""


def moments(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each unit over the examples.

    Args:
        signal: (replica, unit, example).

    Returns:
        (replica, unit) each, in float64.
    """
    mean = signal.mean(dim=2, keepdim=True)
    var = (signal - mean).square_().mean(dim=2)
    return mean.squeeze(2).double(), var.double()


def pooled(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and SD over units and examples together, from those of each unit, (replica,) each.

    The law of total variance: the mean of the units' variances, plus the variance of their means.
    """
    centre = mean.mean(dim=1)
    spread = (mean - centre.unsqueeze(1)).square().mean(dim=1)
    return centre, (var.mean(dim=1) + spread).sqrt()


def percentiles(values: Tensor, which: Sequence[int]) -> Tensor:
    """Percentiles along the last dimension, with linear interpolation between order statistics.

    Args:
        values: (..., number), contiguous.
        which: From 0 to 100.

    Returns:
        (..., percentile), NaN where a number is NaN, or both of those around it are infinite.
    """
    ordered = _sorted(values)
    below, above, share = _between(values.size(-1), tuple(which), ordered.device)
    lower = ordered.index_select(-1, below).double()
    found = lower + (ordered.index_select(-1, above).double() - lower) * share
    # NaN is sorted to the end.
    return found.masked_fill_(ordered[..., -1:].isnan(), torch.nan)


def effective_rank(matrix: Tensor) -> Tensor:
    """Effective rank: exp of the entropy of the singular values, normalized to a sum of 1.

    Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", EUSIPCO,
    definition 1. The matrix is taken as it is, its mean not subtracted: 1 when all columns have
    one direction, the number of rows or columns when all singular values are equal.

    Args:
        matrix: (replica, unit, example).

    Returns:
        (replica,); NaN for a matrix of zeros, which has none, or one that is not finite.
    """
    wide = matrix.double()
    is_finite = wide.isfinite().flatten(1).all(dim=1)
    # A scale changes nothing, and keeps squares from underflowing.
    largest = wide.abs().flatten(1).amax(dim=1)
    usable = is_finite & (largest > 0)
    wide = torch.where(usable[:, None, None], wide / largest[:, None, None], 1.0)
    tall = wide if wide.size(1) <= wide.size(2) else wide.transpose(1, 2)
    squares = torch.linalg.eigvalsh(tall @ tall.transpose(1, 2)).clamp_(min=0.0)
    # Rounding leaves the squares of zeros this far from 0.
    noise = squares.amax(dim=1, keepdim=True) * squares.size(1) * torch.finfo(wide.dtype).eps
    singular = torch.where(squares > noise, squares, 0.0).sqrt_()
    shares = singular / singular.sum(dim=1, keepdim=True)
    entropy = -torch.special.xlogy(shares, shares).sum(dim=1)
    return torch.where(usable, entropy.exp(), torch.nan)


def dead_fraction(outputs: Tensor) -> Tensor:
    """Fraction of units whose output is the same for every example, (replica,).

    Args:
        outputs: What comes out of the activation, (replica, unit, example).
    """
    low, high = torch.aminmax(outputs, dim=2)
    is_finite = low.isfinite().all(dim=1) & high.isfinite().all(dim=1)
    dead = (low == high).double().mean(dim=1)
    return torch.where(is_finite, dead, torch.nan)


def saturated_fraction(inputs: Tensor, outputs: Tensor, *, activation: str) -> Tensor:
    """Fraction of units and examples where the activation is all but flat, (replica,).

    Flat is a slope below `SATURATED` of the steepest that the function has: |x| > 2.99 for tanh,
    |x| > 5.99 for the logistic sigmoid (Glorot & Bengio 2010 call that saturated), x <= 0 for
    ReLU (hard saturation at 0, Glorot, Bordes & Bengio 2011).

    Args:
        inputs: What goes into the activation, (replica, unit, example).
        outputs: What comes out of it.
        activation: A name of `ACTIVATIONS`.
    """
    _, backward = ACTIVATIONS[activation].passes()
    slope = torch.empty_like(inputs)
    backward(torch.ones_like(inputs), x=inputs, y=outputs, out=slope)
    flat = (slope.abs_() < SATURATED * steepest_slope(activation)).double().mean(dim=(1, 2))
    return torch.where(inputs.isfinite().all(dim=(1, 2)), flat, torch.nan)


def steepest_slope(activation: str) -> float:
    """The largest slope of an activation, looked up on a grid from -8 to 8."""
    forward, backward = ACTIVATIONS[activation].passes()
    x = torch.linspace(-8.0, 8.0, 1601, dtype=torch.float64)
    y, slope = torch.empty_like(x), torch.empty_like(x)
    forward(x, out=y)
    backward(torch.ones_like(x), x=x, y=y, out=slope)
    return float(slope.abs().max())


def root_mean_square(values: Tensor) -> Tensor:
    """Root of the mean square over all but the first dimension, (replica,), in float64."""
    return values.double().flatten(1).square().mean(dim=1).sqrt()


def norm(values: Tensor) -> Tensor:
    """Euclidean (Frobenius) norm over all but the first dimension, (replica,), in float64."""
    return values.double().flatten(1).square().sum(dim=1).sqrt()


@lru_cache(maxsize=64)
def _between(
    size: int, which: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """For each percentile the order statistics around it, and how far it is from the lower one."""
    at = torch.tensor([(size - 1) * percent / 100 for percent in which], dtype=torch.float64)
    below = at.floor().long()
    above = (below + 1).clamp(max=size - 1)
    return below.to(device), above.to(device), (at - below).to(device)


def _sorted(values: Tensor) -> Tensor:
    if values.is_cuda:
        return values.sort(dim=-1).values
    # numpy sorts ten times as fast as torch on the CPU.
    return torch.from_numpy(np.sort(values.numpy(), axis=-1))


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
        batch_size: Examples of a step; the last one of an epoch may have fewer.
    """

    def __init__(self, network: StackedMLP, *, batch_size: int) -> None:
        self._norms = network.batch_norms
        self._factor = _unbiased(batch_size)
        own = network.architecture.running
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
        """The averages so far, those that the network keeps itself included.

        Args:
            num_steps: Finished training steps.

        Returns:
            For ``ema`` and ``cumulative`` one entry for each batch norm, in order. Before the
            first step all are mean 0 and variance 1.
        """
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


MULTIPLES = tuple(2 ** (exponent / 2) for exponent in range(-2, 5))
"""Step lengths in learning rates: 1/2 to 4 in steps of a factor of sqrt 2.

With the paper's learning rate of 0.1 they end at its largest length, 0.4 times the gradient.
"""

QUANTITIES = ("loss_range", "gradient_change", "relative_gradient_change", "smoothness")
"""What an `AlongGradient` is summed up in, one number for each network."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AlongGradient:
    """What a network meets along its gradient, for each network of a stack.

    Everything is of the mean loss over the step's mini-batch, with batch norm in training mode.

    Attributes:
        lengths: Step lengths eta, (length,), rising; the weights move by eta times the gradient.
        loss: Before moving, in nats, (replica,).
        losses: At each length, (replica, length).
        gradient_norm: l2 norm of the gradient before moving, over all parameters, (replica,).
        gradient_changes: l2 distance of the gradient at each length from it, (replica, length).
    """

    lengths: Numbers
    loss: Numbers
    losses: Numbers
    gradient_norm: Numbers
    gradient_changes: Numbers

    @property
    def loss_limits(self) -> tuple[Numbers, Numbers]:
        """Lowest and highest loss on the way, where it begins included, (replica,) each.

        The highest is infinite where a loss on the way is not finite.
        """
        way = _finite_or_inf(np.concatenate([self.loss[:, None], self.losses], axis=1))
        return way.min(axis=1), way.max(axis=1)

    @property
    def loss_range(self) -> Numbers:
        """Highest minus lowest loss on the way, in nats, (replica,); see `loss_limits`."""
        low, high = self.loss_limits
        span: Numbers = np.subtract(high, low, out=np.full_like(low, np.inf), where=low < np.inf)
        return span

    @property
    def gradient_change(self) -> Numbers:
        """Largest distance of a gradient on the way from the one where it begins, (replica,)."""
        largest: Numbers = _finite_or_inf(self.gradient_changes).max(axis=1)
        return largest

    @property
    def relative_gradient_change(self) -> Numbers:
        """The largest change over the norm of the gradient, (replica,); NaN where that is 0.

        Without a unit. Below 1 the loss still falls where the longest step ends: the two gradients
        point to the same side.
        """
        return _over(self.gradient_change, self.gradient_norm)

    @property
    def smoothness(self) -> Numbers:
        """The effective beta-smoothness: most change of the gradient per distance, (replica,).

        Of a quadratic loss no more than the largest eigenvalue of its Hessian. NaN where the
        gradient is 0, as nothing moves.
        """
        distances = self.gradient_norm[:, None] * self.lengths
        steepest: Numbers = _over(_finite_or_inf(self.gradient_changes), distances).max(axis=1)
        return steepest


def lengths_for(learning_rate: float) -> tuple[float, ...]:
    """The step lengths that suit a learning rate: `MULTIPLES` of it."""
    return tuple(multiple * learning_rate for multiple in MULTIPLES)


@torch.no_grad()
def measure_along_gradient(
    network: StackedMLP, inputs: Tensor, labels: Tensor, *, lengths: Sequence[float]
) -> AlongGradient:
    """Moves copies of the networks along their gradients; the networks stay as they are.

    All parameters move: weights, biases, gamma and beta. The gradient is that of the loss, without
    weight decay and momentum. A measurement takes the time of about
    1.3 (1 + len(lengths)) training steps.

    Args:
        network: The stack, at the weights before a step.
        inputs: The step's mini-batches, (replica, feature, batch).
        labels: Their class numbers, (replica, batch).
        lengths: Step lengths above 0, rising.
    """
    scratch = network.select(range(network.num_replicas))
    starts = [parameter.value for parameter in network.parameters]
    loss = _gradient(scratch, inputs, labels)
    gradients = [parameter.grad.clone() for parameter in scratch.parameters]
    losses, changes = [], []
    for length in lengths:
        for start, gradient, parameter in zip(starts, gradients, scratch.parameters, strict=True):
            torch.sub(start, gradient, alpha=length, out=parameter.value)
        losses.append(_gradient(scratch, inputs, labels))
        differences = [
            parameter.grad - gradient
            for parameter, gradient in zip(scratch.parameters, gradients, strict=True)
        ]
        changes.append(_norms(differences))
    return AlongGradient(
        lengths=np.asarray(lengths, dtype=np.float64),
        loss=_numbers(loss),
        losses=_numbers(torch.stack(losses, dim=1)),
        gradient_norm=_numbers(_norms(gradients)),
        gradient_changes=_numbers(torch.stack(changes, dim=1)),
    )


def _gradient(network: StackedMLP, inputs: Tensor, labels: Tensor) -> Tensor:
    """Fills the gradients; returns the losses, (replica,)."""
    loss, dlogits = cross_entropy(network.forward(inputs, training=True), labels)
    network.backward(dlogits)
    return loss


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    """l2 norm of each network's numbers, (replica,), summed in float64.

    On the CPU each network's are summed by themselves, so that they do not depend on its stack.
    """
    norm: Callable[..., Tensor] = partial(torch.linalg.vector_norm, dtype=torch.float64)
    if tensors[0].is_cuda:
        return norm(torch.stack([norm(tensor.flatten(1), dim=1) for tensor in tensors]), dim=0)
    replicas = range(tensors[0].size(0))
    return torch.stack([norm(torch.stack([norm(t[i]) for t in tensors])) for i in replicas])


def _numbers(tensor: Tensor) -> Numbers:
    found: Numbers = tensor.cpu().numpy().astype(np.float64)
    return found


def _finite_or_inf(values: Numbers) -> Numbers:
    return np.where(np.isfinite(values), values, np.inf)


def _over(values: Numbers, divisors: Numbers) -> Numbers:
    ratio: Numbers = np.divide(
        values, divisors, out=np.full_like(values, np.nan), where=divisors > 0
    )
    return ratio


def signals(moment: Moment) -> Iterator[Reading]:
    """What each layer's signal is like: its distribution, how it moves, and a few units of it.

    Of what comes out of the linear layer, of batch norm and of the activation: ``mean``, ``sd``
    and percentiles (``p01``, ``p05``, ...) over units and examples; ``unit_sd``, the root of the
    mean over units of their variance over the examples; and ``shift``: how far the units' means
    have moved since the last moment, in their SDs of then (root mean squares over units). Of the
    units that are followed, percentiles of what goes into the activation.
    """
    for one in moment.signals:
        for place, signal in _forward_places(one):
            yield from _distribution(moment, one.layer, place, signal)
        if one.activation_out is not None:
            place, signal = _activation_input(moment, one)
            chosen = followed_units(signal.size(1), moment.num_units)
            found = per_network(_unit_percentiles, signal[:, chosen].contiguous())
            for i, unit in enumerate(chosen):
                for percent, values in zip(UNIT_PERCENTILES, found[:, i].unbind(1), strict=True):
                    yield Reading(
                        layer=one.layer,
                        place=place,
                        quantity=f"p{percent:02d}",
                        values=values,
                        unit=unit,
                    )


def gradients(moment: Moment) -> Iterator[Reading]:
    """Each layer's gradient: with respect to its signal, and to its weights.

    With respect to what comes out of the linear layer, times the number of examples, so that it
    does not depend on it: ``mean``, ``sd`` and percentiles over units and examples. With respect
    to the weights, of the mean loss over the probe batch: ``gradient_norm``, beside ``norm`` of
    the weights, and ``gradient_to_weight``, their ratio.
    """
    for one in moment.signals:
        scaled = one.linear_grad.contiguous() * float(moment.probe_size)
        yield from _summary(one.layer, GRADIENT, per_network(_summarise, scaled))
        weight = _weight(moment, one.layer)
        gradient_norm = per_network(norm, one.weight_grad)
        weight_norm = per_network(norm, weight)
        for quantity, values in (
            ("gradient_norm", gradient_norm),
            ("norm", weight_norm),
            ("gradient_to_weight", gradient_norm / weight_norm),
        ):
            yield Reading(layer=one.layer, place=WEIGHT, quantity=quantity, values=values)


def units(moment: Moment) -> Iterator[Reading]:
    """How many units do something of their own.

    ``dead_fraction`` of units give the same for every example, ``saturated_fraction`` of units
    and examples are where the activation is flat; see `bninit.training.probes`. Before
    the training and at epochs' ends also ``effective_rank`` of the layer's output (Roy & Vetterli
    2007), of `RANK_EXAMPLES` examples at most, and ``distinct_units`` by their weights.
    """
    activation = moment.network.architecture.activation
    for one in moment.signals:
        if one.activation_out is None:
            continue
        _, inputs = _activation_input(moment, one)

        def saturated(x: Tensor, y: Tensor) -> Tensor:
            return saturated_fraction(x, y, activation=activation)

        for quantity, values in (
            ("dead_fraction", per_network(dead_fraction, one.activation_out)),
            ("saturated_fraction", per_network(saturated, inputs, one.activation_out)),
        ):
            yield Reading(layer=one.layer, place=ACTIVATION, quantity=quantity, values=values)
        if moment.at_epoch:
            place, output = _output(moment, one)
            rank = per_network(effective_rank, output[:, :, :RANK_EXAMPLES])
            yield Reading(layer=one.layer, place=place, quantity="effective_rank", values=rank)
    if moment.at_epoch:
        yield from _distinct_units(moment)


def landscape(moment: Moment) -> Iterator[Reading]:
    """How smooth the loss is along the gradient of the step to come; see `AlongGradient`.

    Of the network as a whole, on the step's own mini-batch and by 1/2 to 4 learning rates:
    ``loss_range``, ``gradient_change``, ``relative_gradient_change`` and ``smoothness``. It takes
    the time of about 10 training steps.
    """
    inputs, labels = gather(moment.data.train_x, moment.data.train_y, moment.next_batch())
    along = measure_along_gradient(
        moment.network, inputs, labels, lengths=lengths_for(moment.learning_rate)
    )
    for quantity in QUANTITIES:
        values = torch.from_numpy(getattr(along, quantity))
        yield Reading(layer=WHOLE, place=NETWORK, quantity=quantity, values=values)


PROBES: dict[str, Probe] = {
    "signals": signals,
    "gradients": gradients,
    "units": units,
    "batch_norm": batch_norm,
    "landscape": landscape,
}

DEFAULT_GROUPS = ("signals", "gradients", "units", "batch_norm")
"""Those that take little beside the training."""


def followed_units(num_units: int, num_followed: int) -> list[int]:
    """Which units of a layer are followed one by one: so many, spread evenly."""
    num_followed = min(num_followed, num_units)
    return [(2 * i + 1) * num_units // (2 * num_followed) for i in range(num_followed)]


def _forward_places(one: LayerSignals) -> Iterator[tuple[str, Tensor]]:
    for place, signal in (
        (LINEAR, one.linear_out),
        (NORM, one.norm_out),
        (ACTIVATION, one.activation_out),
    ):
        if signal is not None:
            yield place, signal


def _activation_input(moment: Moment, one: LayerSignals) -> tuple[str, Tensor]:
    if moment.network.architecture.placement == PRE and one.norm_out is not None:
        return NORM, one.norm_out
    return LINEAR, one.linear_out


def _output(moment: Moment, one: LayerSignals) -> tuple[str, Tensor]:
    """What a hidden layer hands to the next one."""
    if moment.network.architecture.placement == POST and one.norm_out is not None:
        return NORM, one.norm_out
    assert one.activation_out is not None, "the output layer hands on nothing"
    return ACTIVATION, one.activation_out


def _distribution(moment: Moment, layer: int, place: str, signal: Tensor) -> Iterator[Reading]:
    found = per_network(_summarise, signal)
    yield from _summary(layer, place, found)
    num_units = signal.size(1)
    mean, var = found[:, -2 * num_units : -num_units], found[:, -num_units:]
    unit_sd = var.mean(dim=1).sqrt()
    yield Reading(layer=layer, place=place, quantity="unit_sd", values=unit_sd)
    name = f"{layer}.{place}"
    before = moment.memory.get(name)
    moment.memory[name] = torch.cat([mean, unit_sd.unsqueeze(1)], dim=1)
    if before is not None:
        moved = per_network(root_mean_square, mean - before[:, :-1])
        shift = moved / before[:, -1]
        yield Reading(layer=layer, place=place, quantity="shift", values=shift)


def _summarise(signal: Tensor) -> Tensor:
    """Mean, SD and percentiles, then each unit's mean and variance: (replica, number)."""
    mean, var = moments(signal)
    together = torch.stack(pooled(mean, var), dim=1)
    ranks = percentiles(signal.flatten(1), PERCENTILES)
    return torch.cat([together, ranks, mean, var], dim=1)


def _summary(layer: int, place: str, found: Tensor) -> Iterator[Reading]:
    quantities = ["mean", "sd", *(f"p{percent:02d}" for percent in PERCENTILES)]
    for i, quantity in enumerate(quantities):
        yield Reading(layer=layer, place=place, quantity=quantity, values=found[:, i])


def _unit_percentiles(signal: Tensor) -> Tensor:
    return percentiles(signal, UNIT_PERCENTILES)


def _weight(moment: Moment, layer: int) -> Tensor:
    architecture = moment.network.architecture
    place = list(architecture.kinds()).index(("linear", layer))
    return moment.network.tensors()[f"{place}.weight"]


def _distinct_units(moment: Moment) -> Iterator[Reading]:
    network = moment.network
    counts = [distinct_units(network.state(i)) for i in range(network.num_replicas)]
    for i in range(network.architecture.num_hidden):
        if i + 1 in moment.layers:
            # None are counted where weights are not finite.
            found = [float(one[i] or math.nan) for one in counts]
            values = torch.tensor(found, dtype=torch.float64)
            yield Reading(layer=i + 1, place=WEIGHT, quantity="distinct_units", values=values)
