"""What is known of a config before training, layer by layer: predicted beside measured."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bninit.config import Config, Override, arm_id
from bninit.errors import UserError
from bninit.nets.architecture import NONE, POST, PRE, Architecture, ParameterRow, parameter_rows
from bninit.nets.initialisers import Law, bias_law, weight_law
from bninit.store.networks import architecture_of
from bninit.store.output import joined_name, keep_findings
from bninit.theory.batch_norm import gradient_growth
from bninit.theory.layers import Signal
from bninit.theory.mean_field import chi, critical_weight, fixed_point, mean_square, next_q
from bninit.theory.prediction import LayerLaws, LayerPrediction, predict
from bninit.verbs.train.train import describe, resolve

if TYPE_CHECKING:
    from bninit.verbs.explain.measure import LayerReading, StartReading

VANISHING = 0.1
"""A gradient that falls below this share of its size on its way through the layers vanishes."""

NOTHING = 1e-7
"""What is below this share of the output layer's gradient is rounding."""

MANY_DEAD = 0.1
MANY_SATURATED = 0.7
"""Half of a ReLU layer is flat by nature."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a layer; None for what is not finite or not known.

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
class DrawnLaw:
    """The law of a layer's weights or biases, beside what was drawn from it.

    Attributes:
        law: With the layer's numbers.
        mean: Of what was drawn, all networks together.
        sd: Of what was drawn.
    """

    law: Law
    mean: float
    sd: float


@dataclass(frozen=True, kw_only=True)
class LayerExplanation:
    """One linear layer and what follows it.

    Attributes:
        name: ``hidden 3`` or ``output``.
        fan_in: Units that it reads.
        fan_out: Units that it has.
        weights: Their law, and what was drawn.
        biases: The same of its biases; None for a layer without.
        linear: Mean square of the linear output.
        norm: Mean square of batch norm's output; None without one.
        activation: Mean square of the activations; None in the output layer.
        gradient: SD (about 0) of the gradient of one example's loss with respect to the linear
            output.
        weight_gradient: SD (about 0) of the gradient of the mini-batch's mean loss with respect
            to the weights.
        distinct_units: Different units, the fewest of the networks; None in the output layer.
        dead_fraction: Units with equal activations for all examples, mean of the networks.
        saturated_fraction: Where the activation is all but flat, mean of the networks.
    """

    name: str
    fan_in: int
    fan_out: int
    weights: DrawnLaw
    biases: DrawnLaw | None
    linear: Quantity
    norm: Quantity | None
    activation: Quantity | None
    gradient: Quantity
    weight_gradient: Quantity
    distinct_units: int | None
    dead_fraction: float | None
    saturated_fraction: float | None


@dataclass(frozen=True, kw_only=True)
class Course:
    """How something changes over the hidden layers, as a factor for each layer.

    Attributes:
        first: Where it begins: 1 is the first hidden layer.
        last: Where it ends.
        measured: Factor for each layer; None where one end is 0 or not finite.
        predicted: The same by theory.
    """

    first: int
    last: int
    measured: float | None
    predicted: float | None

    @property
    def num_layers(self) -> int:
        """Layers that are passed."""
        return abs(self.last - self.first)

    @property
    def total(self) -> float | None:
        """The factor over all of them, measured."""
        return None if self.measured is None else self.measured**self.num_layers


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """All that is known of a config before training.

    Attributes:
        config: What was asked.
        label: Names it among several.
        description: It in a line of words.
        seeds: Of the networks that were looked at.
        num_examples: Of the mini-batch.
        input_mean_square: Of what the first linear layer reads.
        loss: Mean over networks, nats; None where it is not finite.
        layers: From the first to the output.
        parameters: As batch norm counts them.
        gradient: SD of the gradient from the last hidden layer back to the first; None where
            that is no way. Under batch norm to the second, as the first divides by the SD of
            images.
        signal: Mean square of the activations from there on; None likewise.
        outlook: What theory expects of many such layers; None where it cannot say.
        advice: Which weights theory advises for the activation.
        overflow: The first layer whose numbers are beyond the precision; None if there is none.
    """

    config: Config
    label: str
    description: str
    seeds: tuple[int, ...]
    num_examples: int
    input_mean_square: float
    loss: float | None
    layers: tuple[LayerExplanation, ...]
    parameters: tuple[ParameterRow, ...]
    gradient: Course | None
    signal: Course | None
    outlook: Outlook | None
    advice: Advice
    overflow: str | None

    @property
    def hidden(self) -> tuple[LayerExplanation, ...]:
        """The hidden layers."""
        return self.layers[:-1]

    @property
    def is_symmetric(self) -> bool:
        """Whether each hidden layer of more than one unit acts as one unit."""
        wide = [layer for layer in self.hidden if layer.fan_out > 1]
        return bool(wide) and all(layer.distinct_units == 1 for layer in wide)

    @property
    def has_no_gradient(self) -> bool:
        """Whether nothing but rounding comes back to the hidden layers, in theory and measured."""
        largest = NOTHING * (self.layers[-1].gradient.measured or 0.0)
        found = [layer.gradient for layer in self.hidden]
        if not found or any(one.predicted != 0 for one in found):
            return False
        # Further down, large weights blow rounding up.
        return found[-1].measured is not None and found[-1].measured <= largest

    @property
    def gradient_fate(self) -> str | None:
        """``vanishes``, ``explodes`` or ``holds`` over the layers of this network."""
        total = self.gradient.total if self.gradient else None
        if total is None or self.has_no_gradient:
            return None
        if total < VANISHING:
            return "vanishes"
        return "explodes" if total > 1 / VANISHING else "holds"


_CLOSE = 0.01


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The weights with which gradients neither vanish nor explode, without batch norm.

    Attributes:
        weight: fan_in times their variance; None where no weights do it.
        scheme: A scheme that has them; None where there is none.
        gain: Of that scheme.
    """

    weight: float | None
    scheme: str | None
    gain: float


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Where equal hidden layers of a network's law lead.

    Attributes:
        weight: fan_in times the variance of a hidden layer's weights.
        q: Mean square of the pre-activations in the end; inf where it grows without end.
        chi: Factor on the gradient's mean square for each layer back.
        depth: Layers over which that changes by e; inf where it does not.
        large_batch_chi: The same in a large batch; None without batch norm before the activation.
    """

    weight: float
    q: float
    chi: float
    depth: float
    large_batch_chi: float | None = None

    @property
    def factor(self) -> float:
        """On the SD of the gradient, for each layer back."""
        return math.sqrt(self.chi)


def outlook_of(
    architecture: Architecture, *, weight: Law, bias: Law | None, batch_size: int
) -> Outlook | None:
    """What theory expects of equal hidden layers.

    Args:
        architecture: The shape of the network.
        weight: Law of the weights between two hidden layers.
        bias: Law of the biases there.
        batch_size: Examples that are normalized together.

    Returns:
        None where theory has nothing to say: fewer than two hidden layers, widths that differ,
        equal weights, biases with a mean.
    """
    hidden = architecture.widths[1:-1]
    if len(hidden) < 2 or len(set(hidden)) > 1 or weight.sd == 0 or (bias and bias.mean):
        return None
    activation, placement = architecture.activation, architecture.placement
    bias_variance = bias.sd**2 if bias else 0.0
    scaled = hidden[0] * weight.sd**2
    if weight.scaled_by_data:
        square = (weight.limit or 1.0) ** 2
        read = mean_square(activation, square if placement == NONE else 1.0)
        scaled = square / (1.0 if placement == POST else read)
    if placement == NONE:
        found = fixed_point(activation, weight=scaled, bias=bias_variance)
        return Outlook(weight=scaled, q=found.q, chi=found.chi, depth=found.depth)
    q = next_q(activation, 1.0, weight=scaled, bias=bias_variance, placement=placement)
    if placement == PRE:
        growth = gradient_growth(activation, batch_size=batch_size)
        limit = gradient_growth(activation)
    else:
        growth = chi(activation, q, weight=scaled, placement=POST)
        limit = None
    depth = 0.0 if math.isinf(growth) else _depth(growth)
    return Outlook(weight=scaled, q=q, chi=growth, depth=depth, large_batch_chi=limit)


def advice_for(activation: str) -> Advice:
    """The weights at which chi is 1 (Schoenholz et al. 2017), and their usual name.

    Args:
        activation: A key of `ACTIVATIONS`.
    """
    weight = critical_weight(activation)
    if weight is None:
        return Advice(weight=None, scheme=None, gain=1.0)
    for scheme, of_scheme in (("lecun_normal", 1.0), ("he_normal", 2.0)):
        if abs(weight / of_scheme - 1) < _CLOSE:
            return Advice(weight=weight, scheme=scheme, gain=1.0)
    return Advice(weight=weight, scheme="lecun_normal", gain=math.sqrt(weight))


def _depth(factor: float) -> float:
    log = abs(math.log(factor))
    return math.inf if log < 1e-10 else 1 / log


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


EXPLANATIONS = "explain"
"""Folder in the runs folder for explanations."""

PICTURE = "explain.png"
TABLE = "explain.json"


def explain(
    configs: Config
    | Mapping[str, object]
    | str
    | os.PathLike[str]
    | Sequence[Config | Mapping[str, object] | str | os.PathLike[str]],
    *,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Explanation]:
    """Tell what networks do before any training: signals, gradients, units, layer by layer.

    Nothing is trained and nothing is written.

    Args:
        configs: One config or several: configs, dicts with the keys of a config file, or files.
        overrides: ``key=value``, as after ``--set``, for each of them.
        seeds: Of the networks that are drawn of each config; its first one by default.
        data_dir: Folder searched first for data sets.

    Returns:
        One explanation for each config, in their order.

    Raises:
        ConfigError: All faults of a config at once.
        DataError: The data set is missing or damaged.
        UserError: No config, or one that is given twice.
    """
    from bninit.verbs.explain.measure import read_start

    several = (
        [configs] if isinstance(configs, Config | Mapping | str | os.PathLike) else list(configs)
    )
    asked = [resolve(config, overrides=overrides) for config in several]
    labels = _labels(asked)
    folder = None if data_dir is None else Path(data_dir)
    return [
        explain_start(
            config,
            read_start(config, seeds=seeds or config.train.seeds[:1], data_dir=folder),
            label=label,
            description=describe(config),
        )
        for config, label in zip(asked, labels, strict=True)
    ]


def keep_explanations(
    found: Sequence[Explanation],
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
) -> Path:
    """Write the picture of some explanations, with the figures beside it.

    Args:
        found: What to keep; what was there under the name is replaced.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the configs' by default.

    Returns:
        The folder ``<runs_dir>/explain/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.verbs.explain.pictures import explanations_png
    from bninit.verbs.explain.tables import json_text

    return keep_findings(
        {PICTURE: explanations_png(found), TABLE: json_text(found)},
        runs_dir=runs_dir,
        kind=EXPLANATIONS,
        name=default_name(found) if name is None else name,
    )


def default_name(found: Sequence[Explanation]) -> str:
    """A name made of the configs', the same for the same configs."""
    return joined_name([one.label for one in found], ids=[arm_id(one.config) for one in found])


def _labels(configs: Sequence[Config]) -> list[str]:
    """The configs' names, with their ids where names come twice.

    Raises:
        UserError: There is none, or two are the same arm under the same name.
    """
    if not configs:
        raise UserError("no config is named", hint="name one or more config files")
    names = [config.name for config in configs]
    labels = [
        name if names.count(name) == 1 else f"{name}-{arm_id(config)}"
        for name, config in zip(names, configs, strict=True)
    ]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{label} is given twice", hint="name each config once")
    return labels
