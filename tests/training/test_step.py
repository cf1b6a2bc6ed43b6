"""Several steps of a stack against nn.Sequential, trained with autograd and torch.optim."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from shapes import drawn, initial, shape
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from bninit.nets.activations import ACTIVATIONS
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.settings import BiasSettings
from bninit.training.evaluation import collect_population_statistics
from bninit.training.optimisers import build_optimiser
from bninit.training.settings import AdamSettings, AdamWSettings, Optimiser, SGDSettings
from bninit.training.steps import train_step

NUM_REPLICAS, NUM_EXAMPLES, BATCH = 2, 40, 9

# Behind BN on the input, some gradients are 0 but for rounding, which Adam with its usual eps
# would blow up to steps of the learning rate's size; hence a larger one here.
OPTIMISERS: dict[str, Optimiser] = {
    "sgd": SGDSettings(),
    "plain": SGDSettings(momentum=0.0),
    "decayed": SGDSettings(momentum=0.8, weight_decay=0.02),
    "nesterov": SGDSettings(momentum=0.8, nesterov=True, weight_decay=0.01),
    "adam": AdamSettings(eps=1e-3),
    "adam with decay": AdamSettings(weight_decay=0.02, betas=(0.8, 0.95), eps=1e-3),
    "adamw": AdamWSettings(weight_decay=0.02, betas=(0.8, 0.99), eps=1e-3),
}
CLASSES = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

SHAPES = [
    (placement, running, input_norm, affine)
    for placement, running, input_norm, affine in itertools.product(
        ("none", "pre", "post"), ("ema", "cumulative", "population"), (False, True), (False, True)
    )
    # Without any batch norm the other two mean nothing.
    if placement != "none" or input_norm or (running, affine) == ("ema", True)
]


def assert_close(found: torch.Tensor, expected: torch.Tensor, *, tolerance: float) -> None:
    # The same as torch.testing.assert_close, which takes most of these tests' time.
    if not torch.allclose(found.cpu(), expected, rtol=tolerance, atol=tolerance):
        torch.testing.assert_close(found.cpu(), expected, rtol=tolerance, atol=tolerance)


def assert_steps_are_equal(
    architecture: Architecture, optimiser: str, *, device: str = "cpu", tolerance: float = 1e-9
) -> None:
    """Three steps; after each, losses, gradients, parameters and statistics; then evaluation."""
    close = partial(assert_close, tolerance=tolerance)
    settings, running = OPTIMISERS[optimiser], architecture.norm.running
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_EXAMPLES, 6, generator=generator, dtype=torch.float64) * 2 + 1
    y = torch.randint(0, 10, (NUM_EXAMPLES,), generator=generator)
    init = initial(bias=BiasSettings(scheme="normal", std=0.3))
    network = drawn(architecture, seeds=range(NUM_REPLICAS), init=init, device=device, spread=True)
    mine = build_optimiser(network.parameters, settings)
    plain: list[nn.Sequential] = []
    for i in range(NUM_REPLICAS):
        one = build_sequential(architecture, dtype=torch.float64)
        one.load_state_dict(network.state(i))
        plain.append(one)
    options = settings.model_dump(exclude={"name", "lr", "schedule"})
    theirs = [CLASSES[settings.name](one.parameters(), lr=0.1, **options) for one in plain]
    for step in range(3):
        index = torch.stack(
            [torch.randperm(NUM_EXAMPLES, generator=generator)[:BATCH] for _ in plain]
        )
        lr = 0.1 / (step + 1)
        with torch.no_grad():
            loss = train_step(network, mine, x.to(device), y.to(device), index.to(device), lr=lr)
        for i, (one, their) in enumerate(zip(plain, theirs, strict=True)):
            their.zero_grad()
            expected = F.cross_entropy(one(x[index[i]]), y[index[i]])
            expected.backward()
            close(loss[i], expected.detach())
            for parameter, (name, value) in zip(
                network.parameters, one.named_parameters(), strict=True
            ):
                assert parameter.name == name
                assert value.grad is not None
                close(parameter.grad[i], value.grad)
            their.param_groups[0]["lr"] = lr
            their.step()
            tracked = network.state(i)
            for name, value in one.state_dict().items():
                if running != "population" or "weight" in name or "bias" in name:
                    close(tracked[name], value)
    if running == "population":
        with torch.no_grad():
            for _ in range(2):  # the second pass forgets the first
                collect_population_statistics(network, x.to(device), batch_size=BATCH)
        for one in plain:
            update_bn(list(x[: NUM_EXAMPLES // BATCH * BATCH].split(BATCH)), one)
    shared = x.T.expand(NUM_REPLICAS, -1, -1).to(device)
    logits = network.forward(shared, training=False)
    for i, one in enumerate(plain):
        close(logits[i].T, one.eval()(x).detach())
        for name, value in one.state_dict().items():
            close(network.state(i)[name], value)


@pytest.mark.parametrize(
    ("kind", "optimiser"),
    # Each kind with two optimisers, each optimiser with many kinds.
    [*zip(SHAPES, itertools.cycle(OPTIMISERS)), *zip(SHAPES, itertools.cycle(["adamw", "sgd"]))],
)
def test_steps_are_those_of_a_sequential(kind: tuple[str, str, bool, bool], optimiser: str) -> None:
    placement, running, input_norm, affine = kind
    architecture = shape(
        (6, 8, 7, 10),
        placement=placement,
        running=running,
        input_norm=input_norm,
        affine=affine,
        momentum=0.3,
        eps=0.01,
    )
    assert_steps_are_equal(architecture, optimiser)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_softmax_regression(optimiser: str) -> None:
    for input_norm, bias in itertools.product((False, True), repeat=2):
        assert_steps_are_equal(shape((6, 10), input_norm=input_norm, bias=bias), optimiser)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_every_activation_with_and_without_biases(activation: str, placement: str) -> None:
    for bias in (False, True):
        architecture = shape((6, 8, 7, 10), activation=activation, placement=placement, bias=bias)
        assert_steps_are_equal(architecture, "sgd")


@pytest.mark.parametrize(
    ("placement", "optimiser"), [("none", "nesterov"), ("pre", "adamw"), ("post", "sgd")]
)
def test_steps_on_every_device(placement: str, optimiser: str, device: str) -> None:
    architecture = shape((6, 8, 7, 10), placement=placement, activation="elu", input_norm=True)
    assert_steps_are_equal(architecture, optimiser, device=device, tolerance=1e-8)
