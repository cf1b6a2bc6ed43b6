"""Loss landscapes: the loss along training, and around trained networks, of runs side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bninit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


Numbers = npt.NDArray[np.float64]
Range = tuple[float, float]

GRADIENT = "gradient"
LINE = "line"
PLANE = "plane"
TRAJECTORY = "trajectory"
KINDS = (GRADIENT, LINE, PLANE, TRAJECTORY)

OF_STEP = ("loss_range", "gradient_change", "relative_gradient_change", "smoothness")
"""Measured along the gradient of a step; see `AlongGradient`."""

FEWEST_SNAPSHOTS = 4
"""From a start, an end and two points between on, a path spans a plane after centring."""

RANDOM_WALK = (6 / np.pi**2, 6 / (4 * np.pi**2))
"""Variance of a long random walk in many dimensions along its first two components: 61 and 15 %.

Antognini & Sohl-Dickstein 2018 (arXiv:1806.08805, section 2). A path whose components explain as
much need not have a direction.
"""

_FINEST = 201


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions:
    """Validated options of a landscape; see `landscape`.

    Raises:
        UserError: One is invalid.
    """

    kinds: tuple[str, ...] = KINDS
    steps: int = 30
    lengths: tuple[float, ...] | None = None
    resolution: int = 21
    directions: int = 5
    extent: float = 1.0
    examples: int = 500
    statistics: str = "batch"

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            what = f"unknown kind of landscape: {unknown[0]!r}" if unknown else "no kind is named"
            raise UserError(what, where="--kind", hint=f"allowed: {', '.join(KINDS)}")
        if self.statistics not in ("batch", "running"):
            what = f"unknown statistics: {self.statistics!r}"
            raise UserError(what, where="--statistics", hint="allowed: batch, running")
        odd = f"an odd number from 3 to {_FINEST}, so that the middle point is the network itself"
        resolution, lengths = self.resolution, self.lengths
        for option, value, is_valid, hint in (
            ("--steps", self.steps, self.steps >= 1, "1 or more"),
            ("--resolution", resolution, resolution % 2 and 3 <= resolution <= _FINEST, odd),
            ("--directions", self.directions, 1 <= self.directions <= 100, "1 to 100"),
            ("--extent", self.extent, 0 < self.extent <= 100, "above 0, up to 100 filter norms"),
            ("--examples", self.examples, self.examples >= 2, "2 or more"),
        ):
            if not is_valid:
                raise UserError(f"invalid value: {value:g}", where=option, hint=hint)
        if lengths is not None and not (
            lengths
            and all(0 < length < math.inf for length in lengths)
            and list(lengths) == sorted(set(lengths))
        ):
            given = ", ".join(f"{length:g}" for length in lengths) or "none"
            hint = "rising numbers above 0, as in 0.05,0.1,0.2,0.4"
            raise UserError(f"invalid step lengths: {given}", where="--lengths", hint=hint)


@dataclass(frozen=True, kw_only=True)
class LandscapeRun:
    """A run of a landscape.

    Attributes:
        label: As short as it differs from the others.
        arm: The label of its arm.
        arm_id: The content id of its arm.
        seed: Its seed.
        placement: ``none``, ``pre`` or ``post``.
        learning_rate: At the start.
        first_of_arm: Whether it has the lowest seed of its arm; planes are of these alone.
        replay_gap: Largest difference in nats between a step's loss in the replay and in the run,
            0 if all are equal to the last bit; None if it was not replayed.
    """

    label: str
    arm: str
    arm_id: str
    seed: int
    placement: str
    learning_rate: float
    first_of_arm: bool = True
    replay_gap: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Landscape:
    """The loss around some runs.

    Attributes:
        runs: In the order given.
        settings: The options, by name.
        tables: Those of the requested kinds, by name; each with the column label:
            ``steps``: along the gradient, a row per measured step;
            ``lengths``: the same, a row per step length: loss and gradient_change there;
            ``lines``: direction (from 1), position in filter norms, loss;
            ``planes``: x and y in filter norms, loss;
            ``trajectories``: x and y along the principal components, loss;
            ``paths``: epoch, x and y of the training.
        explained: By label, the fractions of the path's variance along x and y.
        notes: Remarks for the reader, a sentence or two each.
    """

    runs: tuple[LandscapeRun, ...]
    settings: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    explained: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, table: str, run: LandscapeRun) -> pd.DataFrame:
        """A run's rows of a table."""
        rows = self.tables[table]
        return rows[rows["label"] == run.label]


def measured_steps(num_steps: int, num_measured: int) -> tuple[int, ...]:
    """Which steps to measure: evenly spread, with the first and the last; all if these are few."""
    spread = np.linspace(1, num_steps, min(num_measured, num_steps))
    return tuple(dict.fromkeys(int(step) for step in spread.round()))


def common_ranges(paths: Sequence[Numbers], *, margin: float = 0.15) -> tuple[Range, Range]:
    """Ranges of x and y that hold every path, (point, 2), and a margin of the longer range."""
    points = np.concatenate(paths)
    (left, bottom), (right, top) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    room = margin * max(right - left, top - bottom)
    return (left - room, right + room), (bottom - room, top + room)


def grid(x: Range, y: Range, *, resolution: int) -> Numbers:
    """The points of a plane, (point, 2): `resolution` along each side, y changing fastest."""
    sides = (np.linspace(*x, resolution), np.linspace(*y, resolution))
    return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)


class PrincipalPlane(NamedTuple):
    """The two principal components of a path.

    Attributes:
        directions: Orthogonal unit vectors, (2, parameter).
        path: Coordinates of each snapshot, (snapshot, 2); the last one lies at (0, 0).
        explained: Fraction of the path's variance along each direction, (2,).
    """

    directions: Numbers
    path: Numbers
    explained: Numbers


def principal_plane(snapshots: npt.NDArray[np.floating]) -> PrincipalPlane:
    """The plane through the last snapshot in which a path varies most.

    Li et al. 2018 (arXiv:1712.09913, section 7.2): the principal components of the differences
    between each snapshot and the last, with an orthogonal projection of the path. Signs are chosen
    so that the first snapshot lies at positive coordinates.
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


def notes_of(runs: Sequence[LandscapeRun], options: LandscapeOptions) -> Iterator[str]:
    """How the landscape was measured, and the limits of what can be concluded from it."""
    kinds = set(options.kinds)
    for run in runs:
        if run.replay_gap:
            yield (
                f"{run.label}: the replay differs by up to {run.replay_gap:.2g} nats a step from "
                "the run (another machine, number of threads or version); figures of its training "
                "are those of the replay."
            )
    num_arms = len({run.arm for run in runs})
    if GRADIENT in kinds:
        if num_arms > 1:
            yield (
                "A training that is further ahead has less loss left to vary, smaller gradients "
                "and a flatter surface: part of a difference at the same step can be that."
            )
        if options.lengths is not None:
            yield "Step lengths along the gradient are the same for all runs."
        else:
            yield (
                "Step lengths are 1/2 to 4 times each run's own learning rate, along the gradient "
                "of the step's own mini-batch, without momentum."
            )
            if len({run.learning_rate for run in runs}) > 1:
                yield (
                    "These learning rates differ: runs are compared at the steps that each of them "
                    "takes; --lengths 0.05,0.1,0.2,0.4, for example, compares them at equal step "
                    "lengths."
                )
    if kinds & {LINE, PLANE}:
        yield (
            "Random directions are the same draws for all networks of a shape. At distance 1 each "
            "unit's incoming weights have moved by their own norm; biases, gamma and beta do not "
            "move."
        )
    if kinds & {LINE, PLANE, TRAJECTORY}:
        yield f"Slices show the mean loss of the first {options.examples:,} training examples."
        yield (
            "With batch norm each point is normalized by the statistics of these examples at that "
            "point, as in training."
            if options.statistics == "batch"
            else "With batch norm each point is normalized by the running statistics of the "
            "trained network, which are not those of the moved weights."
        )
        if num_arms < len(runs) and kinds & {PLANE, TRAJECTORY}:
            yield "Planes are of the lowest seed of each arm."
    if TRAJECTORY in kinds:
        first, second = (round(100 * share) for share in RANDOM_WALK)
        yield (
            "A trajectory is its projection onto the plane; motion outside the plane does not "
            f"show. A long random walk, too, has {first} and {second} % of its variance in its "
            "first two principal components."
        )
