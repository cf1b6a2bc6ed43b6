"""Evaluation and population statistics against plain loops over nn.Sequential."""

from __future__ import annotations

import math

import pytest
import torch
from shapes import drawn, initial, shape
from torch.nn import functional as F

from bninit.nets.architecture import Architecture
from bninit.nets.reference import load_sequential
from bninit.nets.stack import StackedMLP
from bninit.training.evaluation import EVALUATION_BATCH, evaluate

ARCHITECTURE = shape(widths=(6, 9, 7, 10), placement="pre", running="population")


def examples(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(size, 6, generator=generator, dtype=torch.float64)
    return 3 * x + 1, torch.randint(0, 10, (size,), generator=generator)


def build(architecture: Architecture = ARCHITECTURE, *, scheme: str = "he_normal") -> StackedMLP:
    return drawn(architecture, init=initial(scheme))


@pytest.mark.parametrize(
    "size", [1, EVALUATION_BATCH - 1, EVALUATION_BATCH, EVALUATION_BATCH + 1, 1203]
)
def test_figures_are_those_of_a_plain_network(size: int) -> None:
    network, (x, y) = build(), examples(size)
    found = evaluate(network, x, y)
    for i, figures in enumerate(found):
        plain = load_sequential(ARCHITECTURE, network.state(i), dtype=torch.float64)
        assert not plain.training
        logits = plain(x).detach()
        assert figures.loss == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-10)
        hits = [row.index(max(row)) == label for row, label in zip(logits.tolist(), y, strict=True)]
        assert figures.accuracy == sum(hits) / size


def test_of_equal_logits_the_first_class_counts() -> None:
    network, (x, y) = build(scheme="zeros"), examples(777)
    for figures in evaluate(network, x, y):
        assert figures.accuracy == (y == 0).double().mean().item()
        assert figures.loss == pytest.approx(math.log(10), rel=1e-12)
    network.parameters[-1].value[1, 4:6] = 1.0  # classes 4 and 5 lead the second network
    assert evaluate(network, x, y)[1].accuracy == (y == 4).double().mean().item()


def test_evaluation_changes_nothing() -> None:
    network, (x, y) = build(), examples(600)
    before = [network.state(i) for i in range(3)]
    assert evaluate(network, x, y) == evaluate(network, x, y)
    for i in range(3):
        for name, value in network.state(i).items():
            assert torch.equal(value, before[i][name])
