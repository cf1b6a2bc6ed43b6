"""Signals, gradients and units of networks before training: mean-field theory and measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bninit.config import Config
from bninit.data.load import load
from bninit.nets.architecture import NONE, POST, PRE, Architecture, ParameterRow, parameter_rows
from bninit.nets.initialisers import Law, bias_law, weight_law
from bninit.nets.layers import cross_entropy
from bninit.nets.signals import LayerSignals, distinct_units, read_signals
from bninit.nets.stack import StackedMLP
from bninit.nets.start import LSUV_BATCH
from bninit.theory.batch_norm import gradient_growth
from bninit.theory.layers import NORM_THEORIES, Signal
from bninit.theory.mean_field import (
    chi,
    critical_weight,
    depth_scale,
    fixed_point,
    mean_square,
    next_q,
)
from bninit.theory.prediction import LayerLaws, LayerPrediction, predict
from bninit.training.loop import draw_networks
from bninit.training.signal_statistics import dead_fraction, saturated_fraction

Floats = npt.NDArray[np.float64]

MOST_EXAMPLES = 128
"""Largest mini-batch to look at."""

VANISHING = 0.1
"""A gradient that falls below this fraction of its size on its way back vanishes."""

_ROUNDING = 1e-7
"""Gradients below this fraction of the output layer's are rounding errors."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a layer; None where it is not finite or unknown.

    Attributes:
        predicted: By theory, for wide layers.
        measured: Geometric mean over the networks; 0 where one of them has 0.
        low: Lowest of the networks.
        high: Highest of the networks.
    """

    predicted: float | None
    measured: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The distribution of a layer's weights or biases, and moments of what was drawn from it."""

    law: str
    mean: float
    sd: float
    limit: float | None
    drawn_mean: float
    drawn_sd: float


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One linear layer and what follows it.

    Attributes:
        name: ``hidden 3`` or ``output``.
        fan_in: Units that it reads.
        fan_out: Its units.
        weights: Their distribution.
        biases: Their distribution; None for a layer without.
        linear: Mean square of the linear output.
        norm: Mean square of batch norm's output; None without.
        activation: Mean square of the activations; None in the output layer.
        gradient: SD about 0 of the gradient of one example's loss with respect to the linear
            output.
        weight_gradient: SD about 0 of the gradient of the mini-batch's mean loss with respect to
            the weights.
        distinct_units: Units that are not duplicates, fewest of the networks; None in the output
            layer, as what follows.
        dead_fraction: Units with equal activations for all examples, mean of the networks.
        saturated_fraction: Activations where the slope is almost 0, mean of the networks.
    """

    name: str
    fan_in: int
    fan_out: int
    weights: Drawn
    biases: Drawn | None
    linear: Quantity
    norm: Quantity | None
    activation: Quantity | None
    gradient: Quantity
    weight_gradient: Quantity
    distinct_units: int | None
    dead_fraction: float | None
    saturated_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How a quantity changes over hidden layers, from the first one to the last (1-based).

    Attributes:
        first: Where it starts.
        last: Where it ends.
        measured: Factor per layer; None where an end is 0 or not finite.
        predicted: The same by theory.
        num_layers: Layers passed.
        total: Measured factor over all of them.
    """

    first: int
    last: int
    measured: float | None
    predicted: float | None
    num_layers: int
    total: float | None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Mean-field prediction for many equal hidden layers.

    Attributes:
        weight: fan_in times the variance of a weight.
        q: Mean square of the pre-activations in the limit; inf where it grows without bound.
        chi: Factor per layer on the gradient's mean square, backward.
        depth: Layers over which that changes by e; inf where it does not.
        large_batch_chi: chi in the limit of large batches, with batch norm before the activation.
    """

    weight: float
    q: float
    chi: float
    depth: float
    large_batch_chi: float | None = None


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Critical initialisation: gradients neither vanish nor explode, without batch norm.

    Attributes:
        weight: fan_in times the variance of the weights; None where none does it.
        scheme: A scheme with that variance, with `gain`.
        gain: Of the scheme.
    """

    weight: float | None
    scheme: str | None
    gain: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A config before training; the fields are the keys of ``explain.json``.

    Attributes:
        name: Of the config, with its arm id if several have the name.
        config: The config.
        seeds: One network for each.
        num_examples: In the mini-batch.
        input_mean_square: Of what the first linear layer reads.
        loss: Mean over networks, nats; None where it is not finite.
        layers: From the first to the output.
        parameters: Counts by layer.
        gradient_per_layer: SD of the gradient from the last hidden layer back to the first, or
            under batch norm to the second (the first divides by the SD of images); None for too
            few layers.
        signal_per_layer: Mean square of the activations, forward over the same layers.
        outlook: Prediction for many such layers; None where theory does not apply.
        advice: Critical initialisation of the activation.
        is_symmetric: Whether each hidden layer of several units acts as one unit.
        has_no_gradient: Whether nothing but rounding reaches the hidden layers.
        gradient_fate: ``vanishes``, ``explodes`` or ``holds`` over the layers.
        overflow: First layer with numbers beyond the precision, if any.
    """

    name: str
    config: Config
    seeds: tuple[int, ...]
    num_examples: int
    input_mean_square: float
    loss: float | None
    layers: tuple[Layer, ...]
    parameters: tuple[ParameterRow, ...]
    gradient_per_layer: Trend | None
    signal_per_layer: Trend | None
    outlook: Outlook | None
    advice: Advice
    is_symmetric: bool
    has_no_gradient: bool
    gradient_fate: str | None
    overflow: str | None

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self.layers[:-1]


def explain_start(
    config: Config, *, seeds: Sequence[int], name: str, data_dir: Path | None = None
) -> Explanation:
    """Draw the networks with which training starts, and pass a mini-batch through them on the CPU.

    The mini-batch is the first images of the training set, as many as in a training step but at
    most `MOST_EXAMPLES`. Batch norm is in training mode.
    """
    data = load(
        config.data.name,
        data_dir=data_dir,
        val_size=config.data.val_size,
        scale=config.data.scale,
        dtype=config.train.dtype,
    )
    architecture = config.architecture
    network = draw_networks(
        architecture,
        [(seed, config.model.init) for seed in seeds],
        dtype=config.train.dtype,
        examples=data.train_x,
    )
    num_examples = min(config.train.batch_size, MOST_EXAMPLES)
    labels = data.train_y[:num_examples].expand(len(seeds), -1)
    signals = read_signals(
        network, data.train_x[:num_examples].T.expand(len(seeds), -1, -1), labels
    )
    inputs = _numbers(signals[0].linear_in[0])
    laws = _laws(config, architecture)
    predicted = _predicted(
        network,
        laws,
        signals,
        lsuv_images=data.train_x[:LSUV_BATCH],
        lsuv_gain=config.model.init.gain,
    )
    distinct = np.array([distinct_units(network.state(i)) for i in range(len(seeds))])
    layers = tuple(
        _layer(network, law, of_layer, theory, distinct, num_examples=num_examples)
        for law, of_layer, theory in zip(laws, signals, predicted, strict=True)
    )
    hidden, near = layers[:-1], 1 if architecture.placement == NONE else 2
    gradient = _trend([layer.gradient for layer in hidden], first=len(hidden), last=near)
    no_gradient = _has_no_gradient(layers)
    wide = [layer for layer in hidden if layer.fan_out > 1]
    return Explanation(
        name=name,
        config=config,
        seeds=tuple(seeds),
        num_examples=num_examples,
        input_mean_square=float((inputs**2).mean()),
        loss=_finite(_numbers(cross_entropy(signals[-1].linear_out, labels)[0]).mean()),
        layers=layers,
        parameters=tuple(parameter_rows(architecture)),
        gradient_per_layer=gradient,
        signal_per_layer=_trend(
            [layer.activation for layer in hidden], first=near, last=len(hidden)
        ),
        outlook=outlook_of(
            architecture,
            laws[1] if len(laws) > 2 else laws[0],
            batch_size=config.train.batch_size,
        ),
        advice=advice_for(config.model.activation),
        is_symmetric=bool(wide) and all(layer.distinct_units == 1 for layer in wide),
        has_no_gradient=no_gradient,
        gradient_fate=None if no_gradient else _fate(gradient),
        overflow=_overflow(layers),
    )


def _laws(config: Config, architecture: Architecture) -> list[LayerLaws]:
    init, laws = config.model.init, []
    for number, (fan_in, fan_out) in enumerate(architecture.fans(), start=1):
        fans = {"fan_in": fan_in, "fan_out": fan_out}
        bias = bias_law(init.bias, **fans) if architecture.has_bias(number) else None
        laws.append(LayerLaws(**fans, weight=weight_law(init, **fans), bias=bias))
    return laws


def _predicted(
    network: StackedMLP,
    laws: Sequence[LayerLaws],
    signals: Sequence[LayerSignals],
    *,
    lsuv_images: Tensor,
    lsuv_gain: float,
) -> Sequence[LayerPrediction | None]:
    """By theory, from what the first layer reads and the gradient at the logits."""
    model = network.architecture.model
    if model.has_norm and model.norm.kind not in NORM_THEORIES:
        return [None] * len(laws)
    errors = _numbers(signals[-1].linear_grad)
    # `lsuv` measures on more images than are looked at here.
    x = lsuv_images.T[None]
    if network.architecture.norm.input:
        x = network.select([0]).layers[0].forward(x, training=True)
    try:
        with np.errstate(all="ignore"):
            return predict(
                network.architecture,
                laws,
                inputs=_signal(signals[0].linear_in[0]),
                output_gradient=np.einsum("rkb,rkc->bc", errors, errors) / errors[:, :, 0].size,
                lsuv_gain=lsuv_gain,
                lsuv_inputs=_signal(x[0, :, :MOST_EXAMPLES]),
            )
    except OverflowError:
        return [None] * len(laws)


def _signal(values: Tensor) -> Signal:
    x = _numbers(values)
    return Signal(x.mean(axis=0), x.T @ x / len(x))


def _layer(
    network: StackedMLP,
    law: LayerLaws,
    signals: LayerSignals,
    theory: LayerPrediction | None,
    distinct: npt.NDArray[np.int64],
    *,
    num_examples: int,
) -> Layer:
    def forward(key: str, values: Tensor) -> Quantity:
        return _quantity(getattr(theory, key, None), _mean_square(values))

    def backward(key: str, values: Tensor, scale: float) -> Quantity:
        square: float | None = getattr(theory, key, None)
        root = None if square is None or square < 0 else math.sqrt(square) * scale
        return _quantity(root, np.sqrt(_mean_square(values)) * scale)

    architecture, tensors = network.architecture, network.tensors()
    place = list(architecture.kinds()).index(("linear", signals.layer))
    outputs, normed = signals.activation_out, signals.norm_out
    units, dead, saturated = None, None, None
    if outputs is not None:
        units = int(distinct[:, signals.layer - 1].min())
        dead = _finite(_numbers(dead_fraction(outputs)).mean())
        inputs = normed if architecture.placement == PRE else None
        inputs = signals.linear_out if inputs is None else inputs
        of_each = saturated_fraction(inputs, outputs, activation=architecture.activation)
        saturated = _finite(_numbers(of_each).mean())
    return Layer(
        name="output" if outputs is None else f"hidden {signals.layer}",
        fan_in=law.fan_in,
        fan_out=law.fan_out,
        weights=_drawn(law.weight, tensors[f"{place}.weight"]),
        biases=None if law.bias is None else _drawn(law.bias, tensors[f"{place}.bias"]),
        linear=forward("linear", signals.linear_out),
        norm=None if normed is None else forward("norm", normed),
        activation=None if outputs is None else forward("activation", outputs),
        gradient=backward("gradient", signals.linear_grad, num_examples),
        weight_gradient=backward("weight_gradient", signals.weight_grad, 1.0),
        distinct_units=units,
        dead_fraction=dead,
        saturated_fraction=saturated,
    )


def _drawn(law: Law, values: Tensor) -> Drawn:
    flat = values.double().flatten(1)
    means, sds = _numbers(flat.mean(dim=1)), _numbers(flat.std(dim=1, correction=0))
    mean, square = float(means.mean()), float((sds**2 + means**2).mean())
    return Drawn(
        law=law.text,
        mean=law.mean,
        sd=law.sd,
        limit=law.limit,
        drawn_mean=mean,
        drawn_sd=math.sqrt(max(square - mean**2, 0.0)),
    )


def _mean_square(values: Tensor) -> Floats:
    """Over units (or weights) and examples, (replica,); inf or NaN where numbers overflow."""
    return _numbers(values.double().flatten(1).square().mean(dim=1))


def _numbers(values: Tensor) -> Floats:
    found: Floats = values.double().numpy()
    return found


def _quantity(predicted: float | None, values: Floats) -> Quantity:
    measured = None
    if np.isfinite(values).all():
        zero = (values <= 0).any()
        measured = 0.0 if zero else float(np.exp(np.log(values).mean()))
    return Quantity(
        predicted=_finite(predicted),
        measured=measured,
        low=_finite(values.min()),
        high=_finite(values.max()),
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _trend(along: Sequence[Quantity | None], *, first: int, last: int) -> Trend | None:
    num_layers = abs(last - first)
    if min(first, last) < 1 or max(first, last) > len(along) or num_layers == 0:
        return None
    begin, end = along[first - 1], along[last - 1]
    if begin is None or end is None:
        return None

    def per_layer(before: float | None, after: float | None) -> float | None:
        if not before or not after:
            return None
        return math.exp((math.log(after) - math.log(before)) / num_layers)

    measured = per_layer(begin.measured, end.measured)
    return Trend(
        first=first,
        last=last,
        measured=measured,
        predicted=per_layer(begin.predicted, end.predicted),
        num_layers=num_layers,
        total=None if measured is None else measured**num_layers,
    )


def _has_no_gradient(layers: Sequence[Layer]) -> bool:
    """Whether the hidden layers have a gradient of 0 in theory, and of rounding errors measured."""
    *hidden, output = [layer.gradient for layer in layers]
    if not hidden or any(one.predicted != 0 for one in hidden):
        return False
    # Further down, large weights amplify rounding errors.
    last = hidden[-1].measured
    return last is not None and last <= _ROUNDING * (output.measured or 0.0)


def _fate(gradient: Trend | None) -> str | None:
    if gradient is None or gradient.total is None:
        return None
    if gradient.total < VANISHING:
        return "vanishes"
    return "explodes" if gradient.total > 1 / VANISHING else "holds"


def _overflow(layers: Sequence[Layer]) -> str | None:
    """Where numbers first leave the precision's range, forward or else backward."""
    forward = [(layer.name, layer.linear) for layer in layers]
    backward = [(layer.name, layer.gradient) for layer in reversed(layers)]
    found = (name for name, quantity in [*forward, *backward] if quantity.high is None)
    return next(found, None)


def outlook_of(architecture: Architecture, laws: LayerLaws, *, batch_size: int) -> Outlook | None:
    """Mean-field prediction for equal hidden layers with the laws of one of them.

    None where theory does not apply: fewer than two hidden layers, different widths, equal weights,
    biases with a mean, a norm without a theory.
    """
    hidden = architecture.widths[1:-1]
    weight, bias = laws.weight, laws.bias
    if len(hidden) < 2 or len(set(hidden)) > 1 or weight.sd == 0 or (bias and bias.mean):
        return None
    activation, placement = architecture.activation, architecture.placement
    if placement != NONE and architecture.norm.kind not in NORM_THEORIES:
        return None
    variance = bias.sd**2 if bias else 0.0
    scaled = hidden[0] * weight.sd**2
    if weight.scaled_by_data:
        square = (weight.limit or 1.0) ** 2
        read = mean_square(activation, square if placement == NONE else 1.0)
        scaled = square / (1.0 if placement == POST else read)
    if placement == NONE:
        found = fixed_point(activation, weight=scaled, bias=variance)
        return Outlook(weight=scaled, q=found.q, chi=found.chi, depth=found.depth)
    q = next_q(activation, 1.0, weight=scaled, bias=variance, placement=placement)
    if placement == PRE:
        growth = gradient_growth(activation, batch_size=batch_size)
        limit = gradient_growth(activation)
    else:
        growth, limit = chi(activation, q, weight=scaled, placement=POST), None
    return Outlook(weight=scaled, q=q, chi=growth, depth=depth_scale(growth), large_batch_chi=limit)


def advice_for(activation: str) -> Advice:
    """The weights at which chi is 1 (Schoenholz et al. 2017), as a scheme and its gain."""
    weight = critical_weight(activation)
    if weight is None:
        return Advice(weight=None, scheme=None, gain=1.0)
    for scheme, of_scheme in (("lecun_normal", 1.0), ("he_normal", 2.0)):
        if abs(weight / of_scheme - 1) < 0.01:
            return Advice(weight=weight, scheme=scheme, gain=1.0)
    return Advice(weight=weight, scheme="lecun_normal", gain=math.sqrt(weight))
