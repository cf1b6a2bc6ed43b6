"""Probes: what is read inside the networks while they train.

A probe is a function from a `ProbeContext` to readings, and an entry in `PROBES`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bninit.nets.architecture import POST, PRE
from bninit.nets.signals import LayerSignals, distinct_units
from bninit.training.along_gradient import QUANTITIES, lengths_for, measure_along_gradient
from bninit.training.batch_norm_probe import batch_norm
from bninit.training.readings import (
    ACTIVATION,
    GRADIENT,
    LINEAR,
    NETWORK,
    NORM,
    WEIGHT,
    WHOLE,
    Probe,
    ProbeContext,
    Reading,
)
from bninit.training.signal_statistics import (
    PERCENTILES,
    RANK_EXAMPLES,
    UNIT_PERCENTILES,
    dead_fraction,
    effective_rank,
    euclidean_norm,
    moments,
    per_network,
    percentiles,
    pooled,
    root_mean_square,
    saturated_fraction,
)
from bninit.training.steps import gather


def signals(context: ProbeContext) -> Iterator[Reading]:
    """What each layer's signal is like: its distribution, how it moves, and a few units of it.

    Of what comes out of the linear layer, of batch norm and of the activation: ``mean``, ``sd``
    and percentiles (``p01``, ``p05``, ...) over units and examples; ``unit_sd``, the root of the
    mean over units of their variance over the examples; and ``shift``: how far the units' means
    have moved since the last moment, in their SDs of then (root mean squares over units). Of the
    units that are followed, percentiles of what goes into the activation.
    """
    for one in context.signals:
        for place, signal in _forward_places(one):
            yield from _distribution(context, one.layer, place, signal)
        if one.activation_out is not None:
            place, signal = _activation_input(context, one)
            chosen = followed_units(signal.size(1), context.num_units)
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


def gradients(context: ProbeContext) -> Iterator[Reading]:
    """Each layer's gradient: with respect to its signal, and to its weights.

    With respect to what comes out of the linear layer, times the number of examples, so that it
    does not depend on it: ``mean``, ``sd`` and percentiles over units and examples. With respect
    to the weights, of the mean loss over the probe batch: ``gradient_norm``, beside ``norm`` of
    the weights, and ``gradient_to_weight``, their ratio.
    """
    for one in context.signals:
        scaled = one.linear_grad.contiguous() * float(context.probe_size)
        yield from _summary(one.layer, GRADIENT, per_network(_summarise, scaled))
        weight = _weight(context, one.layer)
        gradient_norm = per_network(euclidean_norm, one.weight_grad)
        weight_norm = per_network(euclidean_norm, weight)
        for quantity, values in (
            ("gradient_norm", gradient_norm),
            ("norm", weight_norm),
            ("gradient_to_weight", gradient_norm / weight_norm),
        ):
            yield Reading(layer=one.layer, place=WEIGHT, quantity=quantity, values=values)


def units(context: ProbeContext) -> Iterator[Reading]:
    """How many units do something of their own.

    ``dead_fraction`` of units give the same for every example, ``saturated_fraction`` of units
    and examples are where the activation is flat; see `bninit.training.signal_statistics`. Before
    the training and at epochs' ends also ``effective_rank`` of the layer's output (Roy & Vetterli
    2007), of `RANK_EXAMPLES` examples at most, and ``distinct_units`` by their weights.
    """
    activation = context.network.architecture.activation
    for one in context.signals:
        if one.activation_out is None:
            continue
        _, inputs = _activation_input(context, one)

        def saturated(x: Tensor, y: Tensor) -> Tensor:
            return saturated_fraction(x, y, activation=activation)

        for quantity, values in (
            ("dead_fraction", per_network(dead_fraction, one.activation_out)),
            ("saturated_fraction", per_network(saturated, inputs, one.activation_out)),
        ):
            yield Reading(layer=one.layer, place=ACTIVATION, quantity=quantity, values=values)
        if context.at_epoch:
            place, output = _output(context, one)
            rank = per_network(effective_rank, output[:, :, :RANK_EXAMPLES])
            yield Reading(layer=one.layer, place=place, quantity="effective_rank", values=rank)
    if context.at_epoch:
        yield from _distinct_units(context)


def landscape(context: ProbeContext) -> Iterator[Reading]:
    """How smooth the loss is along the gradient of the step to come; see `AlongGradient`.

    Of the network as a whole, on the step's own mini-batch and by 1/2 to 4 learning rates:
    ``loss_range``, ``gradient_change``, ``relative_gradient_change`` and ``smoothness``. It takes
    the time of about 10 training steps.
    """
    inputs, labels = gather(context.data.train_x, context.data.train_y, context.next_batch())
    along = measure_along_gradient(
        context.network, inputs, labels, lengths=lengths_for(context.learning_rate)
    )
    for quantity in QUANTITIES:
        values = torch.from_numpy(getattr(along, quantity))
        yield Reading(layer=WHOLE, place=NETWORK, quantity=quantity, values=values)


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


def _activation_input(context: ProbeContext, one: LayerSignals) -> tuple[str, Tensor]:
    if context.network.architecture.placement == PRE and one.norm_out is not None:
        return NORM, one.norm_out
    return LINEAR, one.linear_out


def _output(context: ProbeContext, one: LayerSignals) -> tuple[str, Tensor]:
    """What a hidden layer hands to the next one."""
    if context.network.architecture.placement == POST and one.norm_out is not None:
        return NORM, one.norm_out
    assert one.activation_out is not None, "the output layer hands on nothing"
    return ACTIVATION, one.activation_out


def _distribution(
    context: ProbeContext, layer: int, place: str, signal: Tensor
) -> Iterator[Reading]:
    found = per_network(_summarise, signal)
    yield from _summary(layer, place, found)
    num_units = signal.size(1)
    mean, var = found[:, -2 * num_units : -num_units], found[:, -num_units:]
    unit_sd = var.mean(dim=1).sqrt()
    yield Reading(layer=layer, place=place, quantity="unit_sd", values=unit_sd)
    name = f"{layer}.{place}"
    before = context.memory.get(name)
    context.memory[name] = torch.cat([mean, unit_sd.unsqueeze(1)], dim=1)
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


def _weight(context: ProbeContext, layer: int) -> Tensor:
    architecture = context.network.architecture
    place = list(architecture.kinds()).index(("linear", layer))
    return context.network.tensors()[f"{place}.weight"]


def _distinct_units(context: ProbeContext) -> Iterator[Reading]:
    network = context.network
    counts = [distinct_units(network.state(i)) for i in range(network.num_replicas)]
    for i in range(network.architecture.num_hidden):
        if i + 1 in context.layers:
            # None are counted where weights are not finite.
            found = [float(one[i] or math.nan) for one in counts]
            values = torch.tensor(found, dtype=torch.float64)
            yield Reading(layer=i + 1, place=WEIGHT, quantity="distinct_units", values=values)


PROBES: dict[str, Probe] = {
    "signals": signals,
    "gradients": gradients,
    "units": units,
    "batch_norm": batch_norm,
    "landscape": landscape,
}
