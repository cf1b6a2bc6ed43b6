"""Statistics of signals, against numpy, scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import svdvals

from bninit.nets.activations import ACTIVATIONS
from bninit.training import signal_statistics as statistics
from bninit.training.signal_statistics import PERCENTILES


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1001])
def test_percentiles_are_numpys(size: int) -> None:
    values = torch.randn(2, size, generator=torch.Generator().manual_seed(size))
    found = statistics.percentiles(values, PERCENTILES)
    expected = np.percentile(values.double().numpy(), PERCENTILES, axis=1).T
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_percentiles_with_nan_and_infinity() -> None:
    nan, inf = math.nan, math.inf
    values = torch.tensor([[1.0, nan, 2.0, 3.0, 0.0], [1.0, 2.0, 3.0, inf, 0.0]])
    first, second = statistics.percentiles(values, (25, 50))
    assert torch.isnan(first).all()
    assert second.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (64, 64)])
def test_the_effective_rank_is_the_exponential_of_the_entropy(shape: tuple[int, int]) -> None:
    matrix = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1)).relu()
    for one, found in zip(matrix, statistics.effective_rank(matrix), strict=True):
        shares = svdvals(one.double().numpy())
        shares = shares / shares.sum()
        entropy = -sum(share * math.log(share) for share in shares if share > 0)
        assert found.item() == pytest.approx(math.exp(entropy), rel=1e-5)


@pytest.mark.parametrize("num", [1, 5, 20])
def test_the_effective_rank_of_equal_singular_values_is_their_number(num: int) -> None:
    generator = torch.Generator().manual_seed(num)
    left, _ = torch.linalg.qr(torch.randn(30, num, generator=generator, dtype=torch.float64))
    right, _ = torch.linalg.qr(torch.randn(40, num, generator=generator, dtype=torch.float64))
    matrix = (1e-20 * left @ right.T).unsqueeze(0)
    assert statistics.effective_rank(matrix).item() == pytest.approx(num, rel=1e-5)


def test_what_has_no_effective_rank() -> None:
    zeros, lost = torch.zeros(1, 3, 4), torch.full((1, 3, 4), math.nan)
    found = statistics.effective_rank(torch.cat([zeros, lost, torch.ones(1, 3, 4)]))
    assert torch.isnan(found[:2]).all()
    assert found[2].item() == pytest.approx(1.0)


def test_dead_units_say_the_same_of_every_example() -> None:
    alive = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.5], [-1.0, 1.0, 2.0]])
    lost = alive.clone()
    lost[0, 0] = math.nan
    first, second = statistics.dead_fraction(torch.stack([alive, lost])).tolist()
    assert first == 0.5
    assert math.isnan(second)


@pytest.mark.parametrize(
    ("activation", "flat", "steep"),
    [
        # 1 - tanh(x)^2 = 0.01 at atanh(sqrt 0.99) = 2.993.
        ("tanh", [2.994, -2.994, 50.0], [2.992, -2.992, 0.0]),
        # s (1 - s) = 0.0025 at ln(s / (1 - s)) = 5.989.
        ("sigmoid", [5.99, -5.99, 90.0], [5.98, -5.98, 0.0]),
        ("relu", [-1e-9, -5.0, 0.0], [1e-9, 3.0, 1.0]),
        ("identity", [], [-9.0, 0.0, 9.0]),
        ("elu", [-4.7], [-4.5, 0.1, 7.0]),
    ],
)
def test_saturation_is_where_the_slope_is_a_hundredth(
    activation: str, flat: list[float], steep: list[float]
) -> None:
    x = torch.tensor([[[*flat, *steep]]])
    y = ACTIVATIONS[activation].module()(x)
    found = statistics.saturated_fraction(x, y, activation=activation).item()
    assert found == pytest.approx(len(flat) / (len(flat) + len(steep)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_steepest_slope(activation: str) -> None:
    x = torch.linspace(-8, 8, 160_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(ACTIVATIONS[activation].module()(x).sum(), x)
    found = statistics.steepest_slope(activation)
    assert found == pytest.approx(slope.abs().max().item(), rel=1e-3)


def test_norms() -> None:
    values = torch.tensor([[[3.0, 4.0]], [[1e-30, 0.0]]])
    assert statistics.euclidean_norm(values).tolist() == [5.0, pytest.approx(1e-30)]
    assert statistics.root_mean_square(values)[0].item() == pytest.approx(math.sqrt(12.5))
