"""From what was read of networks before training, and theory, to an explanation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bninit.analysis.explanation import (
    Course,
    DrawnLaw,
    Explanation,
    LayerExplanation,
    Quantity,
)
from bninit.analysis.outlook import advice_for, outlook_of
from bninit.config import Config
from bninit.nets.architecture import NONE, Architecture
from bninit.nets.inventory import parameter_rows
from bninit.nets.laws import Law, bias_law, weight_law
from bninit.store.networks import architecture_of
from bninit.theory.batch_kernel import Signal
from bninit.theory.prediction import LayerLaws, LayerPrediction, predict

if TYPE_CHECKING:
    from bninit.engines.start_signals import LayerReading, StartReading

Floats = npt.NDArray[np.float64]


def explain_start(
    config: Config, reading: StartReading, *, label: str, description: str
) -> Explanation:
    """Set theory beside what was measured.

    Args:
        config: Of the networks.
        reading: What was read of them.
        label: Names it among several.
        description: It in a line of words.
    """
    architecture = architecture_of(config)
    laws = _laws(config, architecture)
    predicted = _predicted(config, architecture, laws, reading)
    layers = tuple(
        _layer(number, law, read, said, architecture, reading.num_examples)
        for number, (law, read, said) in enumerate(
            zip(laws, reading.layers, predicted, strict=True), start=1
        )
    )
    between = laws[1] if len(laws) > 2 else laws[0]
    outlook = outlook_of(
        architecture,
        weight=between.weight,
        bias=between.bias,
        batch_size=config.train.batch_size,
    )
    hidden = layers[:-1]
    near = 1 if architecture.placement == NONE else 2
    return Explanation(
        config=config,
        label=label,
        description=description,
        seeds=reading.seeds,
        num_examples=reading.num_examples,
        input_mean_square=float((reading.inputs**2).mean()),
        loss=_finite(float(reading.loss.mean())),
        layers=layers,
        parameters=tuple(parameter_rows(architecture)),
        gradient=_course([layer.gradient for layer in hidden], first=len(hidden), last=near),
        signal=_course([layer.activation for layer in hidden], first=near, last=len(hidden)),
        outlook=outlook,
        advice=advice_for(config.model.activation),
        overflow=_overflow(layers, reading),
    )


def _laws(config: Config, architecture: Architecture) -> list[LayerLaws]:
    init = config.model.init
    keys = ("gain", "std", "limit", "value", "truncated")
    given = {key: getattr(init, key) for key in keys if getattr(init, key) is not None}
    of_bias = {key: getattr(init.bias, key) for key in ("std", "limit", "value")}
    return [
        LayerLaws(
            fan_in=fan_in,
            fan_out=fan_out,
            weight=weight_law(init.scheme, fan_in=fan_in, fan_out=fan_out, **given),
            bias=bias_law(init.bias.scheme, fan_in=fan_in, fan_out=fan_out, **of_bias)
            if architecture.has_bias(number)
            else None,
        )
        for number, (fan_in, fan_out) in enumerate(architecture.fans(), start=1)
    ]


def _predicted(
    config: Config, architecture: Architecture, laws: Sequence[LayerLaws], reading: StartReading
) -> list[LayerPrediction | None]:
    errors = reading.output_gradients
    try:
        with np.errstate(all="ignore"):
            found = predict(
                architecture,
                laws,
                inputs=_signal(reading.inputs),
                output_gradient=np.einsum("rkb,rkc->bc", errors, errors) / errors[:, :, 0].size,
                lsuv_gain=config.model.init.gain,
                lsuv_inputs=_signal(reading.lsuv_inputs),
            )
    except OverflowError:
        return [None] * len(laws)
    return list(found)


def _signal(x: Floats) -> Signal:
    return Signal(x.mean(axis=0), x.T @ x / len(x))


def _layer(
    number: int,
    law: LayerLaws,
    read: LayerReading,
    said: LayerPrediction | None,
    architecture: Architecture,
    num_examples: int,
) -> LayerExplanation:
    def forward(of_theory: float | None, of_networks: Floats | None) -> Quantity | None:
        return None if of_networks is None else _quantity(of_theory, of_networks)

    def backward(of_theory: float | None, of_networks: Floats, scale: float) -> Quantity:
        root = None if of_theory is None or of_theory < 0 else math.sqrt(of_theory) * scale
        return _quantity(root, np.sqrt(of_networks) * scale)

    is_output = number == architecture.num_hidden + 1
    return LayerExplanation(
        name="output" if is_output else f"hidden {number}",
        fan_in=law.fan_in,
        fan_out=law.fan_out,
        weights=_drawn(law.weight, read.weight_mean, read.weight_sd),
        biases=None
        if law.bias is None or read.bias_mean is None or read.bias_sd is None
        else _drawn(law.bias, read.bias_mean, read.bias_sd),
        linear=_quantity(said.linear if said else None, read.linear),
        norm=forward(said.norm if said else None, read.norm),
        activation=forward(said.activation if said else None, read.activation),
        gradient=backward(said.gradient if said else None, read.gradient, num_examples),
        weight_gradient=backward(said.weight_gradient if said else None, read.weight_gradient, 1.0),
        distinct_units=None if read.distinct_units is None else min(read.distinct_units),
        dead_fraction=None if read.dead is None else _finite(float(read.dead.mean())),
        saturated_fraction=None
        if read.saturated is None
        else _finite(float(read.saturated.mean())),
    )


def _overflow(layers: Sequence[LayerExplanation], reading: StartReading) -> str | None:
    """Where numbers first leave the precision's range, forward or else on the way back."""
    forward = [read.linear for read in reading.layers]
    backward = [read.gradient for read in reading.layers]
    for order, values in ((range(len(layers)), forward), (range(len(layers))[::-1], backward)):
        for place in order:
            if not np.isfinite(values[place]).all():
                return layers[place].name
    return None


def _drawn(law: Law, means: Floats, sds: Floats) -> DrawnLaw:
    mean = float(means.mean())
    square = float((sds**2 + means**2).mean())
    return DrawnLaw(law=law, mean=mean, sd=math.sqrt(max(square - mean**2, 0.0)))


def _quantity(predicted: float | None, values: Floats) -> Quantity:
    measured = None
    if np.isfinite(values).all():
        zero = (values <= 0).any()
        measured = 0.0 if zero else float(np.exp(np.log(values).mean()))
    return Quantity(
        predicted=_finite(predicted),
        measured=measured,
        low=_finite(float(values.min())),
        high=_finite(float(values.max())),
    )


def _course(along: Sequence[Quantity | None], *, first: int, last: int) -> Course | None:
    num_layers = abs(last - first)
    if min(first, last) < 1 or max(first, last) > len(along) or num_layers == 0:
        return None
    begin, end = along[first - 1], along[last - 1]
    if begin is None or end is None:
        return None
    return Course(
        first=first,
        last=last,
        measured=_per_layer(begin.measured, end.measured, num_layers),
        predicted=_per_layer(begin.predicted, end.predicted, num_layers),
    )


def _per_layer(begin: float | None, end: float | None, num_layers: int) -> float | None:
    if not begin or not end:
        return None
    return float(math.exp((math.log(end) - math.log(begin)) / num_layers))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
