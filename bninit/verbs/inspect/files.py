"""What `bninit inspect` writes: pictures and tables of an inspection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    pass

from bninit.verbs.inspect.inspect import Inspection
from bninit.verbs.inspect.pictures import pictures
from bninit.verbs.inspect.tables import csv_texts, inspection_json


def keep_inspection(
    found: Inspection, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write pictures, their tables and ``inspect.json`` into ``<runs_dir>/inspect/<name>``.

    Raises:
        StoreError: The folder cannot be written.
        UserError: The name cannot name a folder.
    """
    return keep_findings(
        {**pictures(found), **csv_texts(found), "inspect.json": inspection_json(found)},
        runs_dir=runs_dir,
        kind="inspect",
        name=default_name(found) if name is None else name,
    )


def default_name(found: Inspection) -> str:
    """A folder name made of the arms' labels, the same for the same runs."""
    return joined_name(
        [
            f"{arm.label}-seed-{arm.seeds[0]}" if len(arm.seeds) == 1 else arm.label
            for arm in found.arms
        ],
        ids=[f"{arm.id}/{seed}" for arm in found.arms for seed in arm.seeds],
    )
