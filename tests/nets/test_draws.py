"""The draws of each scheme against its law, torch.nn.init and scipy's distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import scipy.stats
import torch
from torch.nn import init

from bninit.nets.initialisers import SCHEMES, TRUNCATED_SD, weight_limit, weight_sd
from bninit.nets.start import draw_bias, draw_weight
from bninit.training.seeding import generator, weight_draws, weight_stream

SHAPES = [(784, 256), (256, 256), (100, 300)]
GIVEN: dict[str, dict[str, Any]] = {
    "constant": {"value": 0.3},
    "normal": {"std": 0.01},
    "uniform": {"limit": 0.2},
}
NORMAL = sorted(name for name, scheme in SCHEMES.items() if scheme.family == "normal")
TANH_GAIN = init.calculate_gain("tanh")
UNIFORM = sorted(name for name, scheme in SCHEMES.items() if scheme.family == "uniform")


def draw(
    scheme: str,
    fan_in: int,
    fan_out: int,
    *,
    seed: int = 0,
    layer: int = 1,
    dtype: torch.dtype = torch.float64,
    **parameters: Any,
) -> torch.Tensor:
    return draw_weight(
        scheme,
        fan_in=fan_in,
        fan_out=fan_out,
        draws=weight_draws(seed, layer),
        dtype=dtype,
        **GIVEN.get(scheme, {}) | parameters,
    )


def law(scheme: str, fan_in: int, fan_out: int, **parameters: Any) -> tuple[float, float | None]:
    given = GIVEN.get(scheme, {}) | parameters
    return (
        weight_sd(scheme, fan_in=fan_in, fan_out=fan_out, **given),
        weight_limit(scheme, fan_in=fan_in, fan_out=fan_out, **given),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_shape_and_precision(scheme: str, dtype: torch.dtype) -> None:
    weight = draw(scheme, 5, 3, dtype=dtype)
    assert weight.shape == (3, 5)
    assert weight.dtype == dtype
    assert weight.is_contiguous()
    assert torch.equal(weight, draw(scheme, 5, 3).to(dtype))


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"zeros", "constant"}))
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_variance(scheme: str, shape: tuple[int, int]) -> None:
    weight = draw(scheme, *shape)
    sd, _ = law(scheme, *shape)
    # The mean of n draws has SD sd / sqrt(n), their variance at most sd^2 sqrt(2 / n): 4 of each.
    count = weight.numel()
    assert abs(weight.mean().item()) < 4 * sd / math.sqrt(count)
    assert weight.var().item() / sd**2 == pytest.approx(1, abs=4 * math.sqrt(2 / count))


@pytest.mark.parametrize("scheme", NORMAL)
@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_normal_schemes_are_normal(scheme: str, gain: float) -> None:
    given: dict[str, Any] = {"gain": gain} if "gain" in SCHEMES[scheme].takes else {}
    weight = draw(scheme, 300, 100, seed=3, **given)
    sd, _ = law(scheme, 300, 100, **given)
    fit = scipy.stats.kstest(weight.flatten().numpy(), scipy.stats.norm(0, sd).cdf)
    assert fit.pvalue > 0.01


@pytest.mark.parametrize("scheme", NORMAL)
def test_truncated_schemes_are_cut_and_keep_their_variance(scheme: str) -> None:
    weight = draw(scheme, 300, 100, seed=3, truncated=True)
    sd, limit = law(scheme, 300, 100, truncated=True)
    exact = scipy.stats.truncnorm(-2, 2, scale=sd / scipy.stats.truncnorm(-2, 2).std())
    assert exact.std() == pytest.approx(sd)
    assert limit == pytest.approx(exact.support()[1])
    assert limit is not None
    assert weight.abs().max().item() <= limit
    assert weight.abs().max().item() > 0.99 * limit
    assert scipy.stats.kstest(weight.flatten().numpy(), exact.cdf).pvalue > 0.01
    assert weight.var().item() == pytest.approx(sd**2, rel=4 * math.sqrt(2 / weight.numel()))


def test_the_truncated_standard_deviation() -> None:
    assert scipy.stats.truncnorm(-2, 2).std() == pytest.approx(TRUNCATED_SD, rel=1e-12)


def test_truncated_draws_are_those_of_scipy_at_the_same_quantiles() -> None:
    raw = weight_draws(0, 1)("normal", (20, 30))
    exact = scipy.stats.truncnorm(-2, 2).ppf(scipy.stats.norm.cdf(raw.numpy())) / TRUNCATED_SD
    weight = draw("normal", 30, 20, std=1.0, truncated=True)
    torch.testing.assert_close(weight, torch.from_numpy(exact), rtol=1e-9, atol=1e-12)


def test_the_ends_of_a_truncated_law_are_kept() -> None:
    def extreme(family: str, shape: tuple[int, ...]) -> torch.Tensor:
        assert family == "normal"
        return torch.tensor([[-40.0, -8.0, 0.0, 8.0, 40.0]], dtype=torch.float64)

    weight = draw_weight(
        "normal", fan_in=5, fan_out=1, draws=extreme, dtype=torch.float64, std=1.0, truncated=True
    )
    end = 2 / TRUNCATED_SD
    torch.testing.assert_close(
        weight, torch.tensor([[-end, -end, 0.0, end, end]], dtype=torch.float64)
    )
    assert weight.abs().max().item() <= end


@pytest.mark.parametrize("scheme", UNIFORM)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_schemes_are_uniform_within_their_limit(scheme: str, dtype: torch.dtype) -> None:
    weight = draw(scheme, 300, 100, seed=3, dtype=dtype)
    _, limit = law(scheme, 300, 100)
    assert limit is not None
    largest = weight.abs().max()
    assert largest <= torch.tensor(limit, dtype=dtype)
    assert largest > 0.999 * limit
    exact = scipy.stats.uniform(-limit, 2 * limit)
    assert scipy.stats.kstest(weight.flatten().double().numpy(), exact.cdf).pvalue > 0.01


def test_zeros_and_constants_draw_nothing() -> None:
    def refuse(family: str, shape: tuple[int, ...]) -> torch.Tensor:
        raise AssertionError("drawn")

    common: dict[str, Any] = {"fan_in": 5, "fan_out": 3, "draws": refuse, "dtype": torch.float64}
    assert torch.equal(draw_weight("zeros", **common), torch.zeros(3, 5, dtype=torch.float64))
    filled = draw_weight("constant", value=-0.3, **common)
    assert torch.equal(filled, torch.full((3, 5), -0.3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("scheme", "given", "fill"),
    [
        ("xavier_normal", {}, init.xavier_normal_),
        ("xavier_normal", {"gain": 5 / 3}, partial(init.xavier_normal_, gain=TANH_GAIN)),
        ("xavier_uniform", {}, init.xavier_uniform_),
        ("he_normal", {}, partial(init.kaiming_normal_, nonlinearity="relu")),
        ("he_uniform", {}, partial(init.kaiming_uniform_, nonlinearity="relu")),
        ("lecun_normal", {}, partial(init.kaiming_normal_, nonlinearity="linear")),
        ("lecun_uniform", {}, partial(init.kaiming_uniform_, nonlinearity="linear")),
        ("torch_default", {}, partial(init.kaiming_uniform_, a=math.sqrt(5))),
        ("orthogonal", {}, init.orthogonal_),
        ("orthogonal", {"gain": 2.0}, partial(init.orthogonal_, gain=2.0)),
        ("normal", {"std": 0.05}, partial(init.normal_, std=0.05)),
        ("uniform", {"limit": 0.05}, partial(init.uniform_, a=-0.05, b=0.05)),
    ],
)
@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (35, 35)])
def test_weights_equal_those_of_torch_init(
    scheme: str, given: dict[str, Any], fill: Callable[..., object], shape: tuple[int, int]
) -> None:
    fan_out, fan_in = shape
    family = "uniform" if SCHEMES[scheme].family == "uniform" else "normal"
    reference = torch.empty(shape, dtype=torch.float64)
    fill(reference, generator=generator(7, weight_stream(2, family)))
    weight = draw(scheme, fan_in, fan_out, seed=7, layer=2, **given)
    torch.testing.assert_close(weight, reference, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scheme", ["orthogonal", "lsuv"])
@pytest.mark.parametrize("shape", [(40, 40), (40, 25), (25, 40), (1, 6), (6, 1)])
def test_orthonormal_rows_or_columns_times_the_gain(scheme: str, shape: tuple[int, int]) -> None:
    fan_in, fan_out = shape
    weight = draw(scheme, fan_in, fan_out, gain=3.0)
    gram = weight @ weight.T if fan_out <= fan_in else weight.T @ weight
    torch.testing.assert_close(gram, 9 * torch.eye(min(shape), dtype=torch.float64))


def test_orthogonal_matrices_are_uniformly_distributed() -> None:
    # In the plane: half of them are rotations, and the angle of the first column is uniform.
    matrices = torch.stack([draw("orthogonal", 2, 2, seed=seed) for seed in range(2000)])
    rotations = int((torch.linalg.det(matrices) > 0).sum())
    assert scipy.stats.binomtest(rotations, 2000).pvalue > 0.01
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).numpy()
    assert scipy.stats.kstest(angles, scipy.stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 0.01


@pytest.mark.parametrize("family", ["normal", "uniform"])
def test_schemes_of_a_family_start_from_the_same_raw_draws(family: str) -> None:
    names = NORMAL if family == "normal" else UNIFORM
    weights = {name: draw(name, 40, 30) / law(name, 40, 30)[0] for name in names}
    for name in names:
        torch.testing.assert_close(weights[name], weights[names[0]], rtol=1e-12, atol=0)


def test_he_is_lecun_times_the_root_of_two() -> None:
    he, lecun = draw("he_normal", 40, 30), draw("lecun_normal", 40, 30)
    torch.testing.assert_close(he, lecun * math.sqrt(2), rtol=1e-14, atol=0)


def test_a_truncated_scheme_keeps_the_order_of_its_raw_draws() -> None:
    cut, uncut = (draw("he_normal", 40, 30, truncated=flag).flatten() for flag in (True, False))
    assert torch.equal(cut.argsort(), uncut.argsort())


def test_layers_and_seeds_differ() -> None:
    first = draw("he_normal", 40, 40)
    for other in (draw("he_normal", 40, 40, layer=2), draw("he_normal", 40, 40, seed=1)):
        correlation = torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation.item()) < 0.1


@pytest.mark.parametrize("fan_in", [1, 784])
def test_default_biases_are_uniform_as_in_torch(fan_in: int) -> None:
    bias = draw_bias(
        "torch_default",
        fan_in=fan_in,
        fan_out=5000,
        draws=weight_draws(0, 1),
        dtype=torch.float64,
    )
    limit = 1 / math.sqrt(fan_in)
    assert bias.shape == (5000,)
    exact = scipy.stats.uniform(-limit, 2 * limit)
    assert scipy.stats.kstest(bias.numpy(), exact.cdf).pvalue > 0.01
    theirs = torch.nn.Linear(fan_in, 5000).bias.detach()
    assert theirs.abs().max().item() == pytest.approx(bias.abs().max().item(), rel=0.01)


def test_the_other_bias_schemes() -> None:
    common: dict[str, Any] = {"fan_in": 9, "fan_out": 4000, "draws": weight_draws(0, 1)}
    common["dtype"] = torch.float32
    assert torch.equal(draw_bias("zeros", **common), torch.zeros(4000))
    assert torch.equal(draw_bias("constant", value=0.1, **common), torch.full((4000,), 0.1))
    normal = draw_bias("normal", std=0.5, **common).double().numpy()
    assert scipy.stats.kstest(normal, scipy.stats.norm(0, 0.5).cdf).pvalue > 0.01
    uniform = draw_bias("uniform", limit=0.5, **common).double().numpy()
    assert scipy.stats.kstest(uniform, scipy.stats.uniform(-0.5, 1).cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("scheme", "given", "message"),
    [
        ("he", {}, r"unknown scheme 'he'.*he_normal"),
        ("glorot_normal", {}, "another name of xavier_normal"),
        ("normal", {}, "normal needs std"),
        ("uniform", {}, "uniform needs limit"),
        ("constant", {}, "constant needs value"),
        ("he_normal", {"std": 0.1}, "he_normal takes no std, and got 0.1"),
        ("normal", {"std": 0.1, "gain": 2.0}, "normal takes no gain, and got 2.0"),
        ("he_uniform", {"truncated": True}, "he_uniform takes no truncated"),
        ("zeros", {"value": 0.0}, "zeros takes no value"),
        ("normal", {"std": -1.0}, "std is -1.0"),
        ("uniform", {"limit": math.inf}, "limit is inf"),
        ("he_normal", {"gain": math.nan}, "gain is nan"),
        ("he_normal", {"fan_in": 0}, "fan_in 0"),
    ],
)
def test_what_is_refused(scheme: str, given: dict[str, Any], message: str) -> None:
    common = {"fan_in": 5, "fan_out": 3} | given
    with pytest.raises(ValueError, match=message):
        weight_sd(scheme, **common)
    with pytest.raises(ValueError, match=message):
        draw_weight(scheme, draws=weight_draws(0, 1), dtype=torch.float64, **common)


def test_a_bias_scheme_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"unknown scheme 'he_normal'.*torch_default"):
        draw_bias("he_normal", fan_in=5, fan_out=3, draws=weight_draws(0, 1), dtype=torch.float64)
