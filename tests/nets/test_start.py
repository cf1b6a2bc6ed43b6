"""Networks before training: their draws, and what theory says of them exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from shapes import initial, shape

from bninit.nets.architecture import Architecture
from bninit.nets.initialisers import SCHEMES
from bninit.nets.layers import cross_entropy
from bninit.nets.settings import BiasSettings, InitSettings
from bninit.nets.stack import StackedMLP
from bninit.nets.start import Start, draw_start, stack
from bninit.training.seeding import bias_draws, generator, weight_draws

BuildStack = Callable[..., StackedMLP]


def draw(architecture: Architecture, init: InitSettings, *, seed: int = 0) -> Start:
    return draw_start(
        architecture,
        init,
        weight_draws=partial(weight_draws, seed),
        bias_draws=partial(bias_draws, seed),
        dtype=torch.float64,
        examples=torch.rand(700, architecture.widths[0], generator=generator(0, "examples")),
    )


@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "lsuv"])
def test_a_seed_draws_the_same_weights_whatever_the_normalization(scheme: str) -> None:
    init = initial(scheme, value=0.3, std=0.2, limit=0.2)
    first, *others = (
        draw(shape(widths=(6, 9, 10), placement=placement, input_norm=norm), init)
        for placement in ("none", "pre", "post")
        for norm in (False, True)
    )
    for other in others:
        for a, b in zip(first.weights, other.weights, strict=True):
            assert torch.equal(a, b)


def test_biases_follow_their_own_law_where_there_is_one() -> None:
    init = initial(bias=BiasSettings(scheme="constant", value=0.1))
    start = draw(shape(widths=(6, 9, 10), placement="pre"), init)
    assert start.biases[0] is None
    assert start.biases[1] is not None
    assert start.biases[1].tolist() == [0.1] * 10


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_lsuv_sees_the_batch_norm_around_it(placement: str, gain: float) -> None:
    architecture = shape(widths=(6, 30, 20, 10), placement=placement, input_norm=True)
    initialisation = initial("lsuv", gain=gain)
    network = stack(architecture, [draw(architecture, initialisation)], device=torch.device("cpu"))
    examples = torch.rand(700, 6, generator=generator(0, "examples"))[:512].double()
    x = examples.T.unsqueeze(0)
    for (kind, _), layer in zip(architecture.kinds(), network.layers, strict=True):
        x = layer.forward(x, training=True)
        if kind == "linear":
            assert x.var(correction=0).item() == pytest.approx(gain**2, rel=0.021)


def rates(network: StackedMLP, x: torch.Tensor) -> tuple[float, float]:
    """Mean factor per hidden layer, of the mean square forwards and of the gradient's backwards.

    Geometric means over layers and networks. What counts is read where linear layers read; the
    gradient comes in as noise from above.
    """
    layers = list(zip(network.architecture.kinds(), network.layers, strict=True))
    squares, gradients = [], []
    for (kind, _), layer in layers[:-1]:
        if kind == "linear":
            squares.append(x.square().mean(dim=(1, 2)))
        x = layer.forward(x, training=True)
    squares.append(x.square().mean(dim=(1, 2)))
    dy = torch.randn(x.shape, generator=generator(0, "dy"), dtype=x.dtype)
    for (kind, _), layer in reversed(layers[1:-1]):
        dy = layer.backward(dy)
        if kind == "linear":
            gradients.append(dy.square().sum(dim=(1, 2)))
    forwards = (squares[-1] / squares[0]).log().mean() / (len(squares) - 1)
    backwards = (gradients[-1] / gradients[0]).log().mean() / (len(gradients) - 1)
    return forwards.exp().item(), backwards.exp().item()


def wide(
    build_stack: BuildStack,
    *,
    activation: str,
    scheme: str,
    placement: str = "none",
    batch: int = 128,
    scale: float = 1.0,
) -> tuple[float, float]:
    architecture = shape(widths=(*[400] * 6, 10), activation=activation, placement=placement)
    network = build_stack(
        architecture,
        init=initial(scheme),
        dtype=torch.float32,
        spread=False,
    )
    x = scale * torch.randn(3, 400, batch, generator=generator(0, "unit variance"))
    return rates(network, x)


# He et al. 2015, eq. 10: ReLU lets half of the mean square through.
@pytest.mark.parametrize(("scheme", "factor"), [("xavier_normal", 0.5), ("he_normal", 1.0)])
def test_relu_halves_the_mean_square_under_xavier_and_he_makes_up_for_it(
    scheme: str, factor: float, build_stack: BuildStack
) -> None:
    forwards, backwards = wide(build_stack, activation="relu", scheme=scheme)
    assert forwards == pytest.approx(factor, rel=0.05)
    assert backwards == pytest.approx(factor, rel=0.05)


# Glorot & Bengio 2010: with variance 1 / (3 fan_in) signal and gradient lose sqrt(3) a layer.
@pytest.mark.parametrize(
    ("scheme", "factor"), [("torch_default", 1 / math.sqrt(3)), ("xavier_uniform", 1.0)]
)
def test_small_signals_through_tanh(scheme: str, factor: float, build_stack: BuildStack) -> None:
    forwards, backwards = wide(build_stack, activation="tanh", scheme=scheme, scale=1e-3)
    assert math.sqrt(forwards) == pytest.approx(factor, rel=0.02)
    assert math.sqrt(backwards) == pytest.approx(factor, rel=0.02)


# Yang et al. 2019, theorem 8 (arXiv:1902.08129), in the limit of a large batch.
@pytest.mark.parametrize("scheme", ["he_normal", "torch_default"])
def test_gradients_grow_under_batch_norm_before_relu_whatever_the_scheme(
    scheme: str, build_stack: BuildStack
) -> None:
    _, backwards = wide(build_stack, activation="relu", scheme=scheme, placement="pre", batch=800)
    assert backwards == pytest.approx(math.pi / (math.pi - 1), rel=0.015)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_near_zero_logits_cost_ln_10(placement: str, build_stack: BuildStack) -> None:
    initialisation = initial("normal", std=0.001)
    network = build_stack(
        shape(widths=(20, 30, 30, 10), placement=placement),
        init=initialisation,
        spread=False,
    )
    x = torch.randn(3, 20, 50, generator=generator(0, "x"), dtype=torch.float64)
    labels = torch.randint(0, 10, (3, 50), generator=generator(0, "y"))
    loss, _ = cross_entropy(network.forward(x, training=True), labels)
    assert loss.tolist() == pytest.approx([2.3026] * 3, abs=5e-3)


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("value", [0.0, 0.05])
def test_equal_units_get_equal_gradients(
    value: float, activation: str, placement: str, build_stack: BuildStack
) -> None:
    network = build_stack(
        shape(widths=(20, 30, 25, 10), activation=activation, placement=placement),
        init=initial("constant", value=value),
        spread=False,
    )
    x = torch.rand(3, 20, 50, generator=generator(0, "x"), dtype=torch.float64)
    labels = torch.randint(0, 10, (3, 50), generator=generator(0, "y"))
    logits = network.forward(x, training=True)
    loss, dlogits = cross_entropy(logits, labels)
    # Constant weights give every class the same logit.
    assert loss.tolist() == pytest.approx([math.log(10)] * 3, rel=1e-12)
    network.backward(dlogits)
    output = network.parameters[-1].name.split(".")[0]
    for parameter in network.parameters:
        if not parameter.name.startswith(f"{output}."):
            spread = parameter.grad - parameter.grad[:, :1]
            assert spread.abs().max().item() < 1e-15
            if value == 0:
                assert not parameter.grad.any()
    assert network.parameters[-1].grad.any()
