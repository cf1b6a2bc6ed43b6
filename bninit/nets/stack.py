"""A stack: networks of the same shape that train together as one batched program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from bninit.nets.activations import ACTIVATIONS
from bninit.nets.architecture import Architecture
from bninit.nets.layers import Elementwise, Layer, Linear
from bninit.nets.norm import NORMS, POPULATION, BatchNorm
from bninit.nets.parameter import Parameters
from bninit.nets.products import FULL


class StackedMLP:
    """Multilayer perceptrons of one shape, trained and evaluated in one batched program.

    Each network equals an ``nn.Sequential`` of ``nn.Linear``, ``nn.BatchNorm1d`` and activations
    (see `bninit.nets.reference`), and on the CPU its numbers do not depend on the others.

    Args:
        architecture: The shape that they share.
        weights: For each linear layer, (replica, fan_out, fan_in).
        biases: For each linear layer, (replica, fan_out), or None where it has none.
        precision: Of matrix products; see `bninit.nets.products.PRECISIONS`.

    Raises:
        ValueError: A tensor does not fit the architecture.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor | None],
        precision: str = FULL,
    ) -> None:
        self.architecture = architecture
        self.precision = precision
        self.num_replicas = weights[0].size(0)
        self.dtype, self.device = weights[0].dtype, weights[0].device
        _check(architecture, weights, biases)
        self.layers: list[Layer] = []
        for place, (kind, number) in enumerate(architecture.kinds()):
            layer: Layer
            if kind == "linear":
                layer = Linear(
                    str(place),
                    weight=weights[number - 1].contiguous(),
                    bias=biases[number - 1],
                    first=not any(before.parameters for before in self.layers),
                    precision=precision,
                )
            elif kind == "norm":
                layer = NORMS[architecture.norm.kind](
                    str(place),
                    architecture.norm,
                    num_replicas=self.num_replicas,
                    num_features=architecture.widths[number],
                    dtype=self.dtype,
                    device=self.device,
                )
            else:
                layer = Elementwise(ACTIVATIONS[architecture.activation])
            self.layers.append(layer)
        self.parameters = Parameters([p for layer in self.layers for p in layer.parameters])
        self._first_trained = [bool(layer.parameters) for layer in self.layers].index(True)

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        """The logits of each network.

        Args:
            x: (replica, feature, batch), any strides.
            training: Whether batch norm uses the batch and updates its running statistics.

        Returns:
            (replica, class, batch).
        """
        for layer in self.layers:
            x = layer.forward(x, training=training)
        return x

    def backward(self, dlogits: Tensor) -> None:
        """Fills every parameter's gradient, after a forward pass in training.

        Args:
            dlogits: The gradient with respect to the logits, (replica, class, batch).
        """
        for layer in reversed(self.layers[self._first_trained :]):
            dlogits = layer.backward(dlogits)

    @property
    def batch_norms(self) -> list[BatchNorm]:
        """The batch-norm layers in order."""
        return [layer for layer in self.layers if isinstance(layer, BatchNorm)]

    @property
    def needs_population_pass(self) -> bool:
        """Whether running statistics are to be collected before each evaluation."""
        return self.architecture.norm.running == POPULATION and bool(self.batch_norms)

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and statistics under their names in ``nn.Sequential``, each (replica, ...)."""
        named = {parameter.name: parameter.value for parameter in self.parameters}
        for layer in self.layers:
            named.update(layer.statistics())
        return named

    def state(self, replica: int) -> dict[str, Tensor]:
        """One network's parameters and statistics as ``nn.Sequential`` names them, copied."""
        return {name: value[replica].clone() for name, value in self.tensors().items()}

    def load(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes parameters and statistics from one state per network, as `state` gives them.

        Raises:
            ValueError: Names or shapes differ, or the networks have seen different numbers of
                batches.
        """
        own = self.tensors()
        for replica, state in enumerate(states):
            if set(state) != set(own):
                raise ValueError(f"names differ: {sorted(set(state) ^ set(own))}")
            for name, value in own.items():
                if state[name].shape != value.shape[1:]:
                    raise ValueError(f"{name}: {tuple(state[name].shape)} is not its shape")
                value[replica].copy_(state[name])
        for norm in self.batch_norms:
            counts = {int(state[f"{norm.name}.num_batches_tracked"]) for state in states}
            if len(counts) != 1:
                raise ValueError(f"{norm.name}.num_batches_tracked differs within the stack")
            norm.num_batches_tracked.fill_(counts.pop())

    def select(self, keep: Sequence[int]) -> StackedMLP:
        """A new stack of some of the networks, in the given order, with copies of their state."""
        chosen = StackedMLP(
            self.architecture,
            weights=[layer.weight.value[keep] for layer in self._linears],
            biases=[
                None if layer.bias is None else layer.bias.value[keep] for layer in self._linears
            ],
            precision=self.precision,
        )
        chosen.load([self.state(replica) for replica in keep])
        return chosen

    @property
    def _linears(self) -> list[Linear]:
        return [layer for layer in self.layers if isinstance(layer, Linear)]


def _check(
    architecture: Architecture, weights: Sequence[Tensor], biases: Sequence[Tensor | None]
) -> None:
    num_replicas = weights[0].size(0)
    fans = architecture.fans()
    for layer, ((fan_in, fan_out), weight, bias) in enumerate(
        zip(fans, weights, biases, strict=True), start=1
    ):
        if tuple(weight.shape) != (num_replicas, fan_out, fan_in):
            raise ValueError(
                f"weight of layer {layer} is {tuple(weight.shape)}, not "
                f"{(num_replicas, fan_out, fan_in)}"
            )
        if (bias is not None) != architecture.has_bias(layer):
            raise ValueError(f"layer {layer}: a bias is {'not ' if bias is not None else ''}due")
        if bias is not None and tuple(bias.shape) != (num_replicas, fan_out):
            raise ValueError(f"bias of layer {layer} is {tuple(bias.shape)}")
