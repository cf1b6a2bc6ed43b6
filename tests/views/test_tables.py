"""Parameters of networks as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from bninit.nets.architecture import Architecture, parameter_rows
from bninit.show.old_tables import parameter_table


def shown(what: RenderableType, *, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_parameters_of_a_batch_norm_layer_of_five_nodes(width: int) -> None:
    """N8 of the lecture notes: 5 x 4 = 20 numbers, 10 of them trained."""
    rows = parameter_rows(Architecture(widths=(784, 5, 10), placement="pre"))
    text = shown(parameter_table(rows), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = squeezed(text)
    shape = "" if width == 40 else "5 "
    assert f"batch norm {shape}10 10" in lines
    assert "all 3,990 10" in lines  # 784 x 5 + 10 + 5 x 10 + 10
    words = " ".join(" ".join(lines).split())
    assert "linear, no bias" in words or "linear, no 3,920 bias" in words
    assert "no bias: batch norm right after the layer would cancel it" in words
    assert "gamma and beta are trained, moving mean and moving variance are tracked" in words


def test_parameters_without_batch_norm_speak_of_none() -> None:
    text = shown(parameter_table(parameter_rows(Architecture(widths=(784, 10)))))
    assert squeezed(text)[2] == "output linear 784 -> 10 7,850"
    assert "batch norm" not in text
    assert "no bias" not in text


def test_batch_norm_without_gamma_and_beta_has_two_numbers_a_node() -> None:
    rows = parameter_rows(Architecture(widths=(4, 2), input_norm=True, affine=False))
    text = shown(parameter_table(rows))
    assert "input batch norm, not affine 4 8" in squeezed(text)
    assert "4 numbers for each node" not in text
    assert "2 tracked numbers for each node" in text
