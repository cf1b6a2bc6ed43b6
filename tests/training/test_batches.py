"""Which examples make up a step."""

from __future__ import annotations

import pytest
import torch

from bninit.training.seeding import generator
from bninit.training.steps import batches, epoch_order, num_steps


# Notes N9: 100 points in batches of 4 are 25 iterations.
@pytest.mark.parametrize(
    ("num_examples", "batch_size", "dropped", "kept"),
    [(100, 4, 25, 25), (103, 4, 25, 26), (4, 4, 1, 1), (5, 4, 1, 2), (3, 4, 0, 1)],
)
def test_steps_of_an_epoch(num_examples: int, batch_size: int, dropped: int, kept: int) -> None:
    order = torch.arange(num_examples).expand(2, -1)
    for last_batch, expected in (("drop", dropped), ("keep", kept)):
        assert num_steps(num_examples, batch_size=batch_size, last_batch=last_batch) == expected
        found = list(batches(order, batch_size=batch_size, last_batch=last_batch))
        assert len(found) == expected
        seen = torch.cat(found, dim=1) if found else order[:, :0]
        size = num_examples if last_batch == "keep" else dropped * batch_size
        assert torch.equal(seen, order[:, :size])
        assert all(index.size(1) == batch_size for index in found[:dropped])


def test_every_example_comes_once_an_epoch() -> None:
    order = epoch_order([0, 1], epoch=1, num_examples=97)
    assert order.shape == (2, 97)
    for one in order:
        assert sorted(one.tolist()) == list(range(97))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    alone = epoch_order([3], epoch=5, num_examples=50)[0]
    stream = generator(3, "batch/5")
    assert torch.equal(alone, torch.randperm(50, generator=stream))
    torch.manual_seed(1)  # the global generator has no part in it
    together = epoch_order([0, 3, 7, 3], epoch=5, num_examples=50)
    assert torch.equal(together[1], alone)
    assert torch.equal(together[3], alone)
    assert not torch.equal(together[0], alone)
    assert not torch.equal(epoch_order([3], epoch=6, num_examples=50)[0], alone)


def test_drawing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch_order([0, 1], epoch=1, num_examples=10)
    assert torch.equal(torch.rand(3), expected)
