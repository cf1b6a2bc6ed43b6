"""The schemes: their laws against closed forms, and their draws against torch.nn.init and scipy."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import scipy.stats
import torch
from shapes import initial
from torch.nn import init

from bninit.nets.initialisers import (
    ALIASES,
    BIAS_SCHEMES,
    PARAMETERS,
    SCHEMES,
    TRUNCATED_SD,
    Law,
    bias_law,
    weight_law,
)
from bninit.nets.settings import BiasSettings, InitSettings
from bninit.nets.start import draw_bias, draw_weight
from bninit.training.seeding import generator, weight_draws, weight_stream

NEEDS: dict[str, dict[str, Any]] = {
    "constant": {"value": 0.3},
    "normal": {"std": 0.01},
    "uniform": {"limit": 0.2},
}
NORMAL = sorted(name for name, scheme in SCHEMES.items() if scheme.family == "normal")
UNIFORM = sorted(name for name, scheme in SCHEMES.items() if scheme.family == "uniform")
FANS = {"lecun_normal", "lecun_uniform", "xavier_normal", "xavier_uniform", "he_normal"}
FANS |= {"he_uniform", "torch_default"}
TANH_GAIN = init.calculate_gain("tanh")


def settings(scheme: str, **parameters: Any) -> InitSettings:
    return initial(scheme, **NEEDS.get(scheme, {}) | parameters)


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
        settings(scheme, **parameters),
        fan_in=fan_in,
        fan_out=fan_out,
        draws=weight_draws(seed, layer),
        dtype=dtype,
    )


def law(scheme: str, fan_in: int = 784, fan_out: int = 256, **parameters: Any) -> Law:
    return weight_law(settings(scheme, **parameters), fan_in=fan_in, fan_out=fan_out)


def test_every_scheme_is_there_with_its_parameters() -> None:
    assert set(SCHEMES) == FANS | {*NEEDS, "zeros", "orthogonal", "lsuv"}
    for name, scheme in SCHEMES.items():
        takes = set(NEEDS.get(name, ()))
        assert scheme.needs == takes
        takes |= {"gain"} if name in FANS | {"orthogonal", "lsuv"} else set()
        takes |= {"truncated"} if name.endswith("normal") else set()
        assert scheme.takes == takes
    assert {name: set(scheme.takes) for name, scheme in BIAS_SCHEMES.items()} == {
        **{name: set(needs) for name, needs in NEEDS.items()},
        "zeros": set(),
        "torch_default": set(),
    }


def test_parameters_are_keys_of_the_settings() -> None:
    keys = set(InitSettings.model_fields) - {"scheme", "bias"}
    assert keys == set(PARAMETERS)
    assert set(BiasSettings.model_fields) - {"scheme"} <= keys


def test_aliases() -> None:
    assert ALIASES == {
        "glorot_normal": ("xavier_normal", {}),
        "glorot_uniform": ("xavier_uniform", {}),
        "kaiming_normal": ("he_normal", {}),
        "kaiming_uniform": ("he_uniform", {}),
        "notes_xavier_normal": ("lecun_normal", {}),
        "small_normal": ("normal", {"std": 0.01}),
        "large_normal": ("normal", {"std": 1.0}),
    }
    for alias, (name, parameters) in ALIASES.items():
        assert alias not in SCHEMES
        assert SCHEMES[name].needs <= set(parameters) <= SCHEMES[name].takes


def test_the_tables_load_without_torch() -> None:
    code = "import sys, bninit.nets.initialisers, bninit.nets.architecture, bninit.nets.settings"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_that_texts_disagree_about_are_told_from_both_sides() -> None:
    for name, other in (("xavier_normal", "lecun_normal"), ("lecun_normal", "xavier_normal")):
        for word in (other, "notes_xavier_normal", "5/3"):
            assert word in (SCHEMES[name].note or "")
    for name in ("he_normal", "he_uniform"):
        assert "torch_default" in (SCHEMES[name].note or "")


@pytest.mark.parametrize(
    ("scheme", "sd", "limit"),
    [
        ("lecun_normal", 1 / 28, None),
        ("lecun_uniform", 1 / 28, math.sqrt(3) / 28),
        ("xavier_normal", math.sqrt(2 / 1040), None),
        ("xavier_uniform", math.sqrt(2 / 1040), math.sqrt(6 / 1040)),
        ("he_normal", math.sqrt(2) / 28, None),
        ("he_uniform", math.sqrt(2) / 28, math.sqrt(6) / 28),
        ("torch_default", 1 / 28 / math.sqrt(3), 1 / 28),
        ("orthogonal", 1 / 28, 1),
        ("lsuv", 1 / 28, 1),
    ],
)
def test_standard_deviations_and_limits(scheme: str, sd: float, limit: float | None) -> None:
    for gain in (1.0, 5 / 3):
        found = law(scheme, gain=gain)
        assert (found.mean, found.sd) == (0, pytest.approx(gain * sd, rel=1e-12))
        assert found.limit == (limit and pytest.approx(gain * limit, rel=1e-12))
        assert found.scaled_by_data == (scheme == "lsuv")


def test_moments_without_a_fan() -> None:
    constant = law("constant", value=-0.3)
    assert (constant.mean, constant.sd, constant.limit) == (-0.3, 0.0, 0.3)
    assert (law("zeros").sd, law("zeros").limit) == (0, 0)
    assert (law("normal").sd, law("normal").limit) == (0.01, None)
    cut = law("normal", std=1.0, truncated=True)
    assert (cut.sd, cut.limit) == (1.0, pytest.approx(2 / 0.87962566103423978, rel=1e-12))
    assert law("uniform", limit=0.3).sd == pytest.approx(0.3 / math.sqrt(3))
    for fans in ((9, 4), (4, 9)):
        assert law("orthogonal", *fans).sd == pytest.approx(1 / 3)
    default = bias_law(BiasSettings(scheme="torch_default"), fan_in=12, fan_out=4)
    assert (default.mean, default.sd) == (0.0, pytest.approx(1 / 6))


@pytest.mark.parametrize(
    ("scheme", "parameters", "text"),
    [
        ("zeros", {}, "0"),
        ("constant", {"value": -0.5}, "-0.5"),
        ("normal", {"std": 0.01}, "N(0, 0.01^2)"),
        ("uniform", {"limit": 0.25}, "U(-0.25, 0.25)"),
        ("lecun_normal", {}, "N(0, 1 / 784)"),
        ("lecun_uniform", {}, "U(-l, l), l = sqrt(3 / 784)"),
        ("xavier_normal", {}, "N(0, 2 / (784 + 100))"),
        ("xavier_uniform", {"gain": 2.0}, "U(-l, l), l = 2 * sqrt(6 / (784 + 100))"),
        ("he_normal", {}, "N(0, 2 / 784)"),
        ("he_normal", {"gain": 1.5, "truncated": True}, "N(0, 1.5^2 * 2 / 784)"),
        ("he_uniform", {}, "U(-l, l), l = sqrt(6 / 784)"),
        ("orthogonal", {}, "Q, Q with orthonormal rows"),
        ("lsuv", {}, "Q, then each layer scaled until the SD of its output is 1"),
        ("torch_default", {}, "U(-l, l), l = 1 / sqrt(784)"),
    ],
)
def test_a_law_is_written_out_with_its_numbers(
    scheme: str, parameters: dict[str, Any], text: str
) -> None:
    assert law(scheme, fan_out=100, **parameters).text == text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_shape_and_precision(scheme: str, dtype: torch.dtype) -> None:
    weight = draw(scheme, 5, 3, dtype=dtype)
    assert (weight.shape, weight.dtype) == ((3, 5), dtype)
    assert weight.is_contiguous()
    assert torch.equal(weight, draw(scheme, 5, 3).to(dtype))


@pytest.mark.parametrize("scheme", NORMAL)
def test_truncated_schemes_are_cut_at_two_deviations(scheme: str) -> None:
    weight, sd = draw(scheme, 300, 100, seed=3), law(scheme, 300, 100).sd
    cut, limit = draw(scheme, 300, 100, seed=3, truncated=True), law(scheme, 300, 100, truncated=1)
    exact = scipy.stats.truncnorm(-2, 2, scale=sd / scipy.stats.truncnorm(-2, 2).std())
    assert exact.std() == pytest.approx(sd)
    assert limit.limit == pytest.approx(exact.support()[1])
    assert 0.99 * exact.support()[1] < cut.abs().max().item() <= exact.support()[1]
    assert scipy.stats.kstest(cut.flatten().numpy(), exact.cdf).pvalue > 0.01
    assert torch.equal(cut.flatten().argsort(), weight.flatten().argsort())


def test_truncated_draws_are_those_of_scipy_at_the_same_quantiles() -> None:
    assert scipy.stats.truncnorm(-2, 2).std() == pytest.approx(TRUNCATED_SD, rel=1e-12)
    raw = weight_draws(0, 1)("normal", (20, 30))
    exact = scipy.stats.truncnorm(-2, 2).ppf(scipy.stats.norm.cdf(raw.numpy())) / TRUNCATED_SD
    weight = draw("normal", 30, 20, std=1.0, truncated=True)
    torch.testing.assert_close(weight, torch.from_numpy(exact), rtol=1e-9, atol=1e-12)

    def extreme(family: str, shape: tuple[int, ...]) -> torch.Tensor:
        assert family == "normal"
        return torch.tensor([[-40.0, -8.0, 0.0, 8.0, 40.0]], dtype=torch.float64)

    cut = settings("normal", std=1.0, truncated=True)
    ends = draw_weight(cut, fan_in=5, fan_out=1, draws=extreme, dtype=torch.float64)
    end = 2 / TRUNCATED_SD
    torch.testing.assert_close(ends[0], torch.tensor([-end, -end, 0, end, end]).double())
    assert ends.abs().max().item() <= end


@pytest.mark.parametrize("scheme", UNIFORM)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_uniform_schemes_are_uniform_within_their_limit(scheme: str, dtype: torch.dtype) -> None:
    weight, limit = draw(scheme, 300, 100, seed=3, dtype=dtype), law(scheme, 300, 100).limit
    assert limit is not None
    largest = weight.abs().max()
    assert 0.999 * limit < largest <= torch.tensor(limit, dtype=dtype)
    exact = scipy.stats.uniform(-limit, 2 * limit)
    assert scipy.stats.kstest(weight.flatten().double().numpy(), exact.cdf).pvalue > 0.01


def test_zeros_and_constants_draw_nothing() -> None:
    def refuse(family: str, shape: tuple[int, ...]) -> torch.Tensor:
        raise AssertionError("drawn")

    for scheme, value in (("zeros", 0.0), ("constant", -0.3)):
        found = draw_weight(
            settings(scheme, value=value), fan_in=5, fan_out=3, draws=refuse, dtype=torch.float64
        )
        assert torch.equal(found, torch.full((3, 5), value, dtype=torch.float64))


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


@pytest.mark.parametrize("names", [NORMAL, UNIFORM])
def test_schemes_of_a_family_start_from_the_same_raw_draws(names: list[str]) -> None:
    weights = {name: draw(name, 40, 30) / law(name, 40, 30).sd for name in names}
    for name in names:
        torch.testing.assert_close(weights[name], weights[names[0]], rtol=1e-12, atol=0)


def test_layers_and_seeds_differ() -> None:
    first = draw("he_normal", 40, 40)
    for other in (draw("he_normal", 40, 40, layer=2), draw("he_normal", 40, 40, seed=1)):
        correlation = torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation.item()) < 0.1


@pytest.mark.parametrize(
    ("bias", "exact"),
    [
        (BiasSettings(scheme="torch_default"), scipy.stats.uniform(-1 / 28, 2 / 28)),
        (BiasSettings(scheme="normal", std=0.5), scipy.stats.norm(0, 0.5)),
        (BiasSettings(scheme="uniform", limit=0.5), scipy.stats.uniform(-0.5, 1)),
    ],
)
def test_drawn_biases(bias: BiasSettings, exact: Any) -> None:
    draws = weight_draws(0, 1)
    found = draw_bias(bias, fan_in=784, fan_out=5000, draws=draws, dtype=torch.float64)
    assert found.shape == (5000,)
    assert scipy.stats.kstest(found.numpy(), exact.cdf).pvalue > 0.01
    if bias.scheme == "torch_default":
        theirs = torch.nn.Linear(784, 5000).bias.detach()
        assert theirs.abs().max().item() == pytest.approx(found.abs().max().item(), rel=0.01)


def test_biases_that_are_not_drawn() -> None:
    for bias, value in (
        (BiasSettings(scheme="zeros"), 0.0),
        (BiasSettings(scheme="constant", value=0.1), 0.1),
    ):
        draws = weight_draws(0, 1)
        found = draw_bias(bias, fan_in=9, fan_out=4, draws=draws, dtype=torch.float32)
        assert torch.equal(found, torch.full((4,), value))
