"""Finding runs in their folders.

Listing reads one small file of each run, and never stumbles over a damaged one: it is listed as
such, with what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bninit.errors import StoreError
from bninit.store import names
from bninit.store.runs import Folder, Run

_SHORTEST_ID = 4
"""Digits of an arm id from which on it is taken for one."""


def find_runs(*places: Folder) -> list[Run]:
    """All runs in some folders, by name, arm and seed. Other files and folders are passed over.

    Args:
        places: Each a folder of all runs, an arm's, or a run's; ``runs`` by default.

    Raises:
        StoreError: One of them is no folder, or cannot be read.
    """
    found = {run.folder: run for place in places or ("runs",) for run in _runs_in(Path(place))}
    return sorted(found.values(), key=lambda run: (run.name, run.arm, run.seed))


def match_runs(text: str, *, runs_dir: Folder = "runs") -> list[Run]:
    """The runs that a user means.

    Args:
        text: A run's or an arm's folder, ``<name>-<arm id>/seed-<n>``, ``<name>-<arm id>``, a
            name, or at least 4 digits of an arm id's beginning.
        runs_dir: The folder of all runs.

    Returns:
        At least one run.

    Raises:
        StoreError: There is none.
    """
    wanted = text.rstrip("/\\")
    runs = find_runs(runs_dir) if Path(runs_dir).is_dir() else []
    asked = [
        run
        for run in runs
        if wanted in (run.id, run.id.partition("/")[0], run.name)
        or (len(wanted) >= _SHORTEST_ID and run.arm.startswith(wanted))
    ]
    if not asked and Path(text).is_dir():
        asked = find_runs(text)
    if asked:
        return asked
    known = ", ".join(dict.fromkeys(run.id.partition("/")[0] for run in runs[:20]))
    raise StoreError(
        f"there is no run {text!r}",
        where=str(runs_dir),
        hint=f"there are: {known}" if known else "there are no runs in this folder",
    )


def _runs_in(place: Path) -> Iterator[Run]:
    path = Path(os.path.abspath(place))  # noqa: PTH100 (resolve would follow links)
    if names.parse_run_folder(path.name) is not None and names.parse_arm_folder(path.parent.name):
        if not place.is_dir():
            raise _no_folder(place)
        yield Run(place)
        return
    folders = _folders(place)
    if names.parse_arm_folder(path.name) is not None:
        found = [name for name in folders if names.parse_run_folder(name) is not None]
        if found:
            yield from (Run(place / name) for name in found)
            return
    for name in folders:
        if names.parse_arm_folder(name) is None:
            continue
        try:
            within = _folders(place / name)
        except StoreError:
            continue  # removed meanwhile, or another user's
        yield from (
            Run(place / name / seed) for seed in within if names.parse_run_folder(seed) is not None
        )


def _folders(place: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        raise _no_folder(place) from None
    except OSError as error:
        raise StoreError(f"it cannot be read: {error.strerror}", where=str(place)) from error


def _no_folder(place: Path) -> StoreError:
    return StoreError(
        "there is no such folder",
        where=str(place),
        hint="runs are kept in the folder after --runs-dir, ./runs by default",
    )
