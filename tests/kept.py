"""What a folder of runs holds: its bits, and that every file is whole whenever one looks."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from bninit.config import config_from_dict
from bninit.store import find_runs
from bninit.store.epochs import decode_metrics, decode_steps
from bninit.store.files import find_file
from bninit.store.tensors import decode_checkpoint, decode_tensors

CLOCKS = {"seconds", "seconds_per_epoch", "stack_size", "crc32"}
"""Keys of a summary that tell of time, by whom a clock was shared, or are sums over what does."""


def results(runs_dir: Path) -> dict[str, Any]:
    """All that training gave, to the bit, but for times."""
    found: dict[str, Any] = {}
    for run in find_runs(runs_dir):
        for name in ("config.yaml", "steps.npy", "final.safetensors"):
            found[f"{run.id}/{name}"] = (run.folder / name).read_bytes()
        layers = run.folder / "layers.safetensors"
        found[f"{run.id}/layers"] = layers.read_bytes() if layers.exists() else None
        # repr tells floats apart to the last bit, and NaN is like NaN.
        found[f"{run.id}/metrics.csv"] = [repr(row[:-1]) for row in run.rows()]
        found[f"{run.id}/summary.json"] = repr(_timeless(run.summary))
        assert not list(run.folder.glob(".*.tmp"))
    for path in sorted(runs_dir.glob("studies/*/*.json")):
        found[str(path.relative_to(runs_dir))] = json.loads(path.read_text())
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in CLOCKS}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Place:
    """How far a run is, as its files tell.

    Attributes:
        recorded: Epochs on record; -1 for none.
        kept: Epochs from which it goes on; -1 for none.
        steps: Steps of the next epoch that are done.
        finished: Whether it has ended.
    """

    recorded: int = -1
    kept: int = -1
    steps: int = 0
    finished: bool = False


def places(runs_dir: Path) -> dict[str, Place]:
    """How far each run is; all of what is read has to be whole."""
    found = {}
    for run in find_runs(runs_dir) if runs_dir.exists() else []:
        metrics = run.folder / "metrics.csv"
        recorded = len(run.rows()) - 1 if metrics.exists() else -1
        path = run.folder / "checkpoint.safetensors"
        stored = find_file(path, partial(decode_checkpoint, arm=run.arm, seed=run.seed))
        finished = run.summary is not None
        if stored is None:
            found[run.id] = Place(recorded, recorded if finished else -1, finished=finished)
        else:
            epoch, steps = stored.checkpoint.place
            found[run.id] = Place(recorded, epoch, steps, finished=finished)
    return found


def resumptions(runs_dir: Path) -> dict[str, list[tuple[int, int]]]:
    """The epochs and steps after which each run went on, as its environment tells."""
    found = {}
    for run in find_runs(runs_dir) if runs_dir.exists() else []:
        path = run.folder / "environment.json"
        told = json.loads(path.read_text()) if path.exists() else {}
        found[run.id] = [(one["epoch"], one.get("steps", 0)) for one in told.get("resumed", [])]
    return found


def _png(data: bytes) -> None:
    assert data.startswith(b"\x89PNG")
    assert data.rstrip(b"\0").endswith(b"IEND\xaeB`\x82")


def _html(data: bytes) -> None:
    assert data.rstrip().endswith(b"</html>")


_READERS: dict[str, Callable[[bytes], object]] = {
    "metrics.csv": decode_metrics,
    "steps.npy": decode_steps,
    "config.yaml": lambda data: config_from_dict(yaml.safe_load(data)),
    ".safetensors": decode_tensors,
    ".json": json.loads,
    ".png": _png,
    ".html": _html,
}


@dataclass
class Reader:
    """Opens every file of a folder again and again, and takes it apart; a context manager.

    Attributes:
        runs_dir: The folder, which may come later, or go.
        looks: Files that were opened.
        faults: What was not whole.
    """

    runs_dir: Path
    looks: int = 0
    faults: list[str] = field(default_factory=list)
    _seen: dict[Path, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Reader:
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            assert not self.faults, self.faults[0]

    def _poll(self) -> None:
        while not self._stop.is_set():
            self.look()
            time.sleep(0.02)

    def look(self) -> None:
        """Opens each file once."""
        for path in list(self.runs_dir.rglob("*")):
            if path.name.startswith(".") or path.is_dir():
                continue
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            self.looks += 1
            # Taken apart once for each content: the other process needs the processor, too.
            if self._seen.get(path) == zlib.crc32(data):
                continue
            self._seen[path] = zlib.crc32(data)
            parse = _READERS.get(path.name) or _READERS.get(path.suffix)
            try:
                if parse is not None:
                    parse(data)
            except Exception as error:
                self.faults.append(f"{path}: {error!r}")
