"""Landscape evaluator: losses along lines and on planes around networks, and replays of training.

Random directions are filter-normalized. The weights of a layer can be scaled without a change of
the function if batch norm follows or the units are ReLUs, so a step of a given length means nothing
by itself; Li et al. 2018 (arXiv:1712.09913, section 4) give each filter of a random direction the
norm of the network's own filter. A filter of a linear layer is a row of its weight matrix: the
incoming weights of one unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.config import Config
from bninit.data.load import Data
from bninit.engines.interface import Job
from bninit.engines.plan import (
    DataKey,
    data_key,
    largest_stack,
    load_data,
    plan_stacks,
    replica_plan,
    stack_plan,
)
from bninit.nets.architecture import Architecture
from bninit.nets.layers import example_losses
from bninit.nets.products import FULL
from bninit.nets.stack import StackedMLP
from bninit.store import Run
from bninit.training.replay import MeasuredStep, replay
from bninit.training.seeding import direction_draws
from bninit.verbs.landscape.landscape import (
    GRADIENT,
    LINE,
    OF_STEP,
    PLANE,
    TRAJECTORY,
    Landscape,
    LandscapeOptions,
    LandscapeRun,
    Numbers,
    PrincipalPlane,
    Range,
    common_ranges,
    grid,
    measured_steps,
    notes_of,
    principal_plane,
)

if TYPE_CHECKING:
    import pandas as pd

    from bninit.engines.interface import Progress

Direction = dict[str, Tensor]
"""Changes of parameters, by their names in ``nn.Sequential``; others do not change."""

State = Mapping[str, Tensor]
"""Parameters and statistics of one network, by their names in ``nn.Sequential``."""

BATCH = "batch"
RUNNING = "running"
STATISTICS = (BATCH, RUNNING)
"""Statistics with which batch norm normalizes at a point of a slice."""

DIRECTION_SEED = 0

_MOST_POINTS = {"cpu": 8, "cuda": 256}
"""Points in one stack: on a CPU more of them leave the caches."""

_MOST_BYTES = 1 << 30


def linear_names(architecture: Architecture) -> list[str]:
    """The name of each linear layer in ``nn.Sequential``, in order."""
    return [str(place) for place, (kind, _) in enumerate(architecture.kinds()) if kind == "linear"]


def filter_normalized_direction(architecture: Architecture, state: State, number: int) -> Direction:
    """A random direction whose every filter has the norm of the network's own (Li et al. 2018).

    Biases, gamma, beta and units without incoming weights (all zero) do not move. Numbers count
    from 1; the raw draws of one are equal for all networks of a shape, so that these are paired.
    """
    draws = direction_draws(DIRECTION_SEED, number)
    found: Direction = {}
    for layer, place in enumerate(linear_names(architecture), start=1):
        name = f"{place}.weight"
        weight = state[name]
        drawn = draws(layer, tuple(weight.shape)).clone()
        own = torch.linalg.vector_norm(weight.to("cpu", torch.float64), dim=1, keepdim=True)
        drawn *= own / torch.linalg.vector_norm(drawn, dim=1, keepdim=True)
        found[name] = drawn.to(weight.device, weight.dtype)
    return found


@torch.no_grad()
def slice_losses(
    architecture: Architecture,
    state: State,
    *,
    directions: Sequence[Direction],
    coordinates: Tensor,
    x: Tensor,
    y: Tensor,
    statistics: str = BATCH,
    precision: str = FULL,
) -> Tensor:
    """The mean loss at points around a network: at state + sum of coordinate x direction.

    With ``batch`` statistics each point is normalized by the mean and variance of its own units
    over all of `x`, as in training: the loss does not depend on the scale of the weights before
    batch norm. ``running`` keeps the network's running statistics, as in evaluation: a network
    with other weights is then not normalized at all. Without batch norm both are equal. On the CPU
    a point has the same bits whichever points it is computed with.

    Coordinates are (point, direction), x (example, feature), the losses (point,) in float64 and
    nats per example on the CPU; NaN or infinity where the loss is.
    """
    if statistics not in STATISTICS:
        raise ValueError(f"statistics must be {' or '.join(STATISTICS)}, not {statistics!r}")
    signals = 4 * sum(architecture.widths) * len(x) * x.element_size()
    most = max(1, min(_MOST_POINTS[x.device.type], _MOST_BYTES // signals))
    size = min(len(coordinates), most)
    names = linear_names(architecture)
    biases = [state.get(f"{name}.bias") for name in names]
    network = StackedMLP(
        architecture,
        weights=[state[f"{name}.weight"].expand(size, -1, -1).clone() for name in names],
        biases=[None if bias is None else bias.expand(size, -1).clone() for bias in biases],
        precision=precision,
    )
    network.load([state] * size)
    inputs, labels = x.T.expand(size, -1, -1), y.expand(size, -1)
    found = []
    for part in torch.split(coordinates, size):
        for place, point in enumerate(part.tolist()):
            for parameter in network.parameters:
                value = parameter.value[place]
                value.copy_(state[parameter.name])
                for along, direction in zip(point, directions, strict=True):
                    if parameter.name in direction:
                        value.add_(direction[parameter.name], alpha=along)
        # The last part may be shorter: the places behind it hold points of the part before.
        logits = network.forward(inputs, training=statistics == BATCH)
        losses = example_losses(logits, labels)[: len(part)]
        found += [one.sum(dtype=torch.float64).item() / y.numel() for one in losses]
    return torch.tensor(found, dtype=torch.float64)


@dataclass(kw_only=True)
class Survey:
    """Evaluates the loss along trainings and around networks on one device; writes nothing."""

    subjects: Sequence[tuple[Run, LandscapeRun]]
    options: LandscapeOptions
    device: torch.device
    data_dir: Path | None
    watcher: Progress
    _data: dict[DataKey, Data] = field(default_factory=dict)
    _tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    _gaps: dict[str, float] = field(default_factory=dict)
    _paths: dict[str, list[dict[str, Tensor]]] = field(default_factory=dict)

    def run(self) -> Landscape:
        """All kinds that are requested."""
        import pandas as pd

        kinds = self.options.kinds
        if GRADIENT in kinds or TRAJECTORY in kinds:
            self._replay_all()
        planes = {}
        for label, path in self._paths.items():
            flat = [torch.cat([value.flatten() for value in state.values()]) for state in path]
            planes[label] = principal_plane(torch.stack(flat).numpy())
        ranges = common_ranges([plane.path for plane in planes.values()]) if planes else None
        for run, row in self.subjects:
            if ranges is not None and row.label in planes:
                self._trajectory(run, row.label, planes[row.label], ranges)
        for run, row in self.subjects:
            if LINE in kinds or (PLANE in kinds and row.first_of_arm):
                self._slice(run, row)
        rows = [replace(row, replay_gap=self._gaps.get(row.label)) for _, row in self.subjects]
        order = {row.label: place for place, row in enumerate(rows)}
        for parts in self._tables.values():
            parts.sort(key=lambda part: order[part["label"].iloc[0]])
        return Landscape(
            runs=tuple(rows),
            settings=asdict(self.options),
            tables={
                name: pd.concat(parts, ignore_index=True) for name, parts in self._tables.items()
            },
            explained={
                label: (float(plane.explained[0]), float(plane.explained[1]))
                for label, plane in planes.items()
            },
            notes=tuple(notes_of(rows, self.options)),
        )

    def _replay_all(self) -> None:
        """Train every run once more, in stacks."""
        jobs = [Job(run.config, run.seed) for run, _ in self.subjects]
        subject_of = {id(job): each for job, each in zip(jobs, self.subjects, strict=True)}
        for stack in plan_stacks(jobs, largest=partial(largest_stack, device=self.device)):
            self._replay(stack, [subject_of[id(job)] for job in stack])

    def _replay(self, stack: Sequence[Job], subjects: Sequence[tuple[Run, LandscapeRun]]) -> None:
        """Train a stack once more: measure along its gradients, and keep its paths."""
        kinds, config = self.options.kinds, stack[0].config
        num_steps = config.train.epochs * config.iterations_per_epoch
        steps = measured_steps(num_steps, self.options.steps) if GRADIENT in kinds else ()
        along = f", {len(steps)} of them measured along the gradient" if steps else ""
        labels = ", ".join(row.label for _, row in subjects)
        self.watcher.note(f"{labels}: training once more, {num_steps:,} steps{along}")
        losses: list[npt.NDArray[np.floating]] = []
        for epoch in replay(
            stack_plan(config, device=self.device),
            [replica_plan(job) for job in stack],
            self._data_of(config),
            steps=steps,
            lengths=self.options.lengths,
        ):
            losses.append(epoch.step_losses)
            for place, (_, row) in enumerate(subjects):
                for measured in epoch.measured:
                    self._measured(row.label, place, measured)
                if TRAJECTORY in kinds and row.first_of_arm:
                    parameters = epoch.parameters[place].items()
                    path = self._paths.setdefault(row.label, [])
                    path.append({name: value.cpu() for name, value in parameters})
        again = np.concatenate(losses[1:], axis=1)
        for place, (run, row) in enumerate(subjects):
            own = run.step_losses().astype(np.float64)
            gap = np.abs(own - again[place].astype(np.float64)).max()
            self._gaps[row.label] = float(gap) if np.isfinite(gap) else math.inf

    def _measured(self, label: str, place: int, measured: MeasuredStep) -> None:
        """One network's measured step: a row, and a row for each step length."""
        along, (low, high) = measured.along, measured.along.loss_limits
        lengths = along.lengths
        of_step = {
            "loss": along.loss,
            "lowest_loss": low,
            "highest_loss": high,
            "gradient_norm": along.gradient_norm,
            **{name: getattr(along, name) for name in OF_STEP},
        }
        self._keep(
            "steps",
            label,
            step=[measured.step],
            epoch=measured.epoch,
            learning_rate=measured.learning_rate,
            shortest=float(lengths[0]),
            longest=float(lengths[-1]),
            **{name: float(values[place]) for name, values in of_step.items()},
        )
        self._keep(
            "lengths",
            label,
            step=measured.step,
            length=[float(length) for length in lengths],
            loss=[float(loss) for loss in along.losses[place]],
            gradient_change=[float(change) for change in along.gradient_changes[place]],
        )

    def _trajectory(
        self, run: Run, label: str, plane: PrincipalPlane, ranges: tuple[Range, Range]
    ) -> None:
        """The path of a training, and the loss on its plane, through the end of the path."""
        x, y = plane.path.T
        self._keep("paths", label, epoch=np.arange(len(x)), x=x, y=y)
        points = grid(*ranges, resolution=self.options.resolution)
        self.watcher.note(f"{label}: {len(points)} points on the plane of its training")
        end = self._paths[label][-1]
        sizes = [value.numel() for value in end.values()]
        directions = [
            {
                name: piece.view(value.shape).to(self.device, value.dtype)
                for (name, value), piece in zip(end.items(), along.split(sizes), strict=True)
            }
            for along in torch.from_numpy(plane.directions)
        ]
        losses = self._losses(run.config, self._state_of(run) | end, directions, points)
        self._keep("trajectories", label, x=points[:, 0], y=points[:, 1], loss=losses)

    def _slice(self, run: Run, row: LandscapeRun) -> None:
        """Lines along each random direction, and the plane of the first two."""
        options, label, extent = self.options, row.label, self.options.extent
        architecture, state = run.config.architecture, self._state_of(run)
        directions = [
            filter_normalized_direction(architecture, state, k)
            for k in range(1, max(options.directions, 2) + 1)
        ]
        if LINE in options.kinds:
            num_points = options.directions * options.resolution
            self.watcher.note(f"{label}: {num_points} points on lines around it")
            positions = np.linspace(-extent, extent, options.resolution)
            for k, direction in enumerate(directions[: options.directions], start=1):
                losses = self._losses(run.config, state, [direction], positions[:, None])
                self._keep("lines", label, direction=k, position=positions, loss=losses)
        if PLANE in options.kinds and row.first_of_arm:
            points = grid((-extent, extent), (-extent, extent), resolution=options.resolution)
            self.watcher.note(f"{label}: {len(points)} points on a plane around it")
            losses = self._losses(run.config, state, directions[:2], points)
            self._keep("planes", label, x=points[:, 0], y=points[:, 1], loss=losses)

    def _state_of(self, run: Run) -> dict[str, Tensor]:
        """The trained network on the device."""
        state = run.load_network().state_dict()
        return {name: value.detach().to(self.device) for name, value in state.items()}

    def _losses(
        self, config: Config, state: State, directions: Sequence[Direction], coordinates: Numbers
    ) -> Numbers:
        """Losses as `slice_losses` gives them, on the first training examples of the config."""
        data, examples = self._data_of(config), self.options.examples
        found: Numbers = slice_losses(
            config.architecture,
            {name: value.to(self.device) for name, value in state.items()},
            directions=directions,
            coordinates=torch.from_numpy(coordinates),
            x=data.train_x[:examples],
            y=data.train_y[:examples],
            statistics=self.options.statistics,
            precision=config.train.products,
        ).numpy()
        return found

    def _data_of(self, config: Config) -> Data:
        key = data_key(config)
        if key not in self._data:
            # One at a time: runs on different data do not hold them all.
            data = load_data(config, data_dir=self.data_dir, device=self.device)
            self._data = {key: data}
        return self._data[key]

    def _keep(self, table: str, label: str, **columns: Any) -> None:
        import pandas as pd

        rows = pd.DataFrame({"label": label, **columns})
        self._tables.setdefault(table, []).append(rows)
