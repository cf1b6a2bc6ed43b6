"""All layers of a network before training: what theory says of one mini-batch.

What goes in of the data are the second moments of the mini-batch that the first linear layer reads,
and of the loss its gradient at the logits: those are measured. Everything between is worked out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bninit.nets.architecture import Architecture
from bninit.nets.initialisers import Law
from bninit.theory.gaussian import Floats, function_of
from bninit.theory.layers import (
    Kind,
    Signal,
    activation_of,
    back,
    hidden_kinds,
    linear,
    norm_of,
    passed_on,
)

_SETTLED = 1e-4
_LARGEST = 1e280


@dataclass(frozen=True, kw_only=True)
class LayerLaws:
    """The laws of one linear layer.

    Attributes:
        fan_in: Units that it reads.
        fan_out: Units that it has.
        weight: Of its weights.
        bias: Of its biases; None for a layer without.
    """

    fan_in: int
    fan_out: int
    weight: Law
    bias: Law | None


@dataclass(frozen=True, kw_only=True)
class LayerPrediction:
    """What theory says of a layer, as means over units (or weights) and examples.

    Attributes:
        linear: Mean square of the linear output.
        norm: Mean square of batch norm's output; None without one.
        activation: Mean square of the activation's output; None in the output layer.
        gradient: Mean square of the gradient with respect to the linear output.
        weight_gradient: Mean square of the gradient with respect to the weights.
    """

    linear: float
    norm: float | None
    activation: float | None
    gradient: float
    weight_gradient: float


@dataclass(frozen=True, kw_only=True)
class _Forward:
    """What one layer's forward pass leaves for its backward pass.

    Attributes:
        read: What the linear layer reads.
        weight_variance: Of its weights.
        linear: Its output.
        kinds: Its units' ways on; none in the output layer.
    """

    read: Signal
    weight_variance: float
    linear: Signal
    kinds: list[Kind]


def predict(
    architecture: Architecture,
    laws: Sequence[LayerLaws],
    *,
    inputs: Signal,
    output_gradient: Floats,
    lsuv_gain: float = 1.0,
    lsuv_inputs: Signal | None = None,
) -> list[LayerPrediction]:
    """Signals forward and gradients backward, layer by layer.

    Args:
        architecture: The shape of the network.
        laws: Of each linear layer.
        inputs: What the first linear layer reads: means over the features.
        output_gradient: Mean over the classes of the product of two examples' gradients with
            respect to the logits, (example, example).
        lsuv_gain: The standard deviation that ``lsuv`` gives each layer's output.
        lsuv_inputs: What the first linear layer reads of images on which ``lsuv`` measures;
            ``inputs`` by default.

    Raises:
        OverflowError: A signal grows beyond what float64 holds.
    """
    if any(law.weight.scaled_by_data for law in laws):
        measured = inputs if lsuv_inputs is None else lsuv_inputs
        laws = _scaled(architecture, laws, inputs=measured, gain=lsuv_gain)
    passed = _forward(architecture, laws, inputs=inputs)
    return _backward(architecture, laws, passed, output_gradient=output_gradient)


def _forward(
    architecture: Architecture,
    laws: Sequence[LayerLaws],
    *,
    inputs: Signal,
    lsuv_gain: float | None = None,
) -> list[_Forward]:
    function = function_of(architecture.activation)
    placement = architecture.placement
    read = inputs
    passed: list[_Forward] = []
    for number, law in enumerate(laws, start=1):
        variance = law.weight.sd**2
        if lsuv_gain is not None:
            variance = _variance_that_gives(lsuv_gain, law, read)
        out = linear(
            read,
            fan_in=law.fan_in,
            weight_mean=law.weight.mean,
            weight_variance=variance,
            bias_mean=law.bias.mean if law.bias else 0.0,
            bias_variance=law.bias.sd**2 if law.bias else 0.0,
        )
        if not out.mean_square < _LARGEST:
            raise OverflowError(f"the signal of layer {number} has no end")
        kinds: list[Kind] = []
        if number < len(laws):
            # Deep layers settle: what was worked out for an equal one holds again.
            settled = passed and _is_settled(passed[-1].linear, out)
            kinds = passed[-1].kinds if settled else hidden_kinds(function, out, architecture.norm)
        passed.append(_Forward(read=read, weight_variance=variance, linear=out, kinds=kinds))
        read = passed_on(kinds, placement=placement) if kinds else read
    return passed


def _backward(
    architecture: Architecture,
    laws: Sequence[LayerLaws],
    passed: Sequence[_Forward],
    *,
    output_gradient: Floats,
) -> list[LayerPrediction]:
    gradient = output_gradient
    found: list[LayerPrediction] = []
    for place in reversed(range(len(laws))):
        here = passed[place]
        if place + 1 < len(laws):
            # A common mean of all weights sends on the sum of the gradients of the layer above,
            # and that is 0 for the softmax's, so that nothing comes from it further down either.
            above = laws[place + 1]
            gradient = above.fan_out * passed[place + 1].weight_variance * gradient
            gradient = back(here.kinds, gradient, architecture.norm)
        norm = norm_of(here.kinds)
        found.append(
            LayerPrediction(
                linear=here.linear.mean_square,
                norm=norm.mean_square if norm else None,
                activation=activation_of(here.kinds).mean_square if here.kinds else None,
                gradient=float(np.diagonal(gradient).mean()),
                weight_gradient=float((here.read.second * gradient).sum()),
            )
        )
    return found[::-1]


def _scaled(
    architecture: Architecture, laws: Sequence[LayerLaws], *, inputs: Signal, gain: float
) -> list[LayerLaws]:
    """The laws after ``lsuv`` has scaled layer after layer to a standard deviation of the gain."""
    passed = _forward(architecture, laws, inputs=inputs, lsuv_gain=gain)
    return [
        replace(law, weight=replace(law.weight, sd=math.sqrt(layer.weight_variance)))
        for law, layer in zip(laws, passed, strict=True)
    ]


def _variance_that_gives(gain: float, law: LayerLaws, read: Signal) -> float:
    """Of the weights, so that the output's is gain^2; that of the law where nothing is read."""
    bias_variance = law.bias.sd**2 if law.bias else 0.0
    reached = law.fan_in * read.mean_square
    return max(gain**2 - bias_variance, 0.0) / reached if reached > 0 else law.weight.sd**2


def _is_settled(before: Signal, now: Signal) -> bool:
    """Whether a layer's output is as good as that of the layer before, whatever its scale."""
    away = float(np.abs(now.second - before.second).max())
    return away <= _SETTLED * before.mean_square and bool(np.array_equal(now.mean, before.mean))
