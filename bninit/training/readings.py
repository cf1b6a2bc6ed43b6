"""What a probe gets and gives: a stack at one moment of its training, and readings of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from torch import Tensor

from bninit.data.load import Data
from bninit.nets.signals import LayerSignals, read_signals
from bninit.nets.stack import StackedMLP
from bninit.training.evaluation import shared
from bninit.training.running_averages import RunningStatistics

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
class ProbeContext:
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
        memory: What probes keep from one context to the next, by name, each (replica, ...).
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
        x, y = self.data.train_x[: self.probe_size], self.data.train_y[: self.probe_size]
        labels = y.expand(self.network.num_replicas, -1)
        found = read_signals(self.network, shared(self.network, x), labels)
        return [one for one in found if one.layer in self.layers]


Probe: TypeAlias = Callable[[ProbeContext], Iterable[Reading]]


def chosen_layers(num_layers: int) -> frozenset[int]:
    """The 1-based linear layers that are read: all, or of many `MOST_LAYERS`, spread evenly."""
    if num_layers <= MOST_LAYERS:
        return frozenset(range(1, num_layers + 1))
    last = MOST_LAYERS - 1
    return frozenset(1 + (num_layers - 1) * i // last for i in range(MOST_LAYERS))
