"""The probes: what is read inside a stack while it trains.

Each group is one function from a `Moment` to readings, and one entry in `PROBES`. All look at the
probe batch, the first examples of the training set, with batch norm in training mode, but for
those of `normalization`, which compares the modes on validation examples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bninit.nets.architecture import POST, PRE
from bninit.nets.signals import LayerSignals
from bninit.nets.symmetry import distinct_units
from bninit.training import distributions
from bninit.training.along_gradient import QUANTITIES, lengths_for, measure_along_gradient
from bninit.training.distributions import PERCENTILES, RANK_EXAMPLES, UNIT_PERCENTILES
from bninit.training.moments import (
    ACTIVATION,
    GRADIENT,
    LINEAR,
    NETWORK,
    NORM,
    WEIGHT,
    WHOLE,
    Moment,
    Probe,
    Reading,
    per_network,
)
from bninit.training.normalization import batch_norm
from bninit.training.step import gather


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
        gradient_norm = per_network(distributions.norm, one.weight_grad)
        weight_norm = per_network(distributions.norm, weight)
        for quantity, values in (
            ("gradient_norm", gradient_norm),
            ("norm", weight_norm),
            ("gradient_to_weight", gradient_norm / weight_norm),
        ):
            yield Reading(layer=one.layer, place=WEIGHT, quantity=quantity, values=values)


def units(moment: Moment) -> Iterator[Reading]:
    """How many units do something of their own.

    ``dead_fraction`` of units give the same for every example, ``saturated_fraction`` of units
    and examples are where the activation is flat; see `bninit.training.distributions`. Before
    the training and at epochs' ends also ``effective_rank`` of the layer's output (Roy & Vetterli
    2007), of `RANK_EXAMPLES` examples at most, and ``distinct_units`` by their weights.
    """
    activation = moment.network.architecture.activation
    for one in moment.signals:
        if one.activation_out is None:
            continue
        _, inputs = _activation_input(moment, one)

        def saturated(x: Tensor, y: Tensor) -> Tensor:
            return distributions.saturated_fraction(x, y, activation=activation)

        for quantity, values in (
            ("dead_fraction", per_network(distributions.dead_fraction, one.activation_out)),
            ("saturated_fraction", per_network(saturated, inputs, one.activation_out)),
        ):
            yield Reading(layer=one.layer, place=ACTIVATION, quantity=quantity, values=values)
        if moment.at_epoch:
            place, output = _output(moment, one)
            rank = per_network(distributions.effective_rank, output[:, :, :RANK_EXAMPLES])
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
        moved = per_network(distributions.root_mean_square, mean - before[:, :-1])
        shift = moved / before[:, -1]
        yield Reading(layer=layer, place=place, quantity="shift", values=shift)


def _summarise(signal: Tensor) -> Tensor:
    """Mean, SD and percentiles, then each unit's mean and variance: (replica, number)."""
    mean, var = distributions.moments(signal)
    pooled = torch.stack(distributions.pooled(mean, var), dim=1)
    ranks = distributions.percentiles(signal.flatten(1), PERCENTILES)
    return torch.cat([pooled, ranks, mean, var], dim=1)


def _summary(layer: int, place: str, found: Tensor) -> Iterator[Reading]:
    quantities = ["mean", "sd", *(f"p{percent:02d}" for percent in PERCENTILES)]
    for i, quantity in enumerate(quantities):
        yield Reading(layer=layer, place=place, quantity=quantity, values=found[:, i])


def _unit_percentiles(signal: Tensor) -> Tensor:
    return distributions.percentiles(signal, UNIT_PERCENTILES)


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
