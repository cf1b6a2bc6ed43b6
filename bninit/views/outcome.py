"""What came out of a training, for the end of ``bninit train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bninit.analysis.arms import summarise_arms
from bninit.store.names import CURVES, arm_folder
from bninit.views.results import final_table

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.store import Run


def print_outcome(
    config: Config, runs: Sequence[Run], *, runs_dir: Path, console: Console | None = None
) -> None:
    """Prints the table of a training's arm, and where the files are.

    Args:
        config: What was asked.
        runs: Its finished runs.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    console = console or Console()
    console.print(final_table(summarise_arms(run.summary for run in runs if run.summary)))
    folder = arm_folder(runs_dir, config)
    console.print(Text(f"\ncurves: {folder / CURVES}\nruns:   {folder}"), soft_wrap=True)
