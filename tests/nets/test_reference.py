"""The plain nn.Sequential that a trained state loads into."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shapes import shape
from torch import nn

from bninit.nets.reference import build_sequential, load_sequential
from bninit.nets.stack import StackedMLP

BuildStack = Callable[..., StackedMLP]


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("running", ["ema", "cumulative", "population"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_state_gives_the_outputs_of_the_stack(
    placement: str, running: str, dtype: torch.dtype, build_stack: BuildStack
) -> None:
    architecture = shape(
        widths=(6, 9, 7, 10), placement=placement, running=running, input_norm=True, eps=0.1
    )
    network = build_stack(architecture, dtype=dtype)
    x = torch.randn(11, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    logits = network.forward(x.T.expand(3, -1, -1), training=False)
    for i in range(3):
        loaded = load_sequential(architecture, network.state(i), dtype=dtype)
        assert not loaded.training
        torch.testing.assert_close(loaded(x).detach(), logits[i].T)


def test_the_modules_are_plain_ones_with_the_names_of_the_stack(build_stack: BuildStack) -> None:
    architecture = shape(
        widths=(6, 9, 10), placement="pre", input_norm=True, affine=False, eps=0.2, momentum=0.3
    )
    plain = build_sequential(architecture)
    assert [type(module) for module in plain] == [
        nn.BatchNorm1d,
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
    ]
    assert plain[1].bias is None
    assert plain[2].eps == 0.2
    assert plain[2].momentum == 0.3
    assert not plain[2].affine
    assert set(plain.state_dict()) == set(build_stack(architecture).state(0))


def test_a_state_of_another_shape_is_refused(build_stack: BuildStack) -> None:
    state = build_stack(shape(widths=(6, 9, 10))).state(0)
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_sequential(shape(widths=(6, 8, 10)), state)
