"""Cross-entropy against torch's own, and against itself in another company."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from bninit.nets.layers import cross_entropy, example_losses


def drawn(
    num_replicas: int, batch: int, *, scale: float = 1.0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(batch)
    logits = scale * torch.randn(num_replicas, 10, batch, generator=generator, dtype=dtype)
    return logits, torch.randint(0, 10, (num_replicas, batch), generator=generator)


@pytest.mark.parametrize("batch", [1, 7, 128])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4, 1e200])
def test_loss_and_gradient_are_torchs(batch: int, scale: float) -> None:
    logits, labels = drawn(3, batch, scale=scale)
    loss, dlogits = cross_entropy(logits, labels)
    examples = example_losses(logits, labels)
    for i in range(3):
        leaf = logits[i].T.clone().requires_grad_()
        expected = F.cross_entropy(leaf, labels[i])
        expected.backward()
        assert leaf.grad is not None
        torch.testing.assert_close(loss[i], expected.detach(), rtol=1e-13, atol=1e-15)
        torch.testing.assert_close(dlogits[i], leaf.grad.T, rtol=1e-12, atol=1e-15)
        each = F.cross_entropy(logits[i].T, labels[i], reduction="none")
        torch.testing.assert_close(examples[i], each, rtol=1e-13, atol=1e-15)


def test_a_certain_answer_by_hand() -> None:
    logits = torch.zeros(1, 10, 2, dtype=torch.float64)
    logits[0, 3] = 1000.0
    loss, dlogits = cross_entropy(logits, torch.tensor([[3, 4]]))
    assert loss.tolist() == [500.0]  # 0 where right, 1000 where wrong
    expected = torch.zeros(10, 2, dtype=torch.float64)
    expected[3, 1], expected[4, 1] = 0.5, -0.5
    assert torch.equal(dlogits[0], expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_network(bad: float) -> None:
    logits, labels = drawn(3, 20, dtype=torch.float32)
    loss, dlogits = cross_entropy(logits, labels)
    spoilt = logits.clone()
    spoilt[1] = bad
    spoilt_loss, spoilt_dlogits = cross_entropy(spoilt, labels)
    assert spoilt_loss[1].isnan()
    assert spoilt_dlogits[1].isnan().all()
    for i in (0, 2):
        assert torch.equal(spoilt_loss[i], loss[i])
        assert torch.equal(spoilt_dlogits[i], dlogits[i])


# torch shares a sum of 32,768 and more numbers among threads when it has one result.
@pytest.mark.parametrize("batch", [3, 60, 128, 500, 40_000])
def test_the_bits_do_not_depend_on_the_company(batch: int, threads: Callable[[int], None]) -> None:
    threads(2)
    logits, labels = drawn(3, batch, dtype=torch.float32)
    loss, dlogits = cross_entropy(logits, labels)
    for i in range(3):
        alone, dalone = cross_entropy(logits[i : i + 1].clone(), labels[i : i + 1].clone())
        assert torch.equal(alone[0], loss[i])
        assert torch.equal(dalone[0], dlogits[i])


@pytest.mark.parametrize("batch", [16_384, 16_385, 33_000])
def test_long_batches_are_summed_whole(batch: int) -> None:
    logits, labels = drawn(2, batch)
    loss, _ = cross_entropy(logits, labels)
    torch.testing.assert_close(loss, example_losses(logits, labels).mean(dim=1))
