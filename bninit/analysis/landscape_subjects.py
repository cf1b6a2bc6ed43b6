"""The runs whose surroundings are to be looked at, and whether that can be done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bninit.analysis.frame import Arm, arms_of, labels_of
from bninit.analysis.landscapes import GRADIENT, LINE, PLANE, TRAJECTORY, LandscapeRun
from bninit.analysis.trajectories import FEWEST_SNAPSHOTS
from bninit.errors import UserError
from bninit.store import Run, match_runs


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
    runs: Sequence[str | os.PathLike[str] | Run], *, runs_dir: Path, kinds: Sequence[str]
) -> tuple[Subject, ...]:
    """The runs that a user means, each once.

    Args:
        runs: Runs, their folders, ids, or names or ids of arms.
        runs_dir: The folder of all runs.
        kinds: What is to be looked at; see `KINDS`.

    Raises:
        StoreError: One is not there.
        UserError: One is not finished, diverged, or is too short for a trajectory.
    """
    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit landscape NAME-ID/seed-0")
    there: dict[tuple[str, int], Run] = {}
    for asked in runs:
        found = [asked] if isinstance(asked, Run) else match_runs(str(asked), runs_dir=runs_dir)
        for run in found:
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
