"""Random directions from a network, of a length that suits each of its units.

Of a network with batch norm after a linear layer, or with ReLU units, the weights of a layer can
be scaled without a change of what the network computes, and so a step of a given length means
nothing by itself. Li et al. 2018 (arXiv:1712.09913, section 4) give each filter of a random
direction the norm of the network's own filter. A filter of a linear layer is the vector of
incoming weights of one unit: a row of its matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.config import Config
from bninit.data.load import Data, load
from bninit.engines.interface import Job
from bninit.engines.plan import (
    initialisation_of,
    largest_stack,
    plan_stacks,
    products_of,
    train_settings_of,
)
from bninit.nets.architecture import Architecture
from bninit.nets.layers import example_losses
from bninit.nets.products import FULL
from bninit.nets.stack import StackedMLP
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.plan import ReplicaPlan
from bninit.training.replay import MeasuredStep, replay
from bninit.training.seeding import direction_draws

Direction = dict[str, Tensor]
"""From a parameter's name in ``nn.Sequential`` to a change of it; others do not change."""


def filter_normalized_direction(
    architecture: Architecture,
    state: Mapping[str, Tensor],
    *,
    draws: Callable[[int, tuple[int, ...]], Tensor],
) -> Direction:
    """Makes a random direction whose every filter has the norm of the network's own.

    Biases, gamma and beta keep their values: the direction is zero there, as Li et al. 2018 have
    it. A unit without incoming weights (all zero) does not move either.

    Args:
        architecture: The shape of the network.
        state: Its parameters, as `StackedMLP.state` gives them.
        draws: From a 1-based linear layer and a shape to draws from N(0, 1) in float64.

    Returns:
        A change of each weight matrix, in its dtype and on its device.
    """
    found: Direction = {}
    for layer, place in enumerate(linear_names(architecture), start=1):
        name = f"{place}.weight"
        weight = state[name]
        drawn = draws(layer, tuple(weight.shape)).clone()
        own = torch.linalg.vector_norm(weight.to("cpu", torch.float64), dim=1, keepdim=True)
        drawn *= own / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
        found[name] = drawn.to(weight.device, weight.dtype)
    return found


def linear_names(architecture: Architecture) -> list[str]:
    """The place of each linear layer in ``nn.Sequential``, in order."""
    return [str(place) for place, (kind, _) in enumerate(architecture.kinds()) if kind == "linear"]


BATCH = "batch"
RUNNING = "running"
STATISTICS = (BATCH, RUNNING)
"""What batch norm normalizes with at a point of a slice."""

_MOST_POINTS = {"cpu": 8, "cuda": 256}
"""Points in one stack: on a CPU more of them leave the caches."""

_MOST_BYTES = 1 << 30


@torch.no_grad()
def slice_losses(
    architecture: Architecture,
    state: Mapping[str, Tensor],
    *,
    directions: Sequence[Direction],
    coordinates: Tensor,
    x: Tensor,
    y: Tensor,
    statistics: str = BATCH,
    precision: str = FULL,
) -> Tensor:
    """The mean loss at points around a network: at state + sum of coordinate x direction.

    With ``batch`` statistics every point is normalized by the mean and variance that its own
    units have over all of `x`, as in training. That is the loss that training goes down, and the
    only one that keeps what batch norm is for: the loss does not depend on the scale of the
    weights before it. ``running`` keeps the network's running statistics, as evaluation does: a
    network with weights other than those that they were collected with is then not normalized
    at all. Without batch norm the two are the same. On the CPU a point has the same bits
    whichever points it is computed with.

    Args:
        architecture: The shape of the network.
        state: Its parameters and statistics, as `StackedMLP.state` gives them. Read only.
        directions: At least one; what they do not name stays as it is.
        coordinates: (point, direction).
        x: (example, feature); with ``batch`` statistics at least two examples, all one batch.
        y: (example,), class numbers.
        statistics: ``batch`` or ``running``.
        precision: Of matrix products; see `bninit.nets.products.PRECISIONS`.

    Returns:
        (point,), float64, in nats per example, on the CPU; NaN or infinity where the loss is.

    Raises:
        ValueError: `statistics` is neither.
    """
    if statistics not in STATISTICS:
        raise ValueError(f"statistics are {' or '.join(STATISTICS)}, not {statistics!r}")
    size = min(len(coordinates), _most_points(architecture, x))
    network = _copies(architecture, state, size, precision=precision)
    moved = {p.name: p.value for p in network.parameters}
    inputs, labels = x.T.expand(size, -1, -1), y.expand(size, -1)
    found = []
    for part in torch.split(coordinates, size):
        for place, point in enumerate(part.tolist()):
            for name, value in moved.items():
                value[place].copy_(state[name])
                for along, direction in zip(point, directions, strict=True):
                    if name in direction:
                        value[place].add_(direction[name], alpha=along)
        # The last part may be shorter: the places behind it hold points of the part before.
        logits = network.forward(inputs, training=statistics == BATCH)
        losses = example_losses(logits, labels)[: len(part)]
        found += [one.sum(dtype=torch.float64).item() / y.numel() for one in losses]
    return torch.tensor(found, dtype=torch.float64)


def _most_points(architecture: Architecture, x: Tensor) -> int:
    """Points that are computed together, at least 1."""
    signals = 4 * sum(architecture.widths) * len(x) * x.element_size()
    return max(1, min(_MOST_POINTS[x.device.type], _MOST_BYTES // signals))


def _copies(
    architecture: Architecture, state: Mapping[str, Tensor], size: int, *, precision: str
) -> StackedMLP:
    """A stack of copies of one network."""
    names = linear_names(architecture)
    biases = [state.get(f"{name}.bias") for name in names]
    network = StackedMLP(
        architecture,
        weights=[state[f"{name}.weight"].expand(size, -1, -1).clone() for name in names],
        biases=[None if bias is None else bias.expand(size, -1).clone() for bias in biases],
        precision=precision,
    )
    network.load([state] * size)
    return network


State = Mapping[str, Tensor]
"""Parameters and statistics of one network, as ``nn.Sequential`` names them."""

DIRECTION_SEED = 0
"""Of random directions: the same raw draws for all networks of a shape, so that they are paired."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A training that was gone through again.

    Attributes:
        jobs: The networks of its stack.
        step_losses: (replica, step), in nats.
        measured: The steps that were measured, each for all networks.
        paths: For each network its parameters after each epoch from 0, (epoch, parameter), in
            the order of `names`; None where it was not asked for.
        names: Of the parameters, with their shapes.
    """

    jobs: tuple[Job, ...]
    step_losses: npt.NDArray[np.floating]
    measured: tuple[MeasuredStep, ...]
    paths: tuple[npt.NDArray[np.floating] | None, ...]
    names: dict[str, torch.Size]

    def tensors(self, values: npt.NDArray[np.floating], *, like: State) -> dict[str, Tensor]:
        """All parameters in a row, (parameter,), as tensors by name: as those of a state are."""
        found: dict[str, Tensor] = {}
        begin = 0
        for name, shape in self.names.items():
            piece = torch.from_numpy(values[begin : begin + shape.numel()]).view(shape)
            found[name] = piece.to(like[name].device, like[name].dtype)
            begin += shape.numel()
        return found


class Surroundings:
    """Computes on one device what lies around networks; reads no run and writes nothing.

    Args:
        device: Where to compute.
        data_dir: Folder searched first for data sets.
    """

    def __init__(self, *, device: torch.device, data_dir: Path | None) -> None:
        self._device = device
        self._data_dir = data_dir
        self._data: dict[tuple[object, ...], Data] = {}

    def plan(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """The stacks in which trainings are gone through again."""
        return plan_stacks(jobs, largest=partial(largest_stack, device=self._device))

    def replay(
        self,
        jobs: Sequence[Job],
        *,
        steps: Sequence[int],
        lengths: Sequence[float] | None,
        with_path: Sequence[bool],
    ) -> Replayed:
        """Trains a stack once more.

        Args:
            jobs: Networks that can train in one stack.
            steps: Which to measure along the gradient.
            lengths: Step lengths; None for those that suit the learning rate.
            with_path: For each network, whether its weights are kept after each epoch.

        Raises:
            DataError: The data set is not to be had.
        """
        config = jobs[0].config
        plans = [
            ReplicaPlan(seed=job.seed, initialisation=initialisation_of(job.config)) for job in jobs
        ]
        settings = train_settings_of(config, device=self._device)
        losses: list[npt.NDArray[np.floating]] = []
        measured: list[MeasuredStep] = []
        paths: list[list[npt.NDArray[np.floating]]] = [[] for _ in jobs]
        names: dict[str, torch.Size] = {}
        for epoch in replay(settings, plans, self.data(config), steps=steps, lengths=lengths):
            losses.append(epoch.step_losses)
            measured += epoch.measured
            names = {name: value.shape for name, value in epoch.parameters[0].items()}
            for path, wanted, parameters in zip(paths, with_path, epoch.parameters, strict=True):
                if wanted:
                    path.append(torch.cat([p.flatten() for p in parameters.values()]).cpu().numpy())
        return Replayed(
            jobs=tuple(jobs),
            step_losses=np.concatenate(losses[1:], axis=1),
            measured=tuple(measured),
            paths=tuple(np.stack(path) if path else None for path in paths),
            names=names,
        )

    def random_directions(self, config: Config, state: State, *, number: int) -> list[Direction]:
        """The first random directions of a network, filter-normalized."""
        return [
            filter_normalized_direction(
                architecture_of(config), state, draws=direction_draws(DIRECTION_SEED, k)
            )
            for k in range(1, number + 1)
        ]

    def losses(
        self,
        config: Config,
        state: State,
        *,
        directions: Sequence[Direction],
        coordinates: npt.NDArray[np.float64],
        examples: int,
        statistics: str,
    ) -> npt.NDArray[np.float64]:
        """The loss at points around a network, on the first training examples; in nats.

        Args:
            config: Of the network.
            state: The network, on the device; see `here`.
            directions: At least one.
            coordinates: (point, direction).
            examples: How many; all there are if there are fewer.
            statistics: As `slice_losses` takes it.
        """
        data = self.data(config)
        found: npt.NDArray[np.float64] = slice_losses(
            architecture_of(config),
            state,
            directions=directions,
            coordinates=torch.from_numpy(coordinates),
            x=data.train_x[:examples],
            y=data.train_y[:examples],
            statistics=statistics,
            precision=products_of(config),
        ).numpy()
        return found

    def here(self, state: State) -> dict[str, Tensor]:
        """A state, brought to the device."""
        return {name: value.detach().to(self._device) for name, value in state.items()}

    def data(self, config: Config) -> Data:
        """The config's data set on the device.

        Raises:
            DataError: It is not to be had.
        """
        wanted, dtype = config.data, dtype_of(config)
        key = (wanted.name, wanted.val_size, wanted.scale, dtype)
        if key not in self._data:
            # One at a time: runs on different data do not hold them all.
            self._data = {
                key: load(
                    wanted.name,
                    data_dir=self._data_dir,
                    val_size=wanted.val_size,
                    scale=wanted.scale,
                    device=self._device,
                    dtype=dtype,
                )
            }
        return self._data[key]
