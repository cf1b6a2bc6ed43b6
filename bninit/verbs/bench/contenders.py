"""Operations and bytes of a training step, counted from shapes. Importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.start import Initialisation, draw_start, stack
from bninit.training.loop import Session
from bninit.training.optimisers import OptimiserSettings
from bninit.training.plan import ReplicaPlan, TrainSettings
from bninit.training.seeding import bias_draws, weight_draws
from bninit.training.steps import epoch_order

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class Work:
    """What a step of one network takes.

    Attributes:
        flops: Multiplications and additions of its matrix products; 2 m k n for a product of
            (m, k) and (k, n). Batch norm, activations, loss and optimiser are not counted.
        num_bytes: Bytes read and written if every operation reads its operands from memory once
            and writes its result there once.
    """

    flops: int
    num_bytes: int


def step_work(architecture: Architecture, *, batch_size: int, itemsize: int = 4) -> Work:
    """Counts a step: forward, backward and SGD with momentum.

    A linear layer of n inputs and m outputs takes one product forward and two backward, for the
    gradients with respect to its weights and to its input. The second is not needed by a layer
    with nothing that trains before it.

    Bytes: a product reads both factors and writes the result. Batch norm reads its input twice
    forward (for the statistics, and to normalize) and writes it once; backward it reads input and
    gradient twice each, and writes a gradient. An activation reads one array and writes one
    forward, and reads two and writes one backward. The batch is read and written once when it is
    gathered. The optimiser reads value, gradient and momentum of each parameter, and writes value
    and momentum. What is smaller by a factor of the batch or of a width (biases, the loss, the
    statistics themselves) is left out.

    Args:
        architecture: The shape of the network.
        batch_size: Examples of the step.
        itemsize: Bytes of a number.
    """
    products = moved = parameters = 0
    widths = architecture.widths
    moved += 2 * batch_size * widths[0]
    trains_before = False
    for kind, layer in architecture.kinds():
        signal = batch_size * widths[layer]
        if kind == "linear":
            fan_in = widths[layer - 1]
            num_products = 3 if trains_before else 2
            products += num_products * batch_size * fan_in * widths[layer]
            moved += num_products * (
                fan_in * widths[layer] + batch_size * fan_in + batch_size * widths[layer]
            )
            parameters += fan_in * widths[layer]
            trains_before = True
        elif kind == "norm":
            moved += 3 * signal + 5 * signal
            trains_before = trains_before or architecture.affine
        else:
            moved += 2 * signal + 3 * signal
    moved += 5 * parameters
    return Work(flops=2 * products, num_bytes=itemsize * moved)


EPOCH_IMAGES = 60_000
"""Times are told for an epoch of as many images, the training set of MNIST, whatever is timed."""

LEARNING_RATE = 0.01
MOMENTUM = 0.9


@dataclass(frozen=True, eq=False)
class Case:
    """The task that every contender has.

    SGD with momentum 0.9 and the constant rate 0.01, cross-entropy, ReLU, He's normal weights.

    Attributes:
        hidden: Units of each hidden layer.
        batch_size: Examples of a step.
        placement: Batch norm: ``none``, ``pre`` or ``post``.
        num_steps: Steps of a pass: what is timed.
        data: Images in [0, 1], as many as a pass takes; see `restricted`.
    """

    hidden: tuple[int, ...]
    batch_size: int
    placement: str
    num_steps: int
    data: Data

    @classmethod
    def restricted(
        cls,
        data: Data,
        *,
        hidden: tuple[int, ...],
        batch_size: int,
        placement: str,
        max_steps: int | None,
    ) -> Case:
        """A case on the first images of a training set.

        Args:
            data: In float32, scaled to [0, 1], where it is to be trained.
            hidden: See `Case`.
            batch_size: See `Case`.
            placement: See `Case`.
            max_steps: Steps of a pass at most; None for all of the training set.

        Raises:
            ValueError: The training set has less than a batch.
        """
        num_steps = data.train_x.size(0) // batch_size
        if num_steps == 0:
            raise ValueError(f"a batch of {batch_size} is more than the training set")
        num_steps = num_steps if max_steps is None else min(num_steps, max_steps)
        num_images = num_steps * batch_size
        return cls(
            hidden=hidden,
            batch_size=batch_size,
            placement=placement,
            num_steps=num_steps,
            data=replace(
                data, train_x=data.train_x[:num_images], train_y=data.train_y[:num_images]
            ),
        )

    @cached_property
    def architecture(self) -> Architecture:
        """The shape of the networks."""
        return Architecture(
            widths=(self.data.train_x.size(1), *self.hidden, self.data.num_classes),
            placement=self.placement,
        )

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.data.train_x.device

    @property
    def label(self) -> str:
        """In short: ``3 x 256, batch 128, BN pre``."""
        widths = set(self.hidden)
        layers = (
            f"{len(self.hidden)} x {self.hidden[0]}"
            if len(widths) == 1
            else " x ".join(map(str, self.hidden)) or "no hidden layer"
        )
        norm = "no BN" if self.placement == "none" else f"BN {self.placement}"
        return f"{layers}, batch {self.batch_size}, {norm}"

    @property
    def work(self) -> Work:
        """What a step of one network takes."""
        return step_work(self.architecture, batch_size=self.batch_size)

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch of `EPOCH_IMAGES`, a rest smaller than a batch left out."""
        return EPOCH_IMAGES // self.batch_size

    def start(self, seed: int) -> dict[str, Tensor]:
        """The state of one network before training, as ``nn.Sequential`` names it, on the CPU."""
        drawn = draw_start(
            self.architecture,
            Initialisation(),
            weight_draws=partial(weight_draws, seed),
            bias_draws=partial(bias_draws, seed),
            dtype=torch.float32,
            examples=self.data.train_x[:1].cpu(),
        )
        return stack(self.architecture, [drawn], device=torch.device("cpu")).state(0)

    def network(self, seed: int) -> torch.nn.Sequential:
        """That network as an ``nn.Sequential``, on the device."""
        network = build_sequential(self.architecture)
        network.load_state_dict(self.start(seed))
        return network.to(self.device)

    def order(self, seed: int) -> Tensor:
        """The order of the images in a network's first pass, (image,), on the CPU."""
        return epoch_order([seed], epoch=1, num_examples=self.data.train_x.size(0))[0]


CHECKED_STEPS = 5
"""Momentum first acts in the second step, and shows in the loss of the third."""

TOLERANCE = 2e-4
"""Largest relative difference of losses that is rounding: float32 against float64."""


class UnequalLossesError(Exception):
    """Someone trains something else, so that times would compare nothing."""


def reference_losses(case: Case, *, seed: int, num_steps: int) -> list[float]:
    """The losses of a network's first steps in float64, with autograd and ``torch.optim.SGD``.

    Args:
        case: What is trained.
        seed: Of the network.
        num_steps: At most those of the case.
    """
    network = case.network(seed).double().train()
    optimiser = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    data, order = case.data, case.order(seed).to(case.device)
    losses = []
    for index in torch.split(order, case.batch_size)[:num_steps]:
        optimiser.zero_grad()
        loss = cross_entropy(network(data.train_x[index].double()), data.train_y[index])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def check_losses(case: Case, *, name: str, losses: Losses) -> float:
    """Makes sure that a contender's first pass began as it should have.

    Args:
        case: What was trained.
        name: Who trained it.
        losses: Of its first pass, (network, step).

    Returns:
        The largest relative difference from the reference.

    Raises:
        UnequalLossesError: The number of steps is wrong, or a loss of the first `CHECKED_STEPS`
            differs by more than `TOLERANCE`.
    """
    if losses.shape[1] != case.num_steps:
        raise UnequalLossesError(
            f"{name} made {losses.shape[1]} steps where {case.num_steps} were due ({case.label})"
        )
    worst = 0.0
    for seed, own in enumerate(losses):
        expected = reference_losses(case, seed=seed, num_steps=CHECKED_STEPS)
        for step, (loss, due) in enumerate(zip(own.tolist(), expected, strict=False), start=1):
            difference = abs(loss - due) / due
            if not difference <= TOLERANCE:
                raise UnequalLossesError(
                    f"{name}, network {seed}: the loss of step {step} is {loss:.6f}, not {due:.6f} "
                    f"({case.label}): it does not compute the same, and is not timed"
                )
            worst = max(worst, difference)
    return worst


PLAIN = "plain loop"
"""PyTorch, eager, all images in memory; see `bninit.verbs.bench.contenders.PlainLoop`."""

LOADER = "DataLoader loop"
"""PyTorch, eager, image by image; see `bninit.verbs.bench.contenders.LoaderLoop`."""

Losses: TypeAlias = "npt.NDArray[np.floating]"


class Contender(Protocol):
    """Someone who trains networks of a case.

    Network r of it starts as ``Case.start(r)``.

    Attributes:
        name: Who it is.
        num_networks: Networks that it trains together.
    """

    name: str
    num_networks: int

    def train(self) -> Losses:
        """Trains through the case's images once.

        The first pass takes them in the order ``Case.order(r)``; each later one shuffles anew, and
        drawing that order is part of the work.

        Returns:
            The training loss of each step in nats, (network, step), on the CPU: what was computed
            is then there, also on a GPU.
        """


Build: TypeAlias = "Callable[[Case], Contender]"
"""Makes a contender before its first pass."""


_ENDLESS = 1_000_000
"""Epochs of the training, which nothing but its learning-rate schedule would ask for."""


class Stack:
    """Networks with the seeds 0, 1, ... in one stack, without evaluation and without records.

    Args:
        case: What is trained.
        num_networks: Networks in the stack.
    """

    def __init__(self, case: Case, *, num_networks: int) -> None:
        self.name = stack_name(num_networks)
        self.num_networks = num_networks
        settings = TrainSettings(
            architecture=case.architecture,
            optimiser=OptimiserSettings(name="sgd", momentum=MOMENTUM),
            lr=LEARNING_RATE,
            epochs=_ENDLESS,
            batch_size=case.batch_size,
            device=case.device,
        )
        plans = [ReplicaPlan(seed=r, initialisation=Initialisation()) for r in range(num_networks)]
        self._session = Session(settings, plans, case.data)

    def train(self) -> Losses:
        """See `Contender.train`."""
        return self._session.run_epoch()


def stack_name(num_networks: int) -> str:
    """Who it is: ``bninit, 1 network``, ``bninit, stack of 10``."""
    return "bninit, 1 network" if num_networks == 1 else f"bninit, stack of {num_networks}"


def stack_of(num_networks: int) -> Build:
    """Makes stacks of one size."""
    return partial(Stack, num_networks=num_networks)


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
