"""Networks as a training would start them, and what flows through them on a mini-batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.config import Config
from bninit.data.load import Data, load
from bninit.engines.plan import initialisation_of
from bninit.nets.architecture import PRE
from bninit.nets.layers import cross_entropy
from bninit.nets.signals import LayerSignals, distinct_units, read_signals
from bninit.nets.stack import StackedMLP
from bninit.nets.start import LSUV_BATCH, draw_start, stack
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.seeding import bias_draws, weight_draws
from bninit.training.signal_statistics import dead_fraction, saturated_fraction

Floats = npt.NDArray[np.float64]

MOST_EXAMPLES = 128
"""Examples of the mini-batch that is looked at, where training has more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerReading:
    """What was read of one linear layer and what follows it; arrays are (replica,).

    Where a network's numbers overflow, they are inf or NaN.

    Attributes:
        weight_mean: Of the drawn weights.
        weight_sd: Of the drawn weights.
        bias_mean: Of the drawn biases; None for a layer without.
        bias_sd: Of the drawn biases; None for a layer without.
        linear: Mean square of the linear output, over units and examples.
        norm: Mean square of batch norm's output; None without one.
        activation: Mean square of the activation's output; None in the output layer.
        gradient: Mean square of the gradient with respect to the linear output.
        weight_gradient: Mean square of the gradient with respect to the weights.
        distinct_units: Different units of a hidden layer; None in the output layer.
        dead: Fraction of units whose activation is the same for every example.
        saturated: Fraction of units and examples where the activation is all but flat.
    """

    weight_mean: Floats
    weight_sd: Floats
    bias_mean: Floats | None
    bias_sd: Floats | None
    linear: Floats
    norm: Floats | None
    activation: Floats | None
    gradient: Floats
    weight_gradient: Floats
    distinct_units: list[int] | None
    dead: Floats | None
    saturated: Floats | None


@dataclass(frozen=True, kw_only=True, eq=False)
class StartReading:
    """What was read of the networks of one config.

    Attributes:
        seeds: Of the networks.
        num_examples: Of the mini-batch, the first ones of the training set.
        loss: Mean over the mini-batch, in nats, (replica,).
        inputs: What the first linear layer reads, (feature, example).
        lsuv_inputs: The same of images on which ``lsuv`` measures.
        output_gradients: Gradient of the mean loss with respect to the logits, (replica, class,
            example).
        layers: From the first to the output.
    """

    seeds: tuple[int, ...]
    num_examples: int
    loss: Floats
    inputs: Floats
    lsuv_inputs: Floats
    output_gradients: Floats
    layers: tuple[LayerReading, ...]


def read_start(
    config: Config, *, seeds: Sequence[int], data_dir: Path | None = None
) -> StartReading:
    """Draws a config's networks and passes a mini-batch through them, on the CPU.

    The networks are those that a training of the config starts with. The mini-batch are the first
    images of the training set, as many as there are in a training step, 128 at most; the batch
    norm of a network is in training mode.

    Args:
        config: Any; its number of epochs and so on do not matter.
        seeds: One for each network.
        data_dir: Folder searched first for data sets.

    Raises:
        DataError: The data set is missing or damaged.
    """
    data = load(
        config.data.name,
        data_dir=data_dir,
        val_size=config.data.val_size,
        scale=config.data.scale,
        dtype=dtype_of(config),
    )
    network = _draw(config, seeds, data)
    num_examples = min(config.train.batch_size, MOST_EXAMPLES)
    x = data.train_x[:num_examples].T.expand(len(seeds), -1, -1)
    labels = data.train_y[:num_examples].expand(len(seeds), -1)
    signals = read_signals(network, x, labels)
    loss, _ = cross_entropy(signals[-1].linear_out, labels)
    return StartReading(
        seeds=tuple(seeds),
        num_examples=num_examples,
        loss=_numbers(loss),
        inputs=_numbers(signals[0].linear_in[0]),
        lsuv_inputs=_lsuv_inputs(network, data),
        output_gradients=_numbers(signals[-1].linear_grad),
        layers=_layers(network, signals),
    )


def _draw(config: Config, seeds: Sequence[int], data: Data) -> StackedMLP:
    architecture = architecture_of(config)
    starts = [
        draw_start(
            architecture,
            initialisation_of(config),
            weight_draws=partial(weight_draws, seed),
            bias_draws=partial(bias_draws, seed),
            dtype=dtype_of(config),
            examples=data.train_x[:LSUV_BATCH],
        )
        for seed in seeds
    ]
    return stack(architecture, starts, device=torch.device("cpu"))


def _lsuv_inputs(network: StackedMLP, data: Data) -> Floats:
    x = data.train_x[:LSUV_BATCH].T[None]
    if network.architecture.input_norm:
        x = network.select([0]).layers[0].forward(x, training=True)
    return _numbers(x[0, :, :MOST_EXAMPLES])


def _layers(network: StackedMLP, signals: Sequence[LayerSignals]) -> tuple[LayerReading, ...]:
    tensors = network.tensors()
    places = {kind: str(place) for place, kind in enumerate(network.architecture.kinds())}
    counts = [distinct_units(network.state(i)) for i in range(network.num_replicas)]
    found = []
    for one in signals:
        name = places["linear", one.layer]
        weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
        is_output = one.activation_out is None
        found.append(
            LayerReading(
                weight_mean=_mean(weight),
                weight_sd=_sd(weight),
                bias_mean=None if bias is None else _mean(bias),
                bias_sd=None if bias is None else _sd(bias),
                linear=_mean_square(one.linear_out),
                norm=None if one.norm_out is None else _mean_square(one.norm_out),
                activation=None if one.activation_out is None else _mean_square(one.activation_out),
                gradient=_mean_square(one.linear_grad),
                weight_gradient=_mean_square(one.weight_grad),
                distinct_units=None if is_output else [own[one.layer - 1] for own in counts],
                dead=None if one.activation_out is None else _dead(one.activation_out),
                saturated=_saturated(network, one),
            )
        )
    return tuple(found)


def _dead(outputs: Tensor) -> Floats:
    return _numbers(dead_fraction(outputs))


def _saturated(network: StackedMLP, one: LayerSignals) -> Floats | None:
    if one.activation_out is None:
        return None
    inputs = one.linear_out
    if network.architecture.placement == PRE and one.norm_out is not None:
        inputs = one.norm_out
    name = network.architecture.activation
    return _numbers(saturated_fraction(inputs, one.activation_out, activation=name))


def _mean_square(values: Tensor) -> Floats:
    return _numbers(values.double().flatten(1).square().mean(dim=1))


def _mean(values: Tensor) -> Floats:
    return _numbers(values.double().flatten(1).mean(dim=1))


def _sd(values: Tensor) -> Floats:
    return _numbers(values.double().flatten(1).std(dim=1, correction=0))


def _numbers(values: Tensor) -> Floats:
    found: Floats = values.double().numpy()
    return found
