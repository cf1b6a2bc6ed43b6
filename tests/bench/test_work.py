"""Operations against torch's own counter, bytes against a count by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.verbs.bench.contenders import step_work

BATCH = 12


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("input_norm", [False, True])
@pytest.mark.parametrize("widths", [(9, 4), (9, 7, 4), (9, 7, 5, 6, 4)])
def test_flops_are_those_that_torch_counts(
    widths: tuple[int, ...], input_norm: bool, placement: str
) -> None:
    shape = Architecture(widths=widths, placement=placement, input_norm=input_norm)
    network = build_sequential(shape)
    with FlopCounterMode(display=False) as counter:
        loss = cross_entropy(network(torch.randn(BATCH, 9)), torch.zeros(BATCH, dtype=torch.long))
        loss.backward()  # type: ignore[no-untyped-call]
    assert step_work(shape, batch_size=BATCH).flops == counter.get_total_flops()


def test_bytes_are_those_counted_by_hand() -> None:
    shape = Architecture(widths=(4, 3, 2), placement="pre")
    gathered = 2 * (5 * 4)
    # y = W x and dW of the first layer: 4 inputs, 3 units; the second layer needs dx, too.
    products = 2 * (4 * 3 + 5 * 4 + 5 * 3) + 3 * (3 * 2 + 5 * 3 + 5 * 2)
    norm = (2 + 1 + 4 + 1) * (5 * 3)
    activation = (1 + 1 + 2 + 1) * (5 * 3)
    optimiser = 5 * (4 * 3 + 3 * 2)
    numbers = gathered + products + norm + activation + optimiser
    assert step_work(shape, batch_size=5).num_bytes == 4 * numbers
    assert step_work(shape, batch_size=5, itemsize=8).num_bytes == 8 * numbers
