"""The table of schemes, and each scheme's law against torch.nn.init and closed forms."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch

from bninit.nets.initialisers import ALIASES, BIAS_SCHEMES, SCHEMES, weight_limit, weight_sd

FAN_BASED = {
    "lecun_normal",
    "lecun_uniform",
    "xavier_normal",
    "xavier_uniform",
    "he_normal",
    "he_uniform",
    "torch_default",
}
NAMES = FAN_BASED | {"zeros", "constant", "normal", "uniform", "orthogonal", "lsuv"}
WIDE: dict[str, Any] = {"fan_in": 784, "fan_out": 256}


def test_every_scheme_of_the_facts_is_there() -> None:
    assert set(SCHEMES) == NAMES
    assert all(name == scheme.name for name, scheme in SCHEMES.items())


def test_the_tables_load_without_torch() -> None:
    code = "import sys, bninit.nets.initialisers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(NAMES))
def test_parameters_of_a_scheme(name: str) -> None:
    scheme = SCHEMES[name]
    needs = {"normal": {"std"}, "uniform": {"limit"}, "constant": {"value"}}.get(name, set())
    takes = set(needs)
    if name in FAN_BASED | {"orthogonal", "lsuv"}:
        takes.add("gain")
    if name.endswith("normal"):
        takes.add("truncated")
    assert scheme.needs == needs
    assert scheme.takes == takes


def test_biases_take_no_gain() -> None:
    takes = {name: set(scheme.takes) for name, scheme in BIAS_SCHEMES.items()}
    assert takes == {
        "zeros": set(),
        "constant": {"value"},
        "normal": {"std"},
        "uniform": {"limit"},
        "torch_default": set(),
    }


def test_aliases() -> None:
    canonical = {alias: name for alias, (name, _) in ALIASES.items()}
    assert canonical == {
        "glorot_normal": "xavier_normal",
        "glorot_uniform": "xavier_uniform",
        "kaiming_normal": "he_normal",
        "kaiming_uniform": "he_uniform",
        "notes_xavier_normal": "lecun_normal",
        "small_normal": "normal",
        "large_normal": "normal",
    }
    assert {alias: p for alias, (_, p) in ALIASES.items() if p} == {
        "small_normal": {"std": 0.01},
        "large_normal": {"std": 1.0},
    }


@pytest.mark.parametrize(("alias", "target"), sorted(ALIASES.items()))
def test_an_alias_sets_what_its_scheme_needs(
    alias: str, target: tuple[str, dict[str, float]]
) -> None:
    name, parameters = target
    assert alias not in SCHEMES
    assert SCHEMES[name].needs <= set(parameters) <= SCHEMES[name].takes


def test_the_xavier_ambiguity_is_told_from_both_sides() -> None:
    assert "lecun_normal" in (SCHEMES["xavier_normal"].note or "")
    assert "xavier_normal" in (SCHEMES["lecun_normal"].note or "")
    for name in ("xavier_normal", "lecun_normal"):
        assert "notes_xavier_normal" in (SCHEMES[name].note or "")
        assert "5/3" in (SCHEMES[name].note or "")
    assert torch.nn.init.calculate_gain("tanh") == pytest.approx(5 / 3)


@pytest.mark.parametrize("name", ["he_normal", "he_uniform"])
def test_he_is_told_from_torch_kaiming_default(name: str) -> None:
    assert "torch_default" in (SCHEMES[name].note or "")


@pytest.mark.parametrize(
    ("name", "sd"),
    [
        ("lecun_normal", 1 / 28),
        ("lecun_uniform", 1 / 28),
        ("xavier_normal", math.sqrt(2 / 1040)),
        ("xavier_uniform", math.sqrt(2 / 1040)),
        ("he_normal", math.sqrt(2) / 28),
        ("he_uniform", math.sqrt(2) / 28),
        ("torch_default", 1 / 28 / math.sqrt(3)),
        ("orthogonal", 1 / 28),
        ("lsuv", 1 / 28),
    ],
)
def test_standard_deviations_and_their_gain(name: str, sd: float) -> None:
    assert weight_sd(name, **WIDE) == pytest.approx(sd, rel=1e-12)
    assert weight_sd(name, **WIDE, gain=5 / 3) == pytest.approx(5 / 3 * sd, rel=1e-12)


def test_standard_deviations_without_a_fan() -> None:
    assert weight_sd("zeros", **WIDE) == 0
    assert weight_sd("constant", **WIDE, value=0.3) == 0
    assert weight_sd("normal", **WIDE, std=0.01) == 0.01
    assert weight_sd("normal", **WIDE, std=0.01, truncated=True) == 0.01
    assert weight_sd("uniform", **WIDE, limit=0.3) == pytest.approx(0.3 / math.sqrt(3))


def test_an_orthogonal_matrix_has_a_fan_of_its_longer_side() -> None:
    assert weight_sd("orthogonal", fan_in=9, fan_out=4) == pytest.approx(1 / 3)
    assert weight_sd("orthogonal", fan_in=4, fan_out=9) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("lecun_uniform", math.sqrt(3) / 28),
        ("xavier_uniform", math.sqrt(6 / 1040)),
        ("he_uniform", math.sqrt(6) / 28),
        ("torch_default", 1 / 28),
        ("orthogonal", 1),
    ],
)
def test_limits_and_their_gain(name: str, limit: float) -> None:
    assert weight_limit(name, **WIDE) == pytest.approx(limit, rel=1e-12)
    assert weight_limit(name, **WIDE, gain=0.5) == pytest.approx(0.5 * limit, rel=1e-12)


def test_limits_of_the_other_schemes() -> None:
    assert weight_limit("zeros", **WIDE) == 0
    assert weight_limit("constant", **WIDE, value=-0.3) == 0.3
    assert weight_limit("uniform", **WIDE, limit=0.3) == 0.3
    assert weight_limit("he_normal", **WIDE) is None
    cut = weight_limit("normal", **WIDE, std=1.0, truncated=True)
    assert cut == pytest.approx(2 / 0.87962566103423978, rel=1e-12)
