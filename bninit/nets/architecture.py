"""The shape of a network, without a number in it. Importable without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

NONE = "none"
PRE = "pre"
POST = "post"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of a network: everything but the numbers in it.

    Attributes:
        widths: Units of the input, of each hidden layer, and of the output.
        activation: A name of `ACTIVATIONS`.
        bias: Whether linear layers have biases. One directly before batch norm has none in any
            case: subtracting the batch mean would cancel it.
        placement: Batch norm in the hidden layers: ``none``, ``pre`` (before the activation) or
            ``post`` (after it).
        input_norm: Batch norm on the input.
        eps: Of batch norm.
        momentum: Of batch norm: the weight of the new value.
        affine: Whether batch norm has gamma and beta.
        running: How running statistics are made; see `BatchNorm`.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True
    placement: str = NONE
    input_norm: bool = False
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    running: str = "ema"

    @property
    def num_hidden(self) -> int:
        """Hidden layers."""
        return len(self.widths) - 2

    @property
    def has_batch_norm(self) -> bool:
        """Whether any unit is normalized over the batch."""
        return self.input_norm or (self.placement != NONE and self.num_hidden > 0)

    def kinds(self) -> Iterator[tuple[str, int]]:
        """The layers in order: (``linear`` | ``norm`` | ``activation``, 1-based linear layer).

        Batch norm on the input belongs to layer 0.
        """
        if self.input_norm:
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
        return self.bias and not (self.placement == PRE and layer <= self.num_hidden)


NO_BIAS = "no bias"
NOT_AFFINE = "not affine"

NOTES = {
    NO_BIAS: "batch norm right after the layer would cancel it, so it is left out",
    NOT_AFFINE: "moving mean and moving variance alone, 2 tracked numbers for each node",
}
"""What the notes on layers mean."""

MAX_ROWS = 60
"""From more rows than these, equal hidden layers in a row are told together."""


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
        max_rows: From more rows than these, equal hidden layers in a row are told together.
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
        dropped = architecture.bias and not has_bias
        return ParameterRow(
            layer=layer,
            kind=kind,
            shape=(fan_in, units),
            num_trained=fan_in * units + (units if has_bias else 0),
            num_tracked=0,
            note=NO_BIAS if dropped else "",
        )
    if kind == "norm":
        affine = architecture.affine
        return ParameterRow(
            layer=layer,
            kind="batch norm",
            shape=(units,),
            num_trained=2 * units if affine else 0,
            num_tracked=2 * units,
            note="" if affine else NOT_AFFINE,
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
