"""Landscapes: the loss around trained networks and along their trainings, and what is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.landscape_notes import notes_of
from bninit.analysis.landscape_subjects import Subject, subjects_of
from bninit.analysis.landscape_wish import LandscapeWish
from bninit.analysis.landscapes import (
    GRADIENT,
    KINDS,
    LINE,
    PLANE,
    TRAJECTORY,
    Landscape,
    common_ranges,
    grid,
    length_rows,
    measured_steps,
    path_table,
    slice_table,
    step_rows,
)
from bninit.analysis.trajectories import PrincipalPlane, principal_plane
from bninit.store import Run
from bninit.store.findings import joined_name, keep_findings

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from bninit.engines.around import Replayed, Surroundings
    from bninit.engines.watcher import Watcher

LANDSCAPES = "landscape"
"""Folder in the runs folder for what is found around networks."""


def landscape(
    runs: Sequence[str | os.PathLike[str] | Run],
    *,
    kinds: Sequence[str] = KINDS,
    steps: int = 30,
    lengths: Sequence[float] | None = None,
    resolution: int = 21,
    directions: int = 5,
    extent: float = 1.0,
    examples: int = 500,
    statistics: str = "batch",
    device: str | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: str | os.PathLike[str] | None = None,
    watcher: Watcher | None = None,
) -> Landscape:
    """Look at the cost function along the training of some runs, and around what they found.

    Runs are only read. What a run did not keep (its gradients, its weights after each epoch) is
    found by training it once more from its config and seed, which on the same machine is the
    same training.

    Args:
        runs: Runs, their folders, ``<name>-<arm id>/seed-<n>``, or names or ids of arms.
        kinds: ``gradient`` along the gradient of training steps; ``line`` and ``plane`` along
            random filter-normalized directions; ``trajectory``, the plane in which most of the
            training lies. Planes and trajectories are of the lowest seed of each arm alone.
        steps: Steps of the training to measure along their gradients, evenly spread.
        lengths: Step lengths, rising, the same for all runs; None for 1/2 to 4 times each run's
            own learning rate.
        resolution: Points of a line, and along each side of a plane; odd, so that the one in the
            middle is the network itself.
        directions: Random directions of lines.
        extent: How far lines and planes go to each side, in filter norms.
        examples: Training examples on which slices are computed, the first ones of the set.
        statistics: What batch norm goes by in slices: ``batch``, those of the examples at each
            point; or ``running``, the network's own, as they are after training.
        device: Where to compute; by default a GPU where there is one.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        watcher: Told what happens; shows nothing by default.

    Raises:
        DataError: The data set is missing or damaged.
        DeviceError: The device is not there.
        StoreError: There is no such run, or its files are damaged.
        UserError: A run that is not finished or that diverged, a training too short for a
            trajectory, or a wish that cannot be fulfilled.
    """
    wish = LandscapeWish(
        kinds=tuple(kinds),
        steps=steps,
        lengths=None if lengths is None else tuple(lengths),
        resolution=resolution,
        directions=directions,
        extent=extent,
        examples=examples,
        statistics=statistics,
    )
    wish.check()
    subjects = subjects_of(runs, runs_dir=Path(runs_dir), kinds=wish.kinds)
    # torch is imported where something is computed, and not to refuse a run.
    from bninit.engines.around import Surroundings
    from bninit.engines.settings import resolve_device
    from bninit.engines.watcher import Silent

    watcher = watcher or Silent()
    surroundings = Surroundings(
        device=resolve_device(device or "auto"),
        data_dir=None if data_dir is None else Path(data_dir),
    )
    try:
        return _Look(subjects, wish, surroundings, watcher).around()
    finally:
        watcher.close()


def keep_landscape(
    found: Landscape, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write a landscape's pictures, with their figures beside them; replaces what was there.

    Args:
        found: What to keep.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the runs' by default.

    Returns:
        The folder ``<runs_dir>/landscape/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.views.landscape_pictures import pictures
    from bninit.views.landscape_tables import csv_texts, json_text

    return keep_findings(
        {**pictures(found), **csv_texts(found), "landscape.json": json_text(found)},
        runs_dir=runs_dir,
        kind=LANDSCAPES,
        name=default_name(found) if name is None else name,
    )


def default_name(found: Landscape) -> str:
    """A name made of the runs', the same for the same runs."""
    seeds: dict[str, list[int]] = {}
    for run in found.runs:
        seeds.setdefault(run.arm, []).append(run.seed)
    return joined_name(
        [f"{arm}-seed-{of[0]}" if len(of) == 1 else arm for arm, of in seeds.items()],
        ids=[f"{run.arm_id}/{run.seed}" for run in found.runs],
    )


class _Look:
    """One look around some runs: collects tables by name."""

    def __init__(
        self,
        subjects: Sequence[Subject],
        wish: LandscapeWish,
        surroundings: Surroundings,
        watcher: Watcher,
    ) -> None:
        self._subjects = list(subjects)
        self._wish = wish
        self._surroundings = surroundings
        self._watcher = watcher
        self._tables: dict[str, list[pd.DataFrame]] = {}
        self._gaps: dict[str, float] = {}
        self._explained: dict[str, tuple[float, float]] = {}

    def around(self) -> Landscape:
        """All that is wished for."""
        import pandas as pd

        kinds = self._wish.kinds
        if GRADIENT in kinds or TRAJECTORY in kinds:
            self._follow(self._replays())
        for subject in self._subjects:
            if LINE in kinds or (PLANE in kinds and subject.first_of_arm):
                self._slice(subject)
        rows = [replace(one.row, replay_gap=self._gaps.get(one.label)) for one in self._subjects]
        return Landscape(
            runs=tuple(rows),
            settings=self._wish.settings(),
            explained=self._explained,
            notes=tuple(notes_of(rows, self._wish)),
            **{name: pd.concat(parts, ignore_index=True) for name, parts in self._tables.items()},
        )

    def _replays(self) -> dict[str, tuple[int, Replayed]]:
        """Every training once more; by label, the place in its stack and the stack."""
        from bninit.engines.plan import Job

        wish = self._wish
        found: dict[str, tuple[int, Replayed]] = {}
        jobs = [Job(one.run.config, one.run.seed) for one in self._subjects]
        subject_of = dict(zip(map(id, jobs), self._subjects, strict=True))
        for stack in self._surroundings.plan(jobs):
            members = [subject_of[id(job)] for job in stack]
            config = stack[0].config
            num_steps = config.train.epochs * config.iterations_per_epoch
            steps = measured_steps(num_steps, wish.steps) if GRADIENT in wish.kinds else ()
            along = f", {len(steps)} of them measured along the gradient" if steps else ""
            labels = ", ".join(one.label for one in members)
            self._watcher.note(f"{labels}: training once more, {num_steps:,} steps{along}")
            replayed = self._surroundings.replay(
                stack,
                steps=steps,
                lengths=wish.lengths,
                with_path=[TRAJECTORY in wish.kinds and one.first_of_arm for one in members],
            )
            found |= {one.label: (place, replayed) for place, one in enumerate(members)}
        return found

    def _follow(self, replays: dict[str, tuple[int, Replayed]]) -> None:
        """What the trainings met along their gradients, and where they went."""
        import pandas as pd

        planes: dict[str, PrincipalPlane] = {}
        for subject in self._subjects:
            place, replayed = replays[subject.label]
            own, again = subject.run.step_losses(), replayed.step_losses[place]
            self._gaps[subject.label] = _largest_gap(own, again)
            if GRADIENT in self._wish.kinds:
                for table, rows in (("steps", step_rows), ("lengths", length_rows)):
                    self._keep(table, pd.DataFrame(rows(subject.label, place, replayed.measured)))
            path = replayed.paths[place]
            if path is not None:
                plane = planes[subject.label] = principal_plane(path)
                self._explained[subject.label] = plane.explained_pair
                self._keep("paths", path_table(subject.label, plane.path))
        ranges = common_ranges(self._tables["paths"]) if planes else None
        for subject in self._subjects:
            if ranges is not None and subject.label in planes:
                place, replayed = replays[subject.label]
                self._trajectory(subject, place, replayed, planes[subject.label], ranges)

    def _trajectory(
        self,
        subject: Subject,
        place: int,
        replayed: Replayed,
        plane: PrincipalPlane,
        ranges: tuple[tuple[float, float], tuple[float, float]],
    ) -> None:
        """The loss on the plane of a training, through the end of its path."""
        path = replayed.paths[place]
        assert path is not None
        state = self._surroundings.here(subject.run.load_network().state_dict())
        points = grid(*ranges, resolution=self._wish.resolution)
        self._watcher.note(f"{subject.label}: {len(points)} points on the plane of its training")
        losses = self._surroundings.losses(
            subject.run.config,
            state | replayed.tensors(path[-1], like=state),
            directions=[replayed.tensors(one, like=state) for one in plane.directions],
            coordinates=points,
            examples=self._wish.examples,
            statistics=self._wish.statistics,
        )
        self._keep(
            "trajectories", slice_table(subject.label, x=points[:, 0], y=points[:, 1], loss=losses)
        )

    def _slice(self, subject: Subject) -> None:
        """Lines along each random direction, and the plane of the first two."""
        wish = self._wish
        config = subject.run.config
        state = self._surroundings.here(subject.run.load_network().state_dict())
        directions = self._surroundings.random_directions(
            config, state, number=max(wish.directions, 2)
        )
        positions = np.linspace(-wish.extent, wish.extent, wish.resolution)

        def losses(which: slice, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return self._surroundings.losses(
                config,
                state,
                directions=directions[which],
                coordinates=points,
                examples=wish.examples,
                statistics=wish.statistics,
            )

        if LINE in wish.kinds:
            num_points = wish.directions * wish.resolution
            self._watcher.note(f"{subject.label}: {num_points} points on lines around it")
            for k in range(wish.directions):
                found = losses(slice(k, k + 1), positions[:, None])
                self._keep(
                    "lines",
                    slice_table(subject.label, direction=k + 1, position=positions, loss=found),
                )
        if PLANE in wish.kinds and subject.first_of_arm:
            ends = (-wish.extent, wish.extent)
            points = grid(ends, ends, resolution=wish.resolution)
            self._watcher.note(f"{subject.label}: {len(points)} points on a plane around it")
            found = losses(slice(0, 2), points)
            self._keep(
                "planes", slice_table(subject.label, x=points[:, 0], y=points[:, 1], loss=found)
            )

    def _keep(self, table: str, rows: pd.DataFrame) -> None:
        self._tables.setdefault(table, []).append(rows)


def _largest_gap(own: npt.NDArray[np.floating], again: npt.NDArray[np.floating]) -> float:
    """The largest distance between two trainings' losses of the same step, in nats."""
    gap = np.abs(own.astype(np.float64) - again.astype(np.float64)).max()
    return float(gap) if np.isfinite(gap) else float("inf")
