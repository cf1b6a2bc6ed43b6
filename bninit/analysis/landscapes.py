"""The loss around trainings, as plain tables and a few figures for each run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from bninit.training.replay import MeasuredStep

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


def median(values: Sequence[float]) -> float | None:
    """The median of the numbers that are not NaN; infinity counts as largest. None of none."""
    there = sorted(value for value in values if not math.isnan(value))
    if not there:
        return None
    low, high = there[(len(there) - 1) // 2], there[len(there) // 2]
    return low if low == high else (low + high) / 2
