"""A training and a study that take a second, for tests that start, cut and break commands."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
name: tiny
model: {hidden: [12, 8], norm: {placement: pre, input: true, running: cumulative}}
optim: {name: adam, lr: 0.01}
train: {epochs: 4, batch_size: 250, seeds: 2, device: cpu}
targets: [0.5, 1.0]
probes: {enabled: true}
"""
STUDY = """
name: killed
base:
  model: {hidden: [8]}
  train: {epochs: 2, batch_size: 250}
seeds: 2
targets: [0.6]
experiments:
  placement: {over: {model.norm.placement: [none, pre]}}
  rates:
    set: {train.epochs: 1, model.hidden: [8, 8], model.activation: identity}
    over: {optim.lr: [0.1, 10000]}
claims:
  - {id: sure, says: It learns something, in: placement, metric: test_accuracy,
     left: {model.norm.placement: pre}, right: 0.2, expect: greater}
"""
"""Two stacks of different shapes, and networks that diverge."""

COMMANDS = {
    "train": ("train", "--config", "tiny.yaml"),
    "study": ("study", "study.yaml", "--device", "cpu"),
}


def fill(folder: Path) -> Path:
    """Makes a folder with a config and a study in it."""
    folder.mkdir()
    (folder / "tiny.yaml").write_text(CONFIG)
    (folder / "study.yaml").write_text(STUDY)
    return folder
