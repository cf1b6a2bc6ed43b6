"""The main job on the whole of MNIST, against what is known of such networks."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from bninit.verbs.train import train

ROOT = Path(__file__).parents[1]
FOLDERS = (os.environ.get("BNINIT_DATA_DIR"), ROOT.parent / "shared" / "data")
DATA = next((Path(f) for f in FOLDERS if f and (Path(f) / "MNIST" / "raw").is_dir()), None)

pytestmark = [
    pytest.mark.full_data,
    pytest.mark.skipif(DATA is None, reason="no MNIST in $BNINIT_DATA_DIR or ../shared/data"),
]


def _test_accuracies(placement: str, runs_dir: Path) -> list[float]:
    runs = train(
        ROOT / "configs" / "mnist" / f"bn_{placement}.yaml",
        overrides=["train.seeds=2", "train.device=cpu"],
        runs_dir=runs_dir,
        data_dir=DATA,
    )
    return [run.summary["test_accuracy"] for run in runs if run.summary]


@pytest.mark.parametrize(("placement", "least"), [("pre", 0.980), ("none", 0.975)])
def test_three_layers_of_256_get_there(placement: str, least: float, tmp_path: Path) -> None:
    accuracies = _test_accuracies(placement, tmp_path)
    mean = sum(accuracies) / len(accuracies)
    # Without augmentation or dropout, more than 99 % would mean that test images leaked.
    assert least <= mean < 0.990, accuracies


def test_zeros_learn_nothing_but_the_most_frequent_class(tmp_path: Path) -> None:
    (run,) = train(
        ROOT / "configs" / "init" / "zeros.yaml",
        overrides=["data.name=mnist", "train.seeds=1", "train.epochs=1", "train.device=cpu"],
        runs_dir=tmp_path,
        data_dir=DATA,
    )
    assert run.summary is not None
    # 1,135 of the 10,000 test images are ones, the most frequent digit of the training set.
    assert run.summary["test_accuracy"] == 0.1135
    assert math.isclose(run.metrics()["train_loss"].iloc[0], math.log(10), rel_tol=1e-6)
    assert run.summary["test_loss"] == pytest.approx(math.log(10), abs=0.01)
