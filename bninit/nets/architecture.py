"""The shape of a network, and its parameters layer by layer. Importable without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from bninit.nets.norm import NORMS

if TYPE_CHECKING:
    from bninit.nets.settings import ModelSettings, NormSettings

NONE = "none"
PRE = "pre"
POST = "post"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of a network: everything but the numbers in it.

    Attributes:
        num_inputs: Features of an example.
        num_classes: Units of the output layer.
        model: Settings of what lies between; the initial values are not looked at.
    """

    num_inputs: int
    num_classes: int
    model: ModelSettings

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Units of the input, of each hidden layer, and of the output."""
        return (self.num_inputs, *self.model.hidden, self.num_classes)

    @property
    def num_hidden(self) -> int:
        """Hidden layers."""
        return len(self.model.hidden)

    @property
    def activation(self) -> str:
        """A name of `ACTIVATIONS`."""
        return self.model.activation

    @property
    def norm(self) -> NormSettings:
        """Settings of the normalization."""
        return self.model.norm

    @property
    def placement(self) -> str:
        """Normalization of hidden layers: none, before (``pre``) or after the activation."""
        return self.model.norm.placement

    def kinds(self) -> Iterator[tuple[str, int]]:
        """The layers in order: (``linear`` | ``norm`` | ``activation``, 1-based linear layer).

        Normalization of the input belongs to layer 0.
        """
        if self.norm.input:
            yield "norm", 0
        for layer in range(1, self.num_hidden + 1):
            yield "linear", layer
            if self.placement == PRE:
                yield "norm", layer
            yield "activation", layer
            if self.placement == POST:
                yield "norm", layer
        yield "linear", self.num_hidden + 1

    def fans(self) -> list[tuple[int, int]]:
        """(fan_in, fan_out) of each linear layer."""
        return list(pairwise(self.widths))

    def has_bias(self, layer: int) -> bool:
        """Whether the 1-based linear layer keeps its bias."""
        is_before_norm = self.placement == PRE and layer <= self.num_hidden
        return self.model.bias and not (is_before_norm and NORMS[self.norm.kind].cancels_bias)


NO_BIAS = "no bias"

NOTES = {
    NO_BIAS: "batch norm right after the layer would cancel it, so it is left out",
    **{note: text for norm in NORMS.values() for note, text in norm.notes.items()},
}
"""What the notes on layers mean."""

MAX_ROWS = 60
"""From more rows than these, equal hidden layers in a row share their rows."""


@dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """One layer, or several equal hidden layers in a row.

    Attributes:
        layer: ``input``, ``hidden 1``, ``hidden 2 to 9`` or ``output``.
        kind: ``linear``, ``batch norm`` or the activation's name.
        shape: (fan_in, fan_out) of a linear layer, else (units,).
        num_trained: Numbers that the optimiser changes: weights and biases, gamma and beta.
        num_tracked: Numbers that follow the data without being trained: moving mean and variance
            of batch norm. Its count of batches, one whole number, is not among them.
        note: A key of `NOTES`, or nothing.
    """

    layer: str
    kind: str
    shape: tuple[int, ...]
    num_trained: int
    num_tracked: int
    note: str = ""


def parameter_rows(architecture: Architecture, *, max_rows: int = MAX_ROWS) -> list[ParameterRow]:
    """Count the parameters of one network, in the order of its forward pass.

    Batch norm has four numbers for each unit: gamma and beta, which are trained, and the moving
    mean and variance, which are tracked; a layer of 5 nodes has 20, 10 of them trained.

    Args:
        architecture: The shape of the network.
        max_rows: See `MAX_ROWS`.
    """
    layers = [
        [_row(architecture, kind, number) for kind, number in group]
        for _, group in groupby(architecture.kinds(), key=lambda item: item[1])
    ]
    if sum(map(len, layers)) > max_rows:
        layers = _together(layers)
    return [row for layer in layers for row in layer]


def num_trained(rows: Iterable[ParameterRow]) -> int:
    """Trained numbers in all."""
    return sum(row.num_trained for row in rows)


def num_tracked(rows: Iterable[ParameterRow]) -> int:
    """Tracked numbers in all."""
    return sum(row.num_tracked for row in rows)


def _row(architecture: Architecture, kind: str, number: int) -> ParameterRow:
    units = architecture.widths[number]
    is_output = number == architecture.num_hidden + 1
    layer = "input" if number == 0 else "output" if is_output else f"hidden {number}"
    if kind == "linear":
        fan_in = architecture.widths[number - 1]
        has_bias = architecture.has_bias(number)
        dropped = architecture.model.bias and not has_bias
        return ParameterRow(
            layer=layer,
            kind=kind,
            shape=(fan_in, units),
            num_trained=fan_in * units + (units if has_bias else 0),
            num_tracked=0,
            note=NO_BIAS if dropped else "",
        )
    if kind == "norm":
        norm = NORMS[architecture.norm.kind]
        trained, tracked, note = norm.count_numbers(architecture.norm, units)
        return ParameterRow(
            layer=layer,
            kind=norm.label,
            shape=(units,),
            num_trained=trained,
            num_tracked=tracked,
            note=note,
        )
    return ParameterRow(
        layer=layer, kind=architecture.activation, shape=(units,), num_trained=0, num_tracked=0
    )


def _together(layers: list[list[ParameterRow]]) -> list[list[ParameterRow]]:
    """Puts runs of layers that differ in nothing but their number into one each."""
    found = []
    for _, group in groupby(layers, key=lambda rows: [replace(row, layer="") for row in rows]):
        equal = list(group)
        times = len(equal)
        if times == 1:
            found.append(equal[0])
            continue
        label = f"{equal[0][0].layer} to {equal[-1][0].layer.removeprefix('hidden ')}"
        found.append(
            [
                replace(
                    row,
                    layer=label,
                    num_trained=times * row.num_trained,
                    num_tracked=times * row.num_tracked,
                )
                for row in equal[0]
            ]
        )
    return found
