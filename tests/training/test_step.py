"""Several steps of a stack against nn.Sequential, trained with autograd and torch.optim."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.stack import StackedMLP
from bninit.nets.start import Initialisation, draw_start, stack
from bninit.training.evaluation import collect_population_statistics
from bninit.training.optimisers import OptimiserSettings, build_optimiser
from bninit.training.seeding import bias_draws, weight_draws
from bninit.training.steps import train_step

NUM_REPLICAS, NUM_EXAMPLES, BATCH = 2, 36, 9

# Behind BN on the input, some gradients are 0 but for rounding, which Adam with its usual eps
# would blow up to steps of the learning rate's size; hence a larger one here.
OPTIMISERS: dict[str, tuple[OptimiserSettings, Any]] = {
    "sgd": (
        OptimiserSettings(name="sgd", momentum=0.9),
        partial(torch.optim.SGD, momentum=0.9),
    ),
    "nesterov": (
        OptimiserSettings(name="sgd", momentum=0.8, nesterov=True, weight_decay=0.01),
        partial(torch.optim.SGD, momentum=0.8, nesterov=True, weight_decay=0.01),
    ),
    "adam": (
        OptimiserSettings(name="adam", weight_decay=0.01, eps=1e-3),
        partial(torch.optim.Adam, weight_decay=0.01, eps=1e-3),
    ),
    "adamw": (
        OptimiserSettings(name="adamw", weight_decay=0.02, betas=(0.8, 0.99), eps=1e-3),
        partial(torch.optim.AdamW, weight_decay=0.02, betas=(0.8, 0.99), eps=1e-3),
    ),
}

SHAPES = [
    (placement, running, input_norm, affine)
    for placement, running, input_norm, affine in itertools.product(
        ("none", "pre", "post"), ("ema", "cumulative", "population"), (False, True), (False, True)
    )
    # Without any batch norm the other two mean nothing.
    if placement != "none" or input_norm or (running, affine) == ("ema", True)
]


def build(architecture: Architecture, device: str) -> StackedMLP:
    starts = [
        draw_start(
            architecture,
            Initialisation(bias_scheme="normal", bias_parameters={"std": 0.3}),
            weight_draws=partial(weight_draws, seed),
            bias_draws=partial(bias_draws, seed),
            dtype=torch.float64,
            examples=torch.empty(0, architecture.widths[0]),
        )
        for seed in range(NUM_REPLICAS)
    ]
    return stack(architecture, starts, device=torch.device(device))


def assert_close(found: torch.Tensor, expected: torch.Tensor, *, tolerance: float) -> None:
    # The same as torch.testing.assert_close, which takes most of these tests' time.
    if not torch.allclose(found.cpu(), expected, rtol=tolerance, atol=tolerance):
        torch.testing.assert_close(found.cpu(), expected, rtol=tolerance, atol=tolerance)


def assert_steps_are_equal(
    architecture: Architecture, optimiser: str, *, device: str = "cpu", tolerance: float = 1e-9
) -> None:
    """Three steps; after each, losses, gradients, parameters and statistics; then evaluation."""
    close = partial(assert_close, tolerance=tolerance)
    settings, torchs = OPTIMISERS[optimiser]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_EXAMPLES, 6, generator=generator, dtype=torch.float64) * 2 + 1
    y = torch.randint(0, 10, (NUM_EXAMPLES,), generator=generator)
    network = build(architecture, device)
    mine = build_optimiser(network.parameters, settings)
    plain: list[nn.Sequential] = []
    for i in range(NUM_REPLICAS):
        one = build_sequential(architecture, dtype=torch.float64)
        one.load_state_dict(network.state(i))
        plain.append(one)
    theirs = [torchs(one.parameters(), lr=0.1) for one in plain]
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
                if architecture.running != "population" or "weight" in name or "bias" in name:
                    close(tracked[name], value)
    if architecture.running == "population":
        with torch.no_grad():
            collect_population_statistics(network, x.to(device), batch_size=BATCH)
        for one in plain:
            update_bn(list(x.split(BATCH)), one)
    shared = x.T.expand(NUM_REPLICAS, -1, -1).to(device)
    logits = network.forward(shared, training=False)
    for i, one in enumerate(plain):
        close(logits[i].T, one.eval()(x).detach())
        for name, value in one.state_dict().items():
            close(network.state(i)[name], value)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize(("placement", "running", "input_norm", "affine"), SHAPES)
def test_steps_are_those_of_a_sequential(
    placement: str, running: str, input_norm: bool, affine: bool, optimiser: str
) -> None:
    architecture = Architecture(
        widths=(6, 8, 7, 10),
        placement=placement,
        running=running,
        input_norm=input_norm,
        affine=affine,
        momentum=0.3,
    )
    assert_steps_are_equal(architecture, optimiser)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("input_norm", [False, True])
def test_softmax_regression(input_norm: bool, optimiser: str) -> None:
    assert_steps_are_equal(Architecture(widths=(6, 10), input_norm=input_norm), optimiser)


@pytest.mark.parametrize("activation", ["gelu", "lecun_tanh", "selu"])
def test_smooth_activations_without_biases(activation: str) -> None:
    architecture = Architecture(widths=(6, 8, 10), activation=activation, bias=False)
    assert_steps_are_equal(architecture, "sgd")


@pytest.mark.parametrize(
    ("placement", "optimiser"), [("none", "nesterov"), ("pre", "adamw"), ("post", "sgd")]
)
def test_steps_on_every_device(placement: str, optimiser: str, device: str) -> None:
    architecture = Architecture(
        widths=(6, 8, 7, 10), placement=placement, activation="elu", input_norm=True
    )
    assert_steps_are_equal(architecture, optimiser, device=device, tolerance=1e-8)
