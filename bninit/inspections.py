"""Inspections: what probes found inside some runs, side by side, and what is kept of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bninit.analysis.insides import Insides, look_inside
from bninit.errors import UserError
from bninit.store import Run, match_runs
from bninit.store.findings import joined_name, keep_findings

INSPECTIONS = "inspect"
"""Folder in the runs folder for what was found inside runs."""


def inspect(
    runs: Sequence[str | os.PathLike[str] | Run], *, runs_dir: str | os.PathLike[str] = "runs"
) -> Insides:
    """Look inside runs in which probes were taken.

    Args:
        runs: Runs, their folders, ``<name>-<arm id>/seed-<n>``, or names or ids of arms.
        runs_dir: The folder of all runs.

    Raises:
        StoreError: There is no such run, or its files are damaged.
        UserError: No run is named, one is not finished, or no probes were taken in it; or these
            are of too many arms.
    """
    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit inspect NAME-ID/seed-0")
    there: dict[tuple[str, int], Run] = {}
    for asked in runs:
        found = [asked] if isinstance(asked, Run) else match_runs(str(asked), runs_dir=runs_dir)
        for run in found:
            there.setdefault((run.arm, run.seed), run)
    return look_inside(list(there.values()))


def keep_inspection(
    found: Insides, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write the pictures, with their figures beside them; replaces what was there.

    Args:
        found: What to keep.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the arms' by default.

    Returns:
        The folder ``<runs_dir>/inspect/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.views.inside_pictures import pictures
    from bninit.views.inside_tables import csv_texts, json_text

    return keep_findings(
        {**pictures(found), **csv_texts(found), "inspect.json": json_text(found)},
        runs_dir=runs_dir,
        kind=INSPECTIONS,
        name=default_name(found) if name is None else name,
    )


def default_name(found: Insides) -> str:
    """A name made of the arms', the same for the same runs."""
    return joined_name(
        [
            f"{arm.label}-seed-{arm.seeds[0]}" if len(arm.seeds) == 1 else arm.label
            for arm in found.arms
        ],
        ids=[f"{arm.id}/{seed}" for arm in found.arms for seed in arm.seeds],
    )
