"""The steps of an epoch: which examples make up each, and one program that makes them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.nets.layers import cross_entropy
from bninit.nets.stack import StackedMLP
from bninit.training.optimisers import Optimiser
from bninit.training.seeding import batch_stream, generator
from bninit.training.settings import TrainSettings


def num_steps(num_examples: int, train: TrainSettings) -> int:
    """Steps of an epoch: examples / batch size, rounded down, or up where a rest is kept."""
    whole, rest = divmod(num_examples, train.batch_size)
    return whole + (1 if rest and train.last_batch == "keep" else 0)


def epoch_order(seeds: Sequence[int], *, epoch: int, num_examples: int) -> Tensor:
    """The order in which each network sees the training set in an epoch.

    Args:
        seeds: One for each network; equal seeds see equal orders.
        epoch: From 1.
        num_examples: Size of the training set.

    Returns:
        (replica, example), int64, on the CPU.
    """
    orders = {
        seed: torch.randperm(num_examples, generator=generator(seed, batch_stream(epoch)))
        for seed in dict.fromkeys(seeds)
    }
    return torch.stack([orders[seed] for seed in seeds])


def train_step(
    network: StackedMLP,
    optimiser: Optimiser,
    x: Tensor,
    y: Tensor,
    index: Tensor,
    *,
    lr: float | Tensor,
) -> Tensor:
    """Gathers each network's mini-batch, and changes every network by one step."""
    inputs, labels = gather(x, y, index)
    logits = network.forward(inputs, training=True)
    loss, dlogits = cross_entropy(logits, labels)
    network.backward(dlogits)
    optimiser.step(lr)
    return loss


def gather(x: Tensor, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The mini-batch of each network: inputs (replica, feature, batch), labels (replica, batch).

    Args:
        x: As in `train_step`.
        y: As in `train_step`.
        index: As in `train_step`.
    """
    flat = index.reshape(-1)
    inputs = x.index_select(0, flat).view(*index.shape, -1)
    return inputs.transpose(1, 2), y.index_select(0, flat).view(index.shape)


CAPTURED = "captured as a CUDA graph"
PLAIN = "called one by one"

_launch_mode: dict[str, str] = {}


def launch_mode() -> dict[str, str]:
    """How the operations of the last stack's steps were issued in this process, if any were."""
    return dict(_launch_mode)


class Steps:
    """The steps of an epoch of one stack, made one after another.

    The order of the examples is brought to the device once an epoch. What a step reads and writes
    beside the network lies in tensors that stay where they are: the order, the number of the step,
    the learning rate, and the losses. So one program makes every step. On CUDA it is captured as a
    graph, and nothing waits for the GPU until `losses`; where capturing fails, and on the CPU, the
    same operations are called one by one. A rest at the end of the epoch has a program of its own.

    A graph holds the addresses of its tensors: a stack that networks have left needs new steps.

    Args:
        network: The stack.
        optimiser: Of its parameters.
        data: With at least one batch of training examples.
        train: Size of a batch, and whether a smaller rest is a step of its own.
        capture: Whether to capture on CUDA. A step of this kind must have been made before, on this
            stack or on another one.
    """

    def __init__(
        self,
        network: StackedMLP,
        optimiser: Optimiser,
        data: Data,
        train: TrainSettings,
        *,
        capture: bool = True,
    ) -> None:
        self._network, self._optimiser = network, optimiser
        x = data.train_x
        self._x, self._y = x, data.train_y
        self._batch_size = batch_size = train.batch_size
        self.num_steps = num_steps(x.size(0), train)
        self._num_whole = x.size(0) // batch_size
        num_replicas, device = network.num_replicas, x.device

        def indices(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        self._order = indices(self._num_whole, num_replicas, batch_size)
        self._rest = indices(num_replicas, x.size(0) - self._num_whole * batch_size)
        self._place = indices(1)
        self._losses = torch.zeros(self.num_steps, num_replicas, dtype=network.dtype, device=device)
        # The fused optimisers of CUDA read a learning rate from a float32.
        self._lr: float | Tensor = torch.zeros((), device=device) if x.is_cuda else 0.0
        self._first = self._done = 0
        self._graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        _launch_mode["steps"] = PLAIN
        if x.is_cuda and capture:
            self._capture()

    def begin(self, order: Tensor, *, lr: float, first: int = 0) -> None:
        """Makes ready for an epoch.

        Args:
            order: As from `bninit.training.steps.epoch_order`, (replica, example).
            lr: Learning rate of its steps; on CUDA it is rounded to float32.
            first: The first step to make, from 0.
        """
        whole = order[:, : self._num_whole * self._batch_size]
        shape = (order.size(0), self._num_whole, self._batch_size)
        self._order.copy_(whole.view(shape).transpose(0, 1))
        self._rest.copy_(order[:, whole.size(1) :])
        self._place.fill_(first)
        self._first = self._done = first
        if isinstance(self._lr, Tensor):
            self._lr.fill_(lr)
        else:
            self._lr = lr

    @property
    def next_batch(self) -> Tensor:
        """The examples of the next step, (replica, batch)."""
        return self._order[self._done] if self._done < self._num_whole else self._rest

    def step(self) -> None:
        """Makes the next step, or has the GPU make it."""
        is_rest = self._done >= self._num_whole
        if is_rest in self._graphs:
            self._graphs[is_rest].replay()
        else:
            self._make(is_rest=is_rest)
        self._done += 1

    def losses(self) -> npt.NDArray[np.floating]:
        """The losses of the steps made since `begin`, (replica, step); waits for them."""
        made = self._losses[self._first : self._done].t().cpu()
        found: npt.NDArray[np.floating] = made.contiguous().numpy()
        return found

    def _make(self, *, is_rest: bool) -> None:
        index = self._rest if is_rest else self._order.index_select(0, self._place).squeeze(0)
        loss = train_step(self._network, self._optimiser, self._x, self._y, index, lr=self._lr)
        self._losses.index_copy_(0, self._place, loss.unsqueeze(0))
        self._place += 1

    def _capture(self) -> None:
        for is_rest in (False, True)[: 1 + (self.num_steps > self._num_whole)]:
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.no_grad(), torch.cuda.graph(graph):
                    self._make(is_rest=is_rest)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._graphs.clear()
                torch.cuda.synchronize(self._x.device)
                _launch_mode["steps"] = f"{PLAIN}: capturing failed: {error}"
                return
            self._graphs[is_rest] = graph
        _launch_mode["steps"] = CAPTURED
