"""Coarser products: what they change in a training, and how much."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shapes import shape, vary

from bninit.data.load import Data
from bninit.nets.products import BF16
from bninit.training.loop import Session
from bninit.training.plan import ReplicaPlan, StackPlan


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
def test_bf16_stays_close_to_float32(
    placement: str, settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    architecture = shape(widths=(12, 64, 64, 10), placement=placement)
    settings = vary(settings, architecture=architecture, lr=0.02, batch_size=50)
    # Not the network with weights of SD 1, whose losses are far from the others'.
    plans = [plan for plan in mixed_plans if plan.seed != 5]
    losses = {}
    for precision in ("full", BF16):
        training = Session(vary(settings, precision=precision), plans, data)
        assert all(p.value.dtype == torch.float32 for p in training.network.parameters)
        losses[precision] = training.run_epoch()
    difference = np.abs(losses["full"] - losses[BF16])
    assert difference.max() < 2**-8 * losses["full"].max() * 3
    assert difference.max() > 1e-5


def test_networks_that_stay_keep_the_precision(
    settings: StackPlan, data: Data, mixed_plans: list[ReplicaPlan]
) -> None:
    settings = vary(settings, precision=BF16)
    training = Session(settings, mixed_plans[:3], data)
    both = Session(settings, [mixed_plans[0], mixed_plans[2]], data)
    training.keep([True, False, True])
    assert (training.run_epoch() == both.run_epoch()).all()
