"""`bninit.landscape`: from runs to the loss around them, and the files that keep it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.arms import Named, arms_of, labels_of, resolve_runs
from bninit.errors import UserError
from bninit.show.words import plural
from bninit.store import Run
from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    from bninit.engines.interface import Progress

from bninit.verbs.landscape.landscape import (
    FEWEST_SNAPSHOTS,
    GRADIENT,
    KINDS,
    LINE,
    PLANE,
    TRAJECTORY,
    Landscape,
    LandscapeOptions,
    LandscapeRun,
)
from bninit.verbs.landscape.pictures import pictures
from bninit.verbs.landscape.tables import csv_texts, landscape_json


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
    """Evaluate the loss along the training of some runs, and around the trained networks.

    Runs are only read. What a run does not keep (its gradients, its weights after each epoch) comes
    from training it once more from its config and seed, to the same bits on the same machine.

    Args:
        runs: Runs, or what names them; see `bninit.arms.resolve_runs`.
        kinds: ``gradient`` along the gradient of training steps; ``line`` and ``plane`` along
            random filter-normalized directions; ``trajectory``, the plane that holds most of the
            training. Planes and trajectories are of the lowest seed of each arm alone.
        steps: Steps of the training to measure along their gradients, evenly spread.
        lengths: Step lengths, rising, the same for all runs; None for 1/2 to 4 times each run's
            own learning rate.
        resolution: Points of a line, and along each side of a plane; odd, so that the one in the
            middle is the network itself.
        directions: Random directions of lines.
        extent: Half the length of lines and planes, in filter norms.
        examples: Training examples on which slices are computed, the first ones of the set.
        statistics: Statistics of batch norm in slices: ``batch``, those of the examples at each
            point; or ``running``, those of the trained network.
        device: Where to compute; by default a GPU if there is one.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        watcher: Shows progress; nothing by default.

    Raises:
        DataError: The data set is missing or damaged.
        DeviceError: The device does not exist.
        StoreError: A run does not exist, or its files are damaged.
        UserError: A run is not finished, diverged, or is too short for a trajectory, or an option
            is invalid.
    """
    options = LandscapeOptions(
        kinds=tuple(kinds),
        steps=steps,
        lengths=None if lengths is None else tuple(lengths),
        resolution=resolution,
        directions=directions,
        extent=extent,
        examples=examples,
        statistics=statistics,
    )
    subjects = _resolve(runs, runs_dir=Path(runs_dir), kinds=options.kinds)
    # torch is imported to compute, and not to refuse a run.
    from bninit.engines.interface import NoProgress
    from bninit.engines.plan import resolve_device
    from bninit.verbs.landscape.evaluate import Survey

    watcher = watcher or NoProgress()
    try:
        return Survey(
            subjects=subjects,
            options=options,
            device=resolve_device(device or "auto"),
            data_dir=None if data_dir is None else Path(data_dir),
            watcher=watcher,
        ).run()
    finally:
        watcher.close()


def keep_landscape(
    found: Landscape, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write pictures, tables and ``landscape.json`` into ``<runs_dir>/landscape/<name>``.

    Raises:
        StoreError: The folder cannot be written.
        UserError: The name cannot name a folder.
    """
    return keep_findings(
        {**pictures(found), **csv_texts(found), "landscape.json": landscape_json(found)},
        runs_dir=runs_dir,
        kind="landscape",
        name=default_name(found) if name is None else name,
    )


def default_name(found: Landscape) -> str:
    """A folder name made of the arms' labels, the same for the same runs."""
    seeds: dict[str, list[int]] = {}
    for run in found.runs:
        seeds.setdefault(run.arm, []).append(run.seed)
    return joined_name(
        [f"{arm}-seed-{of[0]}" if len(of) == 1 else arm for arm, of in seeds.items()],
        ids=[f"{run.arm_id}/{run.seed}" for run in found.runs],
    )


def _resolve(
    runs: Sequence[Named | Run], *, runs_dir: Path, kinds: Sequence[str]
) -> list[tuple[Run, LandscapeRun]]:
    """The runs that a user names, each once, checked."""
    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit landscape NAME-ID/seed-0")
    chosen: dict[tuple[str, int], Run] = {}
    for run in resolve_runs(runs, runs_dir=runs_dir):
        _check(run, kinds)
        chosen.setdefault((run.arm, run.seed), run)
    arms = arms_of(chosen.values())
    labels = dict(zip([arm.id for arm in arms], labels_of(arms), strict=True))
    seeds = {arm.id: arm.seeds for arm in arms}
    return [
        (
            run,
            LandscapeRun(
                label=labels[arm] if len(seeds[arm]) == 1 else f"{labels[arm]} seed {seed}",
                arm=labels[arm],
                arm_id=arm,
                seed=seed,
                placement=run.config.model.norm.placement,
                learning_rate=run.config.optim.lr,
                first_of_arm=seed == seeds[arm][0],
            ),
        )
        for (arm, seed), run in chosen.items()
    ]


def _check(run: Run, kinds: Sequence[str]) -> None:
    """Make sure that a run is finished, did not diverge, and is long enough."""
    status, hint = run.status, None
    if status == "done":
        epochs = run.config.train.epochs
        if TRAJECTORY not in kinds or epochs + 1 >= FEWEST_SNAPSHOTS:
            return
        what = f"too short for a trajectory: trained for {plural(epochs, 'epoch')}"
        others = f"--kind {GRADIENT} --kind {LINE} --kind {PLANE}"
        hint = f"a plane needs {FEWEST_SNAPSHOTS - 1} epochs; or ask for other kinds: {others}"
    elif status == "diverged":
        step = (run.summary or {}).get("diverged_step")
        at = "" if step is None else f" at step {step}"
        what = f"diverged{at}: there is no trained network"
        hint = "name runs that did not diverge, as in NAME-ID/seed-N; see bninit list"
    elif status == "damaged":
        what = run.problem or "its files are damaged"
    elif status == "running":
        what, hint = "still training", "wait for its end"
    else:
        what, hint = "not finished", "rerun the command that started it to resume"
    raise UserError(what, where=str(run.folder), hint=hint)
