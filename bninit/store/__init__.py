"""What is kept: the only reader and writer of the runs folder.

Modules:
    names: Every file's and folder's name.
    writer: `RunWriter`, which keeps one run while it is trained.
    runs, listing, tidy: `Run`, `find_runs`, `match_runs`, `load_runs` and `load_layers`, which
        read what is there.
    inspection: What is whole of a run, before it is trained on.
    findings: Folders of what commands find.
    summary: ``summary.json``; metrics, steps, layers, tensors, checkpoints: the other files.
    environment: `environment.environment`, what a run is trained with.
    tensorboard: Event files for TensorBoard.
    atomic, reading, locks: Files that appear whole, files that may be damaged, one writer a run.

The names below are loaded when they are first used, so that listing runs imports no torch, numpy,
pandas or pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bninit.store.files import DamagedFileError
    from bninit.store.inspection import is_finished
    from bninit.store.names import arm_folder, run_folder
    from bninit.store.networks import architecture_of
    from bninit.store.runs import Run, find_runs, load_layers, load_runs, match_runs
    from bninit.store.summary import summarise, targets_of
    from bninit.store.tensorboard import EventWriter
    from bninit.store.writer import RunWriter

_HOMES = {
    "DamagedFileError": "files",
    "EventWriter": "tensorboard",
    "Run": "runs",
    "RunWriter": "writer",
    "architecture_of": "networks",
    "arm_folder": "names",
    "find_runs": "runs",
    "is_finished": "inspection",
    "load_layers": "runs",
    "load_runs": "runs",
    "match_runs": "runs",
    "run_folder": "names",
    "summarise": "summary",
    "targets_of": "summary",
}

__all__ = [
    "DamagedFileError",
    "EventWriter",
    "Run",
    "RunWriter",
    "architecture_of",
    "arm_folder",
    "find_runs",
    "is_finished",
    "load_layers",
    "load_runs",
    "match_runs",
    "run_folder",
    "summarise",
    "targets_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
