"""Looking around networks that are trained: their trainings once more, and the loss beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.config import Config
from bninit.data.load import Data, load
from bninit.engines.plan import Job, largest_stack, plan_stacks
from bninit.engines.settings import initialisation_of, products_of, train_settings_of
from bninit.nets.directions import Direction, filter_normalized_direction
from bninit.nets.slices import slice_losses
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.loop import ReplicaPlan
from bninit.training.replay import MeasuredStep, replay
from bninit.training.seeding import direction_draws

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
