"""Counts of parameters against the tensors of the equal nn.Sequential."""

from __future__ import annotations

from itertools import product

import pytest
from shapes import shape

from bninit.nets.architecture import (
    NO_BIAS,
    num_tracked,
    num_trained,
    parameter_rows,
)
from bninit.nets.norm import NOT_AFFINE
from bninit.nets.reference import build_sequential


@pytest.mark.parametrize(
    ("placement", "input_norm", "bias", "affine"),
    list(product(("none", "pre", "post"), *[(False, True)] * 3)),
)
@pytest.mark.parametrize("hidden", [(), (7,), (7, 5, 5)])
def test_counts_are_those_of_torch(
    hidden: tuple[int, ...], placement: str, input_norm: bool, bias: bool, affine: bool
) -> None:
    architecture = shape(
        widths=(11, *hidden, 3),
        placement=placement,
        input_norm=input_norm,
        bias=bias,
        affine=affine,
    )
    network = build_sequential(architecture)
    rows = parameter_rows(architecture)
    assert num_trained(rows) == sum(p.numel() for p in network.parameters())
    assert num_tracked(rows) == sum(
        b.numel() for name, b in network.named_buffers() if "num_batches" not in name
    )
    for row, module in zip(rows, network, strict=True):
        assert row.num_trained == sum(p.numel() for p in module.parameters())


def test_batch_norm_of_five_nodes_has_twenty_numbers_ten_of_them_trained() -> None:
    """N8 of the lecture notes."""
    (norm,) = [
        row
        for row in parameter_rows(shape(widths=(784, 5, 10), placement="pre"))
        if row.kind == "batch norm"
    ]
    assert (norm.num_trained, norm.num_tracked) == (10, 10)
    assert norm.layer == "hidden 1"


@pytest.mark.parametrize(
    ("placement", "order"),
    [
        ("none", ["linear", "tanh"]),
        ("pre", ["linear", "batch norm", "tanh"]),
        ("post", ["linear", "tanh", "batch norm"]),
    ],
)
def test_rows_stand_in_the_order_of_the_forward_pass(placement: str, order: list[str]) -> None:
    rows = parameter_rows(shape(widths=(4, 3, 2), activation="tanh", placement=placement))
    assert [row.kind for row in rows] == [*order, "linear"]
    assert [row.layer for row in rows] == [*["hidden 1"] * len(order), "output"]


def test_a_dropped_bias_is_noted_and_only_there() -> None:
    def notes(**settings: object) -> list[str]:
        architecture = shape(widths=(4, 3, 2), **settings)  # type: ignore[arg-type]
        return [row.note for row in parameter_rows(architecture) if row.kind == "linear"]

    assert notes(placement="pre") == [NO_BIAS, ""]
    assert notes(placement="post") == ["", ""]
    assert notes(placement="pre", bias=False) == ["", ""]


def test_batch_norm_without_gamma_and_beta_is_noted() -> None:
    rows = parameter_rows(shape(widths=(4, 2), input_norm=True, affine=False))
    assert (rows[0].layer, rows[0].note, rows[0].num_trained) == ("input", NOT_AFFINE, 0)


def test_many_equal_layers_are_told_together_with_the_same_totals() -> None:
    architecture = shape(widths=(784, *[100] * 1000, 10), placement="pre")
    short, long = parameter_rows(architecture), parameter_rows(architecture, max_rows=10_000)
    assert len(long) == 3 * 1000 + 1
    assert [row.layer for row in short] == [
        *["hidden 1"] * 3,
        *["hidden 2 to 1000"] * 3,
        "output",
    ]
    assert num_trained(short) == num_trained(long)
    assert num_tracked(short) == num_tracked(long)


def test_different_layers_are_never_told_together() -> None:
    architecture = shape(widths=(8, *[5, 6] * 50, 2))
    assert len(parameter_rows(architecture)) == 201
