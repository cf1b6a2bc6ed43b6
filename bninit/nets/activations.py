"""Activations: each is one function giving its two passes, and one entry in a dict.

The passes are elementwise, take tensors of any shape, and write into a tensor that the caller
gives. The module is importable without torch, so that a config is checked against the names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


class Forward(Protocol):
    """Writes the activation of ``x`` into ``out``."""

    def __call__(self, x: Tensor, *, out: Tensor) -> object:
        """See the class."""


class Backward(Protocol):
    """Writes ``dy`` times the slope into ``out``, given the input ``x`` and the output ``y``."""

    def __call__(self, dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        """See the class."""


@dataclass(frozen=True)
class Activation:
    """One activation function.

    Attributes:
        name: Its name in a config.
        formula: What it computes, as a reader writes it.
        exact: True when both passes use only operations that IEEE 754 rounds exactly (sums,
            products, quotients, comparisons). Then a value does not depend on where in a tensor
            it stands; a vectorized exponential may differ in the last bit between the body of a
            tensor and its tail.
        passes: Imports torch and returns the forward and the backward pass.
        module: Imports torch and returns the equal ``torch.nn`` module.
    """

    name: str
    formula: str
    exact: bool
    passes: Callable[[], tuple[Forward, Backward]]
    module: Callable[[], nn.Module]


LEAKY_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
LECUN_SCALE = 1.7159
LECUN_SLOPE = 2.0 / 3.0


def _relu() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.clamp_min(x, 0.0, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.threshold_backward.grad_input(dy, y, 0.0, grad_input=out)

    return forward, backward


def _leaky_relu() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.ops.aten.leaky_relu.out(x, LEAKY_SLOPE, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.leaky_relu_backward.grad_input(
            dy, x, LEAKY_SLOPE, False, grad_input=out
        )

    return forward, backward


def _elu_family(alpha: float, scale: float) -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.ops.aten.elu.out(x, alpha, scale, 1.0, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.elu_backward.grad_input(
            dy, alpha, scale, 1.0, False, x, grad_input=out
        )

    return forward, backward


def _elu() -> tuple[Forward, Backward]:
    return _elu_family(1.0, 1.0)


def _selu() -> tuple[Forward, Backward]:
    return _elu_family(SELU_ALPHA, SELU_SCALE)


def _gelu() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.ops.aten.gelu.out(x, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.gelu_backward.grad_input(dy, x, grad_input=out)

    return forward, backward


def _silu() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.ops.aten.silu.out(x, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.silu_backward.grad_input(dy, x, grad_input=out)

    return forward, backward


def _tanh() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.tanh(x, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.tanh_backward.grad_input(dy, y, grad_input=out)

    return forward, backward


def _lecun_tanh() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        torch.mul(x, LECUN_SLOPE, out=out)
        return out.tanh_().mul_(LECUN_SCALE)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        torch.mul(y, y, out=out)
        out.mul_(-LECUN_SLOPE / LECUN_SCALE).add_(LECUN_SLOPE * LECUN_SCALE)
        return out.mul_(dy)

    return forward, backward


def _sigmoid() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        return torch.sigmoid(x, out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return torch.ops.aten.sigmoid_backward.grad_input(dy, y, grad_input=out)

    return forward, backward


def _softsign() -> tuple[Forward, Backward]:
    import torch

    def forward(x: Tensor, *, out: Tensor) -> object:
        torch.abs(x, out=out)
        return torch.div(x, out.add_(1.0), out=out)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        torch.abs(x, out=out)
        out.add_(1.0)
        return torch.div(dy, out.mul_(out), out=out)

    return forward, backward


def _identity() -> tuple[Forward, Backward]:
    def forward(x: Tensor, *, out: Tensor) -> object:
        return out.copy_(x)

    def backward(dy: Tensor, *, x: Tensor, y: Tensor, out: Tensor) -> object:
        return out.copy_(dy)

    return forward, backward


def _nn(name: str, **options: float) -> Callable[[], nn.Module]:
    def module() -> nn.Module:
        from torch import nn

        built = getattr(nn, name)(**options)
        assert isinstance(built, nn.Module)
        return built

    return module


def _lecun_tanh_module() -> nn.Module:
    from torch import nn

    class LeCunTanh(nn.Module):
        """1.7159 tanh(2x/3)."""

        def forward(self, x: Tensor) -> Tensor:
            return LECUN_SCALE * (LECUN_SLOPE * x).tanh()

    return LeCunTanh()


_ALL = (
    Activation("relu", "max(0, x)", True, _relu, _nn("ReLU")),
    Activation(
        "leaky_relu", "max(0.01 x, x)", True, _leaky_relu, _nn("LeakyReLU", negative_slope=0.01)
    ),
    Activation("elu", "x if x > 0 else exp(x) - 1", False, _elu, _nn("ELU")),
    # Klambauer et al. 2017, "Self-Normalizing Neural Networks", eq. 2 (arXiv:1706.02515).
    Activation("selu", "1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))", False, _selu, _nn("SELU")),
    Activation("gelu", "x Phi(x), Phi the normal distribution function", False, _gelu, _nn("GELU")),
    Activation("silu", "x / (1 + exp(-x))", False, _silu, _nn("SiLU")),
    Activation("tanh", "tanh(x)", False, _tanh, _nn("Tanh")),
    # LeCun et al. 1998, "Efficient BackProp", section 4.4.
    Activation("lecun_tanh", "1.7159 tanh(2 x / 3)", False, _lecun_tanh, _lecun_tanh_module),
    Activation("sigmoid", "1 / (1 + exp(-x))", False, _sigmoid, _nn("Sigmoid")),
    Activation("softsign", "x / (1 + |x|)", True, _softsign, _nn("Softsign")),
    Activation("identity", "x", True, _identity, _nn("Identity")),
)

ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _ALL}
