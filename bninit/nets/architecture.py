"""The shape of a network, without a number in it. Importable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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
