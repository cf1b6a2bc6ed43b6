"""The loss around trainings, as plain tables and a few figures for each run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bninit.arms import Arm, Named, arms_of, labels_of, resolve_runs
from bninit.errors import UserError
from bninit.stats import median
from bninit.store import Run
from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    import pandas as pd

    from bninit.engines.interface import Progress
    from bninit.training.replay import MeasuredStep
    from bninit.verbs.landscape.evaluate import Replayed, Surroundings

GRADIENT = "gradient"
LINE = "line"
PLANE = "plane"
TRAJECTORY = "trajectory"
KINDS = (GRADIENT, LINE, PLANE, TRAJECTORY)

OF_STEP = ("loss_range", "gradient_change", "relative_gradient_change", "smoothness")
"""What is measured along the gradient of a step; see `AlongGradient`."""

AWAY = 0.5
"""Distance from the network, in filter norms, at which a line is summed up."""


@dataclass(frozen=True, kw_only=True)
class LandscapeRun:
    """A run whose surroundings are looked at.

    Attributes:
        label: As briefly as it can be told from the others.
        arm: The label of its arm.
        arm_id: The content id of its arm.
        seed: Its seed.
        placement: ``none``, ``pre`` or ``post``.
        learning_rate: At the start.
        replay_gap: Largest distance in nats of a step's loss in the replay from that in the run,
            0 where all are the same to the last bit; None where it was not replayed.
    """

    label: str
    arm: str
    arm_id: str
    seed: int
    placement: str
    learning_rate: float
    replay_gap: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Landscape:
    """What was found around some runs. A table is None where it was not asked for.

    Attributes:
        runs: In the order asked for.
        settings: How it was measured, by name.
        steps: Along the gradient, a row for each run and measured step.
        lengths: The same, a row for each step length: loss and gradient_change at it.
        lines: label, direction (from 1), position in filter norms, loss.
        planes: label, x and y in filter norms, loss.
        trajectories: label, x and y along the principal components, loss.
        paths: label, epoch, x, y: where the training was.
        explained: By label, the fractions of the path's variance along x and y.
        notes: What a reader has to know, a sentence each.
    """

    runs: tuple[LandscapeRun, ...]
    settings: dict[str, Any]
    steps: pd.DataFrame | None = None
    lengths: pd.DataFrame | None = None
    lines: pd.DataFrame | None = None
    planes: pd.DataFrame | None = None
    trajectories: pd.DataFrame | None = None
    paths: pd.DataFrame | None = None
    explained: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def step_rows(label: str, place: int, measured: Iterable[MeasuredStep]) -> list[dict[str, Any]]:
    """One network's measured steps, a row each.

    Args:
        label: Of the run.
        place: Of the network in its stack.
        measured: The steps.
    """
    return [
        {
            "label": label,
            "step": one.step,
            "epoch": one.epoch,
            "learning_rate": one.learning_rate,
            "shortest": float(one.along.lengths[0]),
            "longest": float(one.along.lengths[-1]),
            "loss": float(one.along.loss[place]),
            "lowest_loss": float(one.along.loss_limits[0][place]),
            "highest_loss": float(one.along.loss_limits[1][place]),
            "gradient_norm": float(one.along.gradient_norm[place]),
            **{name: float(getattr(one.along, name)[place]) for name in OF_STEP},
        }
        for one in measured
    ]


def length_rows(label: str, place: int, measured: Iterable[MeasuredStep]) -> list[dict[str, Any]]:
    """The same as `step_rows`, a row for each step length."""
    return [
        {
            "label": label,
            "step": one.step,
            "length": float(length),
            "loss": float(one.along.losses[place, k]),
            "gradient_change": float(one.along.gradient_changes[place, k]),
        }
        for one in measured
        for k, length in enumerate(one.along.lengths)
    ]


def measured_steps(num_steps: int, num_measured: int) -> tuple[int, ...]:
    """Which steps to measure: evenly spread, the first and the last among them.

    Args:
        num_steps: Of the whole training, at least 1.
        num_measured: At least 1; all steps where there are not so many.
    """
    spread = np.linspace(1, num_steps, min(num_measured, num_steps))
    return tuple(dict.fromkeys(int(step) for step in spread.round()))


def common_ranges(
    paths: Sequence[pd.DataFrame], *, margin: float = 0.15
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The smallest ranges of x and y that hold every path, with a margin around them.

    Args:
        paths: Each with the columns x and y.
        margin: On each side, as a fraction of the longer range.
    """
    x, y = (
        (min(float(p[axis].min()) for p in paths), max(float(p[axis].max()) for p in paths))
        for axis in ("x", "y")
    )
    room = margin * max(x[1] - x[0], y[1] - y[0])
    return (x[0] - room, x[1] + room), (y[0] - room, y[1] + room)


def grid(
    x: tuple[float, float], y: tuple[float, float], *, resolution: int
) -> npt.NDArray[np.float64]:
    """The points of a plane, (point, 2): `resolution` along each side, y changing fastest."""
    sides = (np.linspace(*x, resolution), np.linspace(*y, resolution))
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)


def slice_table(label: str, **columns: npt.NDArray[np.generic] | int) -> pd.DataFrame:
    """Points of a slice and what was found there, a row each, in the order given."""
    import pandas as pd

    return pd.DataFrame({"label": label, **columns})


def path_table(label: str, path: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Where a training was after each epoch from 0; path: (epoch, 2)."""
    return slice_table(label, epoch=np.arange(len(path)), x=path[:, 0], y=path[:, 1])


def arm_steps(found: Landscape) -> pd.DataFrame:
    """What arms met along their gradients: of each step the median of the arm's runs.

    Returns:
        The columns of the table ``steps``, with ``arm`` in the place of ``label``.
    """
    assert found.steps is not None
    arms = {run.label: run.arm for run in found.runs}
    steps = found.steps.assign(arm=found.steps["label"].map(arms)).drop(columns="label")
    return steps.groupby(["arm", "step"], sort=False).median().reset_index()


def arm_lines(found: Landscape) -> pd.DataFrame:
    """The loss along lines, over all directions and runs of an arm: arm, position, low to high.

    Returns:
        The columns ``low``, ``median`` and ``high``, in nats.
    """
    assert found.lines is not None
    arms = {run.label: run.arm for run in found.runs}
    lines = found.lines.assign(arm=found.lines["label"].map(arms))
    groups = lines.groupby(["arm", "position"], sort=False)["loss"]
    bands = groups.agg(low="min", median="median", high="max")
    return bands.reset_index()


def summary_rows(landscape: Landscape) -> list[dict[str, Any]]:
    """The figures of each run, a row each; None where there is no number.

    Along the gradient they are medians over the measured steps. ``loss_in_the_middle`` is the
    loss of the network itself on the examples of the slices, ``loss_away`` the median over
    directions and both sides at a distance of `AWAY` filter norms.
    """
    return [_summary(landscape, run) for run in landscape.runs]


def _summary(landscape: Landscape, run: LandscapeRun) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": run.label,
        "arm": run.arm_id,
        "seed": run.seed,
        "placement": run.placement,
        "learning_rate": run.learning_rate,
    }
    if landscape.steps is not None:
        mine = landscape.steps[landscape.steps["label"] == run.label]
        row["measured_steps"] = len(mine)
        row["shortest_step"] = float(mine["shortest"].min())
        row["longest_step"] = float(mine["longest"].max())
        row |= {name: median(mine[name].tolist()) for name in ("loss", *OF_STEP)}
    if landscape.lines is not None:
        mine = landscape.lines[landscape.lines["label"] == run.label]
        distance = mine["position"].abs()
        away = float(distance.iloc[int((distance - AWAY).abs().argmin())])
        row["loss_in_the_middle"] = median(mine.loc[distance == 0, "loss"].tolist())
        row["away"] = away
        row["loss_away"] = median(mine.loc[distance == away, "loss"].tolist())
    if run.label in landscape.explained:
        row["explained"] = list(landscape.explained[run.label])
    if run.replay_gap is not None:
        row["replay_gap"] = run.replay_gap
    return row


_FINEST = 201
_MOST_DIRECTIONS = 100
_FEWEST_EXAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class LandscapeWish:
    """How closely to look.

    Attributes:
        kinds: Some of `KINDS`.
        steps: Steps of the training to measure along their gradients.
        lengths: Step lengths, rising, the same for all runs; None for 1/2 to 4 times each run's
            own learning rate.
        resolution: Points of a line, and along each side of a plane; odd, so that the network
            itself is the one in the middle.
        directions: Random directions of lines.
        extent: How far lines and planes go, in filter norms.
        examples: Training examples on which slices are computed, the first ones of the set.
        statistics: ``batch`` or ``running``; see `bninit.verbs.landscape.evaluate.slice_losses`.
    """

    kinds: tuple[str, ...] = KINDS
    steps: int = 30
    lengths: tuple[float, ...] | None = None
    resolution: int = 21
    directions: int = 5
    extent: float = 1.0
    examples: int = 500
    statistics: str = "batch"

    def check(self) -> None:
        """Makes sure that it can be fulfilled.

        Raises:
            UserError: It cannot.
        """
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            what = f"{unknown[0]!r} is no kind of landscape" if unknown else "no kind is named"
            raise UserError(what, where="--kind", hint=f"allowed: {', '.join(KINDS)}")
        if self.resolution % 2 == 0 or not 3 <= self.resolution <= _FINEST:
            raise UserError(
                f"{self.resolution} points have no good middle",
                where="--resolution",
                hint=f"an odd number from 3 to {_FINEST}: the one in the middle is the network",
            )
        if self.statistics not in ("batch", "running"):
            raise UserError(
                f"{self.statistics!r} is neither",
                where="--statistics",
                hint="allowed: batch, running",
            )
        for option, value, low, high in (
            ("--steps", self.steps, 1, None),
            ("--directions", self.directions, 1, _MOST_DIRECTIONS),
            ("--examples", self.examples, _FEWEST_EXAMPLES, None),
        ):
            if value < low or (high is not None and value > high):
                hint = f"{low} or more" if high is None else f"{low} to {high}"
                raise UserError(f"{value} is out of range", where=option, hint=hint)
        if not 0 < self.extent <= 100:
            hint = "above 0 and up to 100 filter norms"
            raise UserError(f"{self.extent:g} is out of range", where="--extent", hint=hint)
        lengths = self.lengths
        if lengths is not None and not (
            lengths
            and all(0 < length < float("inf") for length in lengths)
            and list(lengths) == sorted(set(lengths))
        ):
            raise UserError(
                f"{', '.join(f'{length:g}' for length in lengths) or 'nothing'} is no list of "
                "step lengths",
                where="--lengths",
                hint="rising numbers above 0, as in 0.05,0.1,0.2,0.4",
            )

    def settings(self) -> dict[str, Any]:
        """What was wished for, by name, in plain values."""
        return {
            "kinds": list(self.kinds),
            "steps": self.steps,
            "lengths": None if self.lengths is None else list(self.lengths),
            "resolution": self.resolution,
            "directions": self.directions,
            "extent": self.extent,
            "examples": self.examples,
            "statistics": self.statistics,
        }


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run to be looked at, with what it is called.

    Attributes:
        run: The run; it is only read.
        row: What is told of it.
        first_of_arm: Whether it has the lowest seed of its arm among those asked for; planes are
            of these alone.
    """

    run: Run
    row: LandscapeRun
    first_of_arm: bool

    @property
    def label(self) -> str:
        """As briefly as it can be told from the others."""
        return self.row.label


def subjects_of(
    runs: Sequence[Named | Run], *, runs_dir: Path, kinds: Sequence[str]
) -> tuple[Subject, ...]:
    """The runs that a user means, each once.

    Args:
        runs: Runs, or what names them; see `bninit.arms.resolve_runs`.
        runs_dir: The folder of all runs.
        kinds: What is to be looked at; see `KINDS`.

    Raises:
        StoreError: One is not there.
        UserError: One is not finished, diverged, or is too short for a trajectory.
    """
    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit landscape NAME-ID/seed-0")
    there: dict[tuple[str, int], Run] = {}
    for run in resolve_runs(runs, runs_dir=runs_dir):
        _check(run, kinds)
        there.setdefault((run.arm, run.seed), run)
    arms = arms_of(there.values())
    labels = dict(zip([arm.id for arm in arms], labels_of(arms), strict=True))
    by_id = {arm.id: arm for arm in arms}
    return tuple(_subject(run, by_id[run.arm], labels[run.arm]) for run in there.values())


def _subject(run: Run, arm: Arm, label: str) -> Subject:
    config = run.config
    row = LandscapeRun(
        label=label if len(arm.runs) == 1 else f"{label} seed {run.seed}",
        arm=label,
        arm_id=arm.id,
        seed=run.seed,
        placement=config.model.norm.placement,
        learning_rate=config.optim.lr,
    )
    return Subject(run=run, row=row, first_of_arm=run.seed == arm.seeds[0])


def _check(run: Run, kinds: Sequence[str]) -> None:
    status = run.status
    if status == "done":
        epochs = run.config.train.epochs
        if TRAJECTORY in kinds and epochs + 1 < FEWEST_SNAPSHOTS:
            raise UserError(
                f"trained for {epochs} epoch{'' if epochs == 1 else 's'}, it has no trajectory "
                "that spans a plane",
                where=str(run.folder),
                hint=f"{FEWEST_SNAPSHOTS - 1} epochs are needed; or ask for other kinds: "
                f"--kind {GRADIENT} --kind {LINE} --kind {PLANE}",
            )
        return
    if status == "diverged":
        step = (run.summary or {}).get("diverged_step")
        raise UserError(
            f"it diverged{'' if step is None else f' at step {step}'}: there is no trained network "
            "to look around",
            where=str(run.folder),
            hint="name runs that did not, as in NAME-ID/seed-N; bninit list tells which they are",
        )
    if status == "damaged":
        raise UserError(run.problem or "its files are damaged", where=str(run.folder))
    raise UserError(
        "it is being trained" if status == "running" else "it is not finished",
        where=str(run.folder),
        hint="wait for its end"
        if status == "running"
        else "the command that began it goes on with it",
    )


Numbers = npt.NDArray[np.float64]

FEWEST_SNAPSHOTS = 4
"""From a start, an end and two points between on, a path spans a plane after centring."""

RANDOM_WALK = (6 / np.pi**2, 6 / (4 * np.pi**2))
"""What the first two components explain of a long random walk in many dimensions: 61 and 15 %.

Antognini & Sohl-Dickstein 2018 (arXiv:1806.08805, section 2). A path whose components explain as
much need not have gone anywhere in particular.
"""


@dataclass(frozen=True, kw_only=True)
class PrincipalPlane:
    """The two principal components of a path.

    Attributes:
        directions: Unit vectors at right angles, (2, parameter).
        path: Coordinates of each snapshot, (snapshot, 2); the last one lies at (0, 0).
        explained: Fraction of the path's variance along each direction, (2,).
    """

    directions: Numbers
    path: Numbers
    explained: Numbers

    @property
    def explained_pair(self) -> tuple[float, float]:
        """`explained` as plain numbers."""
        return float(self.explained[0]), float(self.explained[1])


def principal_plane(snapshots: npt.NDArray[np.floating]) -> PrincipalPlane:
    """Finds the plane through the last snapshot in which a path varies most.

    Li et al. 2018 (arXiv:1712.09913, section 7.2): the principal components of the differences
    between each snapshot and the last. The path is projected at right angles: what it does
    outside the plane is not seen. Signs are chosen so that the first snapshot lies at positive
    coordinates.

    Args:
        snapshots: (snapshot, parameter), in the order of time, at least `FEWEST_SNAPSHOTS`.

    Raises:
        ValueError: There are fewer, or the path does not span a plane.
    """
    if len(snapshots) < FEWEST_SNAPSHOTS:
        raise ValueError(f"a path needs {FEWEST_SNAPSHOTS} snapshots, not {len(snapshots)}")
    differences = np.asarray(snapshots, dtype=np.float64) - snapshots[-1]
    centred = differences[:-1] - differences[:-1].mean(axis=0)
    # There are far more parameters than snapshots: the small matrix has the same spectrum.
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    if not variances[1] > 1e-12 * variances[0]:
        raise ValueError("the path lies on a line, and spans no plane")
    directions = (vectors[:, :2] / np.sqrt(variances[:2])).T @ centred
    path = differences @ directions.T
    signs = np.where(path[0] < 0, -1.0, 1.0)
    return PrincipalPlane(
        directions=directions * signs[:, None],
        path=path * signs,
        explained=variances[:2] / variances.clip(min=0.0).sum(),
    )


def notes_of(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    """How it was measured, and what cannot be concluded from it.

    Args:
        runs: In order, with the gaps of their replays.
        wish: What was asked for.
    """
    for run in runs:
        if run.replay_gap:
            yield (
                f"{run.label}: trained once more it was off by up to {run.replay_gap:.2g} nats a "
                "step (another machine, number of threads or version), so what is told of its "
                "training is of that second training."
            )
    if GRADIENT in wish.kinds:
        yield from _gradient_notes(runs, wish)
    if {LINE, PLANE} & set(wish.kinds):
        yield (
            "Random directions are the same draws for all networks of a shape, and each unit's "
            "incoming weights move by as much as their own norm at distance 1; biases, gamma and "
            "beta do not move."
        )
    if {LINE, PLANE, TRAJECTORY} & set(wish.kinds):
        yield from _slice_notes(runs, wish)
    if TRAJECTORY in wish.kinds:
        first, second = (round(100 * share) for share in RANDOM_WALK)
        yield (
            "A trajectory is seen as its shadow on the plane: what it does outside is not shown. A "
            f"long random walk, too, has {first} and {second} % of its variance in its first two "
            "principal components."
        )


def _gradient_notes(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    if len({run.arm for run in runs}) > 1:
        yield (
            "A training that is further ahead has less loss left to vary, smaller gradients and a "
            "flatter surface: part of a difference at the same step can be that."
        )
    if wish.lengths is not None:
        yield "Step lengths along the gradient are the same for all runs."
        return
    yield (
        "Step lengths are 1/2 to 4 times each run's own learning rate, along the gradient of the "
        "step's own mini-batch, without momentum."
    )
    if len({run.learning_rate for run in runs}) > 1:
        yield (
            "These learning rates differ: the runs are compared at the steps that each of them "
            "makes; --lengths 0.05,0.1,0.2,0.4, say, compares them at equal step lengths."
        )


def _slice_notes(runs: Sequence[LandscapeRun], wish: LandscapeWish) -> Iterator[str]:
    yield (f"Slices show the mean loss of the first {wish.examples:,} training examples.")
    if wish.statistics == "batch":
        yield (
            "With batch norm each point is normalized by the statistics of these examples at that "
            "point, as in training."
        )
    else:
        yield (
            "With batch norm each point is normalized by the trained network's running "
            "statistics, which are not those of the moved weights."
        )
    arms = {run.arm for run in runs}
    if len(arms) < len(runs) and {PLANE, TRAJECTORY} & set(wish.kinds):
        yield "Planes are of the lowest seed of each arm."


LANDSCAPES = "landscape"
"""Folder in the runs folder for what is found around networks."""


def landscape(
    runs: Sequence[Named | Run],
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
    watcher: Progress | None = None,
) -> Landscape:
    """Look at the cost function along the training of some runs, and around what they found.

    Runs are only read. What a run did not keep (its gradients, its weights after each epoch) is
    found by training it once more from its config and seed, which on the same machine is the
    same training.

    Args:
        runs: Runs, or what names them; see `bninit.arms.resolve_runs`.
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
    from bninit.engines.interface import NoProgress
    from bninit.engines.plan import resolve_device
    from bninit.verbs.landscape.evaluate import Surroundings

    watcher = watcher or NoProgress()
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
    from bninit.verbs.landscape.pictures import pictures
    from bninit.verbs.landscape.tables import csv_texts, json_text

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
        watcher: Progress,
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
        from bninit.engines.interface import Job

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
