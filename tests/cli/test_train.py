"""``bninit train`` through the real command line, on the bundled sample."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import running

CONFIG = """
name: tiny
model: {hidden: [20, 17], norm: {placement: pre, input: true}}
optim: {name: sgd, lr: 0.05}
train: {epochs: 3, batch_size: 100, seeds: 3, device: cpu}
targets: [0.5, 1.0]
"""


def started(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bninit", *arguments],
        cwd=cwd,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(text: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never told")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(CONFIG)
    done = running.bninit("train", "--config", "tiny.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch") == 4, "one plain line for each epoch, from 0"
    return folder


def _figures(run: Path) -> pd.DataFrame:
    """Everything in metrics.csv but the clock."""
    return pd.read_csv(run / "metrics.csv").drop(columns="seconds")


def _arm(folder: Path, runs_dir: str = "runs") -> Path:
    (arm,) = [path for path in (folder / runs_dir).iterdir() if path.is_dir()]
    return arm


def test_it_leaves_what_the_readme_says(trained: Path) -> None:
    arm = _arm(trained)
    assert (arm / "curves.png").read_bytes()[:4] == b"\x89PNG"
    for seed in range(3):
        run = arm / f"seed-{seed}"
        assert {path.name for path in run.iterdir()} - {".lock"} == {
            "config.yaml",
            "environment.json",
            "metrics.csv",
            "steps.npy",
            "final.safetensors",
            "summary.json",
        }
        summary = json.loads((run / "summary.json").read_text())
        assert summary["status"] == "done"
        assert summary["test_accuracy"] > 0.6, "it learns to read digits"
        # A layer of 20 and one of 17 nodes, and 784 inputs, each with gamma and beta.
        weights = 784 * 20 + 20 * 17 + 17 * 10 + 10
        assert summary["num_parameters"] == weights + 2 * (784 + 20 + 17)
        assert summary["num_tracked"] == 2 * (784 + 20 + 17)
        never = summary["targets"][1]
        assert (never["epochs"], never["censored"]) == (None, True)


def test_again_it_trains_nothing(trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in _arm(trained).rglob("*.csv")}
    done = running.bninit("train", "--config", "tiny.yaml", cwd=trained)
    assert done.returncode == 0
    assert "epoch 1" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in _arm(trained).rglob("*.csv")} == before


def test_a_seed_alone_writes_the_metrics_that_it_writes_in_a_stack(trained: Path) -> None:
    done = running.bninit(
        "train", "--config", "tiny.yaml", "--seeds", "1,", "--runs-dir", "alone", cwd=trained
    )
    assert done.returncode == 0, done.stderr
    alone, stacked = _arm(trained, "alone") / "seed-1", _arm(trained) / "seed-1"
    pd.testing.assert_frame_equal(_figures(alone), _figures(stacked), check_exact=True)
    assert (alone / "steps.npy").read_bytes() == (stacked / "steps.npy").read_bytes()
    assert (alone / "final.safetensors").read_bytes() == (
        stacked / "final.safetensors"
    ).read_bytes()


@pytest.mark.slow
def test_killed_it_goes_on_and_ends_with_the_same_bits(trained: Path) -> None:
    command = ["train", "--config", "tiny.yaml", "--runs-dir", "killed"]
    with started(*command, cwd=trained) as process:
        wait_for("epoch 1/3", process)
        process.send_signal(signal.SIGKILL)
    done = running.bninit(*command, cwd=trained)
    assert done.returncode == 0, done.stderr
    for seed in range(3):
        gone_on, undisturbed = (_arm(trained, runs) / f"seed-{seed}" for runs in ("killed", "runs"))
        pd.testing.assert_frame_equal(_figures(gone_on), _figures(undisturbed), check_exact=True)
        assert (gone_on / "final.safetensors").read_bytes() == (
            undisturbed / "final.safetensors"
        ).read_bytes()


def test_interrupted_it_says_how_to_go_on(trained: Path) -> None:
    command = ["train", "--config", "tiny.yaml", "--runs-dir", "interrupted", "--epochs", "2000"]
    with started(*command, cwd=trained) as process:
        wait_for("epoch 1/", process)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "rerun the command to resume" in rest
    assert "Traceback" not in rest


def test_a_diverged_network_is_a_result(trained: Path) -> None:
    done = running.bninit(
        *("train", "--config", "tiny.yaml", "--runs-dir", "diverged", "--seeds", "2"),
        *("--set", "model.norm={placement: none}", "--set", "optim.lr=10000"),
        cwd=trained,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((_arm(trained, "diverged") / "seed-0" / "summary.json").read_text())
    assert summary["status"] == "diverged"
    assert summary["test_accuracy"] is None
    assert summary["diverged_step"] >= 1


@pytest.mark.slow
def test_of_two_processes_on_one_run_the_second_waits_and_takes_over(trained: Path) -> None:
    command = ["train", "--config", "tiny.yaml", "--runs-dir", "shared", "--epochs", "2000"]
    with started(*command, cwd=trained) as first:
        wait_for("epoch 1/", first)
        with started(*command, cwd=trained) as second:
            wait_for("waiting for 3 networks that another process is training", second)
            assert first.poll() is None, "the first goes on"
            first.kill()
            wait_for("resumes after epoch", second)
            wait_for("epoch", second)
            second.kill()
