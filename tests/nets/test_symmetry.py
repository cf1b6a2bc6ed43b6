"""Counting distinct units."""

import pytest
import torch

from bninit.nets.signals import distinct_units


def _state(hidden: torch.Tensor, bias: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    state = {"0.weight": hidden, "2.weight": torch.randn(10, hidden.size(0))}
    if bias is not None:
        state["0.bias"] = bias
    return state


@pytest.mark.parametrize("num_kinds", [1, 2, 7, 64])
def test_repeated_rows_count_once(num_kinds: int) -> None:
    torch.manual_seed(num_kinds)
    kinds = torch.randn(num_kinds, 30)
    rows = kinds[torch.arange(64) % num_kinds][torch.randperm(64)]
    assert distinct_units(_state(rows)) == [num_kinds]


def test_last_bits_do_not_count_and_real_differences_do() -> None:
    rows = torch.ones(8, 20)
    rows[3] *= 1 + 1e-6
    assert distinct_units(_state(rows)) == [1]
    rows[3] *= 1.01
    assert distinct_units(_state(rows)) == [2]


def test_biases_tell_units_apart() -> None:
    bias = torch.zeros(8)
    assert distinct_units(_state(torch.ones(8, 20), bias)) == [1]
    bias[5] = 1.0
    assert distinct_units(_state(torch.ones(8, 20), bias)) == [2]


def test_zeros_are_one_unit_and_nan_is_none() -> None:
    assert distinct_units(_state(torch.zeros(8, 20))) == [1]
    assert distinct_units(_state(torch.full((8, 20), torch.nan))) == [0]


def test_softmax_regression_has_no_hidden_layer() -> None:
    assert distinct_units({"0.weight": torch.randn(10, 20), "0.bias": torch.zeros(10)}) == []
