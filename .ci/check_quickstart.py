"""Checks what a quickstart training wrote: ``python check_quickstart.py RUNS_DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file


def main() -> None:
    """Raises AssertionError when something is missing or implausible."""
    (arm,) = [folder for folder in Path(sys.argv[1]).iterdir() if folder.is_dir()]
    assert (arm / "curves.png").read_bytes().startswith(b"\x89PNG"), "curves.png is no picture"
    runs = sorted(arm.glob("seed-*"))
    assert len(runs) == 5, [run.name for run in runs]
    for run in runs:
        summary = json.loads((run / "summary.json").read_text())
        metrics = pd.read_csv(run / "metrics.csv")
        losses = np.load(run / "steps.npy", allow_pickle=False)
        assert summary["status"] == "done", summary["status"]
        assert list(metrics["epoch"]) == list(range(summary["epochs"] + 1))
        assert losses.shape == (summary["steps"],)
        assert np.isfinite(losses).all()
        assert abs(metrics["val_loss"][0] - np.log(10)) < 1.0, "an untrained network knows nothing"
        assert summary["test_accuracy"] > 0.90, summary["test_accuracy"]
        assert load_file(run / "final.safetensors")["0.weight"].shape == (256, 784)
        assert (run / "config.yaml").exists()
        assert (run / "environment.json").exists()
        assert not (run / "checkpoint.safetensors").exists(), "a finished run needs no checkpoint"
    print(f"1 arm, {len(runs)} runs: all there")


if __name__ == "__main__":
    main()
