"""What `bninit compare` writes: report, tables and pictures of a comparison."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    pass

from bninit.store.files import json_text
from bninit.verbs.compare import tables
from bninit.verbs.compare.compare import Comparison
from bninit.verbs.compare.pictures import pictures


def keep_comparison(
    comparison: Comparison, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write a comparison's report, tables and pictures; what was there before is replaced.

    Args:
        comparison: What to keep.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the arms' names by default.

    Returns:
        The folder ``<runs_dir>/compare/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    drawn = pictures(comparison)
    return keep_findings(
        {
            **drawn,
            "comparison.csv": tables.figures_table(comparison).csv(),
            "runs.csv": comparison.runs.to_csv(index=False, lineterminator="\n"),
            "comparison.json": json_text(tables.record(comparison)),
            "report.md": tables.markdown_text(comparison, pictures=tuple(drawn)),
        },
        runs_dir=runs_dir,
        kind="compare",
        name=default_name(comparison) if name is None else name,
    )


def default_name(comparison: Comparison) -> str:
    """A name made of the arms', the same for the same arms and baseline."""
    labels = [arm.label for arm in comparison.arms]
    against = comparison.baseline != labels[0]
    return joined_name(
        labels,
        ids=[*(arm.id for arm in comparison.arms), comparison.baseline],
        suffix=f"-against-{comparison.baseline}" if against else "",
    )
