"""Activations against formulas in numpy, and their slopes against torch's own differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from bninit.nets.activations import ACTIVATIONS

Array = np.ndarray[Any, np.dtype[np.float64]]

FORMULAS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.where(x > 0, x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    ),
    "gelu": lambda x: x * scipy.stats.norm.cdf(x),
    "silu": lambda x: x * scipy.special.expit(x),
    "tanh": np.tanh,
    "lecun_tanh": lambda x: 1.7159 * np.tanh(2 * x / 3),
    "sigmoid": scipy.special.expit,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "identity": lambda x: x,
}

# Kinks at 0, both tails, and where exp under- or overflows.
SPECIAL = [0.0, -0.0, 1e-12, -1e-12, 1e-300, -1e-300, 1.0, -1.0, 20.0, -20.0, 750.0, -750.0]
SPECIAL += [1e30, -1e30]
POINTS = torch.cat(
    [torch.tensor(SPECIAL, dtype=torch.float64), torch.linspace(-8, 8, 1001, dtype=torch.float64)]
)

every_activation = pytest.mark.parametrize("name", list(ACTIVATIONS))


def test_the_activations_of_the_config_are_there() -> None:
    assert set(ACTIVATIONS) == set(FORMULAS)
    assert all(name == activation.name for name, activation in ACTIVATIONS.items())


@every_activation
def test_forward_and_the_module_are_the_formula(name: str) -> None:
    forward, _ = ACTIVATIONS[name].passes()
    found = torch.full_like(POINTS, math.nan)
    forward(POINTS, out=found)
    expected = FORMULAS[name](POINTS.numpy())
    # torch's erf and tanh differ from scipy's in the last bits; far left, gelu is all rounding.
    for own in (found, ACTIVATIONS[name].module()(POINTS)):
        np.testing.assert_allclose(own.numpy(), expected, rtol=1e-12, atol=1e-14)


@every_activation
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_backward_is_the_slope_that_autograd_finds(name: str, dtype: torch.dtype) -> None:
    forward, backward = ACTIVATIONS[name].passes()
    x = POINTS.to(dtype)
    dy = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    y, dx = torch.empty_like(x), torch.full_like(x, math.nan)
    forward(x, out=y)
    kept = x.clone(), y.clone(), dy.clone()
    backward(dy, x=x, y=y, out=dx)
    leaf = x.clone().requires_grad_()
    ACTIVATIONS[name].module()(leaf).backward(dy)
    assert leaf.grad is not None
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(dx, leaf.grad, rtol=10 * eps, atol=10 * eps)
    for now, before in zip((x, y, dy), kept, strict=True):
        assert torch.equal(now, before)


@every_activation
def test_nan_goes_in_and_comes_out(name: str) -> None:
    forward, _ = ACTIVATIONS[name].passes()
    x = torch.tensor([math.nan, 1.0])
    y = torch.empty_like(x)
    forward(x, out=y)
    assert y.isnan().tolist() == [True, False]


@pytest.mark.parametrize("name", [n for n, activation in ACTIVATIONS.items() if activation.exact])
@pytest.mark.parametrize("size", [(3, 17, 13), (5, 1, 3), (4, 100, 60)])
def test_exact_ones_give_the_same_bits_wherever_a_value_stands(
    name: str, size: tuple[int, int, int]
) -> None:
    forward, backward = ACTIVATIONS[name].passes()
    generator = torch.Generator().manual_seed(0)
    x, dy = torch.randn(2, *size, generator=generator) * 3
    y, dx = torch.empty_like(x), torch.empty_like(x)
    forward(x, out=y)
    backward(dy, x=x, y=y, out=dx)
    for i in range(size[0]):
        x_one, dy_one = x[i].clone(), dy[i].clone()
        y_one, dx_one = torch.empty_like(x_one), torch.empty_like(x_one)
        forward(x_one, out=y_one)
        backward(dy_one, x=x_one, y=y_one, out=dx_one)
        assert torch.equal(y_one, y[i])
        assert torch.equal(dx_one, dx[i])
