"""The laws written out with a layer's numbers, and their moments against what is drawn."""

from __future__ import annotations

import pytest

from bninit.nets.initialisers import BIAS_SCHEMES, SCHEMES, Parameters, bias_law, weight_law


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
    scheme: str, parameters: Parameters, text: str
) -> None:
    assert weight_law(scheme, fan_in=784, fan_out=100, **parameters).text == text


def test_every_scheme_has_a_law_without_names_left_in_it() -> None:
    given = {"std": 0.5, "limit": 0.5, "value": 0.5}
    for table, law in ((SCHEMES, weight_law), (BIAS_SCHEMES, bias_law)):
        for name, row in table.items():
            parameters = {key: given[key] for key in row.needs}
            text = law(name, fan_in=30, fan_out=20, **parameters).text  # type: ignore[arg-type]
            assert not {"fan_in", "fan_out", "gain", "std", "limit", "value"} & set(
                text.replace("(", " ").replace(")", " ").replace(",", " ").split()
            ), text


def test_moments() -> None:
    constant = bias_law("constant", fan_in=9, fan_out=4, value=-0.3)
    assert (constant.mean, constant.sd, constant.limit) == (-0.3, 0.0, 0.3)
    default = bias_law("torch_default", fan_in=12, fan_out=4)
    assert (default.mean, default.sd) == (0.0, pytest.approx(1 / 6))
    assert weight_law("lsuv", fan_in=9, fan_out=4).scaled_by_data
