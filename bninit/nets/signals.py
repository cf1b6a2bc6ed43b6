"""Units of a layer that are the same unit: they read the same inputs with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bninit.nets.layers import Linear, cross_entropy
from bninit.nets.stack import StackedMLP

TOLERANCE = 1e-4
"""How far apart the weights of equal units may be, as a fraction of their norm.

Equal units get equal gradients, up to the last bits of a matrix product.
"""


def distinct_units(state: Mapping[str, Tensor]) -> list[int]:
    """How many different units each hidden layer has.

    Two units are the same when their incoming weights and biases are, within `TOLERANCE`. Equal
    weights give equal activations and equal gradients, so a layer that starts with one distinct
    unit keeps one however long it trains.

    Args:
        state: Of one network, as ``nn.Sequential`` names it.

    Returns:
        One count for each hidden layer; 0 where weights are not finite.
    """
    layers = [name.removesuffix(".weight") for name, t in state.items() if t.ndim == 2]
    counts = []
    for layer in layers[:-1]:
        rows = state[f"{layer}.weight"].detach().to("cpu", torch.float64)
        bias = state.get(f"{layer}.bias")
        if bias is not None:
            rows = torch.cat([rows, bias.to(rows)[:, None]], dim=1)
        counts.append(_distinct_rows(rows))
    return counts


def _distinct_rows(rows: Tensor) -> int:
    if not torch.isfinite(rows).all():
        return 0
    # Equal rows lie side by side once they are sorted along any direction.
    direction = torch.randn(
        rows.size(1), generator=torch.Generator().manual_seed(0), dtype=rows.dtype
    )
    rows = rows[torch.argsort(rows @ direction)]
    apart = (rows[1:] - rows[:-1]).norm(dim=1)
    norms = rows.norm(dim=1)
    return 1 + int((apart > TOLERANCE * torch.maximum(norms[1:], norms[:-1])).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerSignals:
    """One linear layer and what follows it up to the next, on one mini-batch.

    Gradients are those of each network's mean loss over the batch.

    Attributes:
        layer: 1-based; the output layer is the last.
        linear_in: What the linear layer reads, (replica, fan_in, batch).
        linear_out: Its output, W x + b, (replica, fan_out, batch).
        norm_out: The output of batch norm in this layer, before the activation or after it;
            None without one.
        activation_out: The activation's output; None in the output layer.
        linear_grad: Gradient with respect to `linear_out`.
        weight_grad: Gradient with respect to the weight, (replica, fan_out, fan_in).
    """

    layer: int
    linear_in: Tensor
    linear_out: Tensor
    norm_out: Tensor | None
    activation_out: Tensor | None
    linear_grad: Tensor
    weight_grad: Tensor


def read_signals(network: StackedMLP, x: Tensor, labels: Tensor) -> list[LayerSignals]:
    """Passes a mini-batch forward and its loss backward, as a training step would.

    Batch norm is in training mode. The passes are those of a copy: parameters, their gradients,
    running statistics and counts of batches of the network stay as they are.

    Args:
        network: The stack.
        x: (replica, feature, batch), any strides.
        labels: (replica, batch), class numbers.

    Returns:
        One entry for each linear layer, from the first to the output.

    Raises:
        ValueError: A batch of one with batch norm.
    """
    with torch.no_grad():
        return _read(network.select(range(network.num_replicas)), x, labels)


def _read(network: StackedMLP, x: Tensor, labels: Tensor) -> list[LayerSignals]:
    kinds = list(network.architecture.kinds())
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for layer in network.layers:
        inputs.append(x)
        x = layer.forward(x, training=True)
        outputs.append(x)
    _, gradient = cross_entropy(x, labels)
    places: dict[tuple[str, int], int] = {kind: place for place, kind in enumerate(kinds)}
    gradients: dict[int, Tensor] = {}
    for place in range(len(kinds) - 1, places["linear", 1] - 1, -1):
        gradients[place] = gradient
        gradient = network.layers[place].backward(gradient)

    def output(kind: str, number: int) -> Tensor | None:
        return outputs[places[kind, number]] if (kind, number) in places else None

    found = []
    for number in range(1, network.architecture.num_hidden + 2):
        place = places["linear", number]
        linear = network.layers[place]
        assert isinstance(linear, Linear)
        found.append(
            LayerSignals(
                layer=number,
                linear_in=inputs[place],
                linear_out=outputs[place],
                norm_out=output("norm", number),
                activation_out=output("activation", number),
                linear_grad=gradients[place],
                weight_grad=linear.weight.grad,
            )
        )
    return found
