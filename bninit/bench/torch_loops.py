"""The loops that people write in PyTorch today."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from bninit.bench.case import LEARNING_RATE, MOMENTUM, Case
from bninit.bench.contenders import LOADER, PLAIN, Losses

if TYPE_CHECKING:
    from collections.abc import Callable


class _Loop:
    """A network, its optimiser, and one step of the usual loop.

    The loss is kept as a tensor at each step and read at the end: ``loss.item()`` would wait for
    the GPU.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.train()
        self._optimiser = SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self._optimiser.zero_grad()
        loss = cross_entropy(self._network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()


class PlainLoop:
    """Images and labels as two tensors on the device, batches by index.

    Args:
        case: What is trained.
        seed: Of its network.
    """

    def __init__(self, case: Case, *, seed: int = 0) -> None:
        self.name = PLAIN
        self.num_networks = 1
        self._case = case
        self._loop = _Loop(case.network(seed))
        self._order: Tensor | None = case.order(seed)

    def train(self) -> Losses:
        """See `Contender.train`."""
        data = self._case.data
        order = torch.randperm(len(data.train_y)) if self._order is None else self._order
        self._order = None
        losses = [
            self._loop.step(data.train_x[index], data.train_y[index])
            for index in torch.split(order.to(self._case.device), self._case.batch_size)
        ]
        return _losses(losses)


class LoaderLoop:
    """Images through PIL and a transform one by one, collated by a ``DataLoader``.

    As ``torchvision.datasets.MNIST`` and the MNIST example of PyTorch do it: each item is made a
    PIL image and then a tensor by ``ToTensor``, on the CPU in the process itself and on CUDA in
    one worker with pinned memory.

    Args:
        case: What is trained.
    """

    def __init__(self, case: Case) -> None:
        self.name = LOADER
        self.num_networks = 1
        self._case = case
        self._loop = _Loop(case.network(0))
        self._dataset = _Images(case)
        self._order: list[int] | None = case.order(0).tolist()

    def train(self) -> Losses:
        """See `Contender.train`."""
        how: dict[str, Any] = {"shuffle": True} if self._order is None else {"sampler": self._order}
        self._order = None
        if self._case.device.type == "cuda":
            how |= {"num_workers": 1, "pin_memory": True}
        losses = []
        for x, y in DataLoader(self._dataset, batch_size=self._case.batch_size, **how):
            on_device = x.to(self._case.device).flatten(1), y.to(self._case.device)
            losses.append(self._loop.step(*on_device))
        return _losses(losses)


class _Images(Dataset[tuple[Tensor, int]]):
    """Images as bytes; an item is decoded when it is asked for."""

    def __init__(self, case: Case) -> None:
        from torchvision.transforms import ToTensor

        side = round(case.data.train_x.size(1) ** 0.5)
        pixels = (case.data.train_x * 255).round().to(torch.uint8).cpu()
        self._images = pixels.view(-1, side, side).numpy()
        self._labels = case.data.train_y.tolist()
        self._transform: Callable[[Any], Tensor] = ToTensor()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index])), self._labels[index]


def _losses(steps: list[Tensor]) -> Losses:
    """Losses of one network's steps, (1, step), once all of them are computed."""
    return np.asarray(torch.stack(steps).cpu().numpy())[None]
