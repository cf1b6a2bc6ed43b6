"""What is known of a config before training, layer by layer: predicted beside measured."""

from __future__ import annotations

from dataclasses import dataclass

from bninit.analysis.outlook import Advice, Outlook
from bninit.config import Config
from bninit.nets.inventory import ParameterRow
from bninit.nets.laws import Law

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
