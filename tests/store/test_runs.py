"""Reading one run: figures, tables and the network itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.nets.reference import build_sequential
from bninit.store import Run, RunWriter
from bninit.store.metrics import COLUMNS
from bninit.store.networks import architecture_of


def test_a_finished_run(finished: Path, config: Config, tell: Any) -> None:
    run = Run(finished)
    assert (run.name, run.arm, run.seed) == ("tiny", arm_id(config), 0)
    assert run.id == f"tiny-{arm_id(config)}/seed-0"
    assert (run.status, run.problem) == ("done", None)
    assert run.summary == json.loads((finished / "summary.json").read_text())
    assert run.config.model == config.model
    assert run.config.train.seeds == (0,)
    assert run.environment["stack_size"] == 3
    story = tell(config)
    told = [story.epoch(number) for number in range(4)]
    assert run.rows() == [metrics for metrics, _, _ in told]
    assert run.step_losses().tolist() == np.concatenate([losses for _, losses, _ in told]).tolist()


def test_its_table_is_what_pandas_reads(finished: Path) -> None:
    table = Run(finished).metrics()
    assert list(table.columns) == list(COLUMNS)
    pd.testing.assert_frame_equal(table, pd.read_csv(finished / "metrics.csv"), check_exact=False)
    assert table["epoch"].dtype == table["step"].dtype == np.int64
    assert table["batch_loss"].isna().tolist() == [True, False, False, False]


def test_an_unfinished_run(half: Path, runs_dir: Path, config: Config) -> None:
    assert Run(half).status == "partial"
    assert Run(half).summary is None
    assert len(Run(half).metrics()) == 2
    assert Run(half).step_losses().size == 5
    with pytest.raises(StoreError, match="missing"):
        Run(half).load_network()
    with RunWriter.open(runs_dir, config, 0, environment={}):
        assert Run(half).status == "running"
    assert Run(half).status == "partial"


def test_a_diverged_run(runs_dir: Path, seed_dir: Path, config: Config, tell: Any) -> None:
    tell(config, diverges=True).play(runs_dir)
    run = Run(seed_dir)
    assert run.status == "diverged"
    table = run.metrics()
    assert np.isnan(table["train_loss"].iloc[-1])
    assert np.isinf(table["val_loss"].iloc[-1])
    run.load_network()


def test_a_run_without_epochs(runs_dir: Path, seed_dir: Path, config: Config) -> None:
    RunWriter.open(runs_dir, config, 0, environment={}).close()
    assert Run(seed_dir).status == "partial"
    with pytest.raises(StoreError, match="missing"):
        Run(seed_dir).rows()


@pytest.mark.parametrize("placement", ["none", "pre", "post"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_network_is_the_one_that_was_trained(
    runs_dir: Path, configure: Callable[..., Config], placement: str, precision: str, tell: Any
) -> None:
    norm = {"placement": placement, "input": True, "running": "cumulative"}
    config = configure(
        model={"hidden": [4, 3], "activation": "gelu", "norm": norm},
        train={"epochs": 1, "precision": precision},
    )
    dtype = torch.float64 if precision == "float64" else torch.float32
    trained = build_sequential(architecture_of(config), dtype=dtype)
    for _ in range(3):
        trained(torch.randn(8, 784, dtype=dtype))
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment={}) as writer:
        for number in range(2):
            metrics, losses, _ = story.epoch(number)
            writer.epoch(metrics, losses, None)
        writer.finish(trained.state_dict(), story.final(), None)
    network = Run(writer.folder).load_network()
    assert isinstance(network, nn.Sequential)
    assert not network.training
    x = torch.randn(5, 784, dtype=dtype)
    assert torch.equal(network(x), trained.eval()(x))


def test_a_network_of_another_shape_is_damage(
    runs_dir: Path, seed_dir: Path, config: Config, tell: Any
) -> None:
    story = tell(config)
    with RunWriter.open(runs_dir, config, 0, environment={}) as writer:
        for number in range(4):
            writer.epoch(*story.epoch(number))
        writer.finish({"0.weight": torch.ones(3)}, story.final(), None)
    with pytest.raises(StoreError, match="do not fit the config") as caught:
        Run(seed_dir).load_network()
    assert caught.value.where == str(seed_dir / "final.safetensors")


def test_targets_that_were_not_asked_for(finished: Path, half: Path, tell: Any) -> None:
    # Validation accuracies are 0.05, 0.525, 0.683..., 0.7625.
    entries = Run(finished).targets([0.01, 0.6, 0.9])
    assert [entry["epochs"] for entry in entries] == [0, 2, None]
    assert entries[2]["censored_at_epochs"] == 3


def test_targets_of_an_unfinished_run(half: Path) -> None:
    assert Run(half).targets([0.6])[0]["censored_at_epochs"] == 1


def test_what_cannot_be_read_is_named(finished: Path) -> None:
    for name in ("config.yaml", "environment.json"):
        (finished / name).write_text("[")
    for attribute in ("config", "environment"):
        with pytest.raises(StoreError) as caught:
            getattr(Run(finished), attribute)
        assert str(finished) in str(caught.value)
    assert Run(finished).status == "done"
    (finished / "environment.json").unlink()
    with pytest.raises(StoreError, match="missing"):
        _ = Run(finished).environment


@pytest.mark.parametrize("folder", ["runs", "x-01234567", "x-01234567/seed-x", "x/seed-0", "/"])
def test_another_folder_is_no_run(folder: str) -> None:
    with pytest.raises(StoreError, match="not a run's folder"):
        Run(folder)


def test_a_folder_may_be_given_from_within(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    assert Run(".").seed == 0
    assert Run(".").status == "done"
    assert "Run(" in repr(Run("."))
