"""What is trained in a benchmark: one shape of network, one batch size, one set of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from bninit.bench.work import Work, step_work
from bninit.data.load import Data
from bninit.nets.architecture import Architecture
from bninit.nets.reference import build_sequential
from bninit.nets.start import Initialisation, draw_start, stack
from bninit.training.batches import epoch_order
from bninit.training.seeding import bias_draws, weight_draws

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
