"""The benchmark's task, its cost in FLOP and bytes, and the training loops that are timed on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from bninit.data.load import Data
from bninit.errors import DataError
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.settings import InitSettings, ModelSettings
from bninit.training.loop import Session, draw_networks
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.settings import SGDSettings, TrainSettings
from bninit.training.steps import epoch_order

if TYPE_CHECKING:
    import numpy.typing as npt

EPOCH_IMAGES = 60_000
"""Times are scaled to an epoch of this many images, the training set of MNIST."""

LEARNING_RATE = 0.01
MOMENTUM = 0.9


def step_cost(architecture: Architecture, *, batch_size: int, itemsize: int = 4) -> tuple[int, int]:
    """FLOP of the matrix products, and bytes moved, in one training step of one network.

    The step is forward, backward and SGD with momentum. FLOP: 2 m k n for a product of (m, k) and
    (k, n). A linear layer takes one product forward and two backward, for the gradients with
    respect to its weights and to its input; a layer with nothing that trains before it does not
    need the second. Batch norm, activations, loss and optimiser are not counted.

    Bytes: every operation reads its operands from memory once and writes its result once. A product
    reads both factors and writes the result. Batch norm reads its input twice forward (for the
    statistics, and to normalize) and writes it once; backward it reads input and gradient twice
    each, and writes a gradient. An activation reads one array and writes one forward, and reads two
    and writes one backward. The batch is read and written once when it is gathered. The optimiser
    reads value, gradient and momentum of each parameter, and writes value and momentum. What is
    smaller by a factor of the batch or of a width (biases, loss, statistics) is left out.
    """
    widths = architecture.widths
    multiplied, moved = 0, 2 * batch_size * widths[0]
    trains_before = False
    for kind, layer in architecture.kinds():
        signal = batch_size * widths[layer]
        if kind == "linear":
            read, weights = batch_size * widths[layer - 1], widths[layer - 1] * widths[layer]
            num_products = 3 if trains_before else 2
            multiplied += num_products * batch_size * weights
            moved += num_products * (weights + read + signal) + 5 * weights
            trains_before = True
        elif kind == "norm":
            moved += 3 * signal + 5 * signal
            trains_before = trains_before or architecture.norm.affine
        else:
            moved += 2 * signal + 3 * signal
    return 2 * multiplied, itemsize * moved


class Case:
    """The task of every loop: SGD with momentum 0.9 at rate 0.01 on mean cross-entropy.

    Networks have ReLU and He's normal weights. Training images are cut to those of one pass.

    Args:
        data: In float32, scaled to [0, 1], on the device to train on.
        hidden: Units of each hidden layer.
        batch_size: Examples per step.
        placement: Of batch norm: ``none``, ``pre`` or ``post``.
        max_steps: Most steps of a pass; None for the whole training set.

    Attributes:
        num_steps: Steps of a pass, which is what is timed.
        epoch_steps: Full batches in an epoch of `EPOCH_IMAGES`.
        flops_per_step: Of one network; see `step_cost`.
        bytes_per_step: Of one network; see `step_cost`.

    Raises:
        DataError: The training set has less than a batch.
    """

    def __init__(
        self,
        data: Data,
        *,
        hidden: tuple[int, ...],
        batch_size: int,
        placement: str,
        max_steps: int | None = None,
    ) -> None:
        num_images, num_pixels = data.train_x.shape
        num_steps = num_images // batch_size
        if num_steps == 0:
            raise DataError(
                f"a batch of {batch_size} is more than the training set of {data.name}",
                where=f"--batch-size {batch_size}",
                hint=f"allowed: 2 to {num_images}",
            )
        self.num_steps = num_steps if max_steps is None else min(num_steps, max_steps)
        used = slice(self.num_steps * batch_size)
        self.data = replace(data, train_x=data.train_x[used], train_y=data.train_y[used])
        self.device = data.train_x.device
        self.hidden, self.batch_size, self.placement = hidden, batch_size, placement
        self.epoch_steps = EPOCH_IMAGES // batch_size
        self.architecture = Architecture(
            num_inputs=num_pixels,
            num_classes=data.num_classes,
            model=ModelSettings.model_validate(
                {"hidden": hidden, "norm": {"placement": placement}}
            ),
        )
        self.flops_per_step, self.bytes_per_step = step_cost(
            self.architecture, batch_size=batch_size
        )

    @property
    def label(self) -> str:
        """``3 x 256, batch 128, BN pre``."""
        layers = " x ".join(map(str, self.hidden)) or "no hidden layer"
        if len(set(self.hidden)) == 1:
            layers = f"{len(self.hidden)} x {self.hidden[0]}"
        norm = "no BN" if self.placement == "none" else f"BN {self.placement}"
        return f"{layers}, batch {self.batch_size}, {norm}"

    def describe(self) -> dict[str, Any]:
        """The case in a record."""
        keys = ("label", "hidden", "batch_size", "placement", "num_steps", "epoch_steps")
        return {key: getattr(self, key) for key in (*keys, "flops_per_step", "bytes_per_step")}

    def start(self, seed: int) -> dict[str, Tensor]:
        """Initial state of network `seed`, as ``nn.Sequential`` names it, on the CPU."""
        return draw_networks(
            self.architecture,
            [(seed, InitSettings())],
            dtype=torch.float32,
            examples=self.data.train_x[:1],
        ).state(0)

    def network(self, seed: int) -> nn.Sequential:
        """The same network as an ``nn.Sequential``, on the device."""
        network = build_sequential(self.architecture)
        network.load_state_dict(self.start(seed))
        return network.to(self.device)

    def order(self, seed: int) -> Tensor:
        """Order of the images in the first pass of network `seed`, (image,), on the CPU."""
        return epoch_order([seed], epoch=1, num_examples=self.data.train_x.size(0))[0]


PLAIN = "plain loop"
LOADER = "DataLoader loop"

Losses: TypeAlias = "npt.NDArray[np.floating]"


class Loop(Protocol):
    """Trains networks of a case; network r starts as ``Case.start(r)``.

    Attributes:
        name: Its row in the tables.
        num_networks: Networks trained together.
    """

    name: str
    num_networks: int

    def train(self) -> Losses:
        """Train for one pass through the case's images.

        The first pass takes them in the order ``Case.order(r)``; each later one draws a new order,
        which is part of the work.

        Returns:
            Training loss of each step in nats, (network, step), on the CPU, so that all work is
            done when it returns, also on a GPU.
        """


Build: TypeAlias = "Callable[[Case], Loop]"


class StackLoop:
    """bninit: networks of the seeds 0, 1, ... in one stack, without evaluation and records."""

    def __init__(self, case: Case, *, num_networks: int) -> None:
        self.name = f"bninit, stack of {num_networks}" if num_networks > 1 else "bninit, 1 network"
        self.num_networks = num_networks
        plan = StackPlan(
            architecture=case.architecture,
            optim=SGDSettings(lr=LEARNING_RATE, momentum=MOMENTUM),
            train=TrainSettings(batch_size=case.batch_size),
            device=case.device,
        )
        replicas = [ReplicaPlan(seed=r) for r in range(num_networks)]
        self._session = Session(plan, replicas, case.data)

    def train(self) -> Losses:
        """See `Loop.train`."""
        return self._session.run_epoch()


class PlainLoop:
    """Eager PyTorch: images and labels are two tensors on the device, batches are indexed."""

    name = PLAIN
    num_networks = 1

    def __init__(self, case: Case, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        self._case, self._dtype = case, dtype
        self._network = case.network(seed).to(dtype).train()
        self._optimiser = SGD(self._network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
        self._order: Tensor | None = case.order(seed)

    def train(self, *, max_steps: int | None = None) -> Losses:
        """See `Loop.train`."""
        order, self._order = self._order, None
        # Losses are read at the end: `loss.item()` in each step would wait for the GPU.
        losses = [self._step(x, y) for x, y in islice(self._batches(order), max_steps)]
        return np.asarray(torch.stack(losses).cpu().numpy())[None]

    def _batches(self, order: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        data = self._case.data
        order = torch.randperm(len(data.train_y)) if order is None else order
        for index in torch.split(order.to(self._case.device), self._case.batch_size):
            yield data.train_x[index], data.train_y[index]

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self._optimiser.zero_grad()
        loss = cross_entropy(self._network(x.to(self._dtype)), y)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()


class LoaderLoop(PlainLoop):
    """Eager PyTorch with a ``DataLoader`` over images that are decoded one by one.

    As ``torchvision.datasets.MNIST`` and PyTorch's MNIST example do it: each item becomes a PIL
    image and then a tensor by ``ToTensor``, on the CPU in the process itself and on CUDA in one
    worker with pinned memory.
    """

    name = LOADER

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._images = _Images(case)

    def _batches(self, order: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        how: dict[str, Any] = {"shuffle": True} if order is None else {"sampler": order.tolist()}
        if self._case.device.type == "cuda":
            how |= {"num_workers": 1, "pin_memory": True}
        for x, y in DataLoader(self._images, batch_size=self._case.batch_size, **how):
            yield x.to(self._case.device).flatten(1), y.to(self._case.device)


class _Images(Dataset[tuple[Tensor, int]]):
    """Images as bytes, decoded item by item."""

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


CHECKED_STEPS = 5
"""Momentum first acts in the second step, and shows in the loss of the third."""

TOLERANCE = 2e-4
"""Largest relative difference of losses that is rounding: float32 against float64."""


class UnequalLossesError(Exception):
    """A loop trains something else, so that its times are not comparable."""


def reference_losses(case: Case, *, seed: int) -> list[float]:
    """The first losses of a network in float64, by autograd and ``torch.optim.SGD``."""
    loop = PlainLoop(case, seed=seed, dtype=torch.float64)
    losses: list[float] = loop.train(max_steps=CHECKED_STEPS)[0].tolist()
    return losses


def check_losses(case: Case, *, name: str, losses: Losses) -> float:
    """Check a loop's first pass, (network, step), against `reference_losses`."""
    if losses.shape[1] != case.num_steps:
        raise UnequalLossesError(
            f"{name} made {losses.shape[1]} steps instead of {case.num_steps} ({case.label})"
        )
    due = np.array([reference_losses(case, seed=seed) for seed in range(len(losses))])
    own = losses[:, : due.shape[1]]
    differences = np.abs(own - due) / due
    wrong = np.argwhere(~(differences <= TOLERANCE))
    if len(wrong):
        seed, step = wrong[0]
        raise UnequalLossesError(
            f"{name}, network {seed}: the loss of step {step + 1} is {own[seed, step]:.6f}, not "
            f"{due[seed, step]:.6f} ({case.label}): it does not compute the same, and is not timed"
        )
    return float(differences.max())
