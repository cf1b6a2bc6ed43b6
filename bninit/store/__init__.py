"""The runs folder: the only code that reads and writes it.

Modules:
    names: Names of files and folders.
    files: Atomic writes, checked reads, one writer per run.
    epochs, tensors, layers, summary: The file formats, each with ``encode`` and ``decode``.
    writer: `RunWriter`, which records one run during training; `is_finished`.
    runs: `Run`, `find_runs`, `load_runs` and `load_layers`, which read results.
    output: Output folders of verbs.
    environment, tensorboard: Machine and versions; event files.

The names below are loaded on first use, so that listing runs imports neither torch, NumPy, pandas
nor pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bninit.store.names import arm_folder as arm_folder
    from bninit.store.names import run_folder as run_folder
    from bninit.store.runs import Run as Run
    from bninit.store.runs import find_runs as find_runs
    from bninit.store.runs import load_layers as load_layers
    from bninit.store.runs import load_runs as load_runs
    from bninit.store.tensorboard import EventWriter as EventWriter
    from bninit.store.writer import RunWriter as RunWriter
    from bninit.store.writer import is_finished as is_finished

_HOMES = {
    "EventWriter": "tensorboard",
    "Run": "runs",
    "RunWriter": "writer",
    "arm_folder": "names",
    "find_runs": "runs",
    "is_finished": "writer",
    "load_layers": "runs",
    "load_runs": "runs",
    "run_folder": "names",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
