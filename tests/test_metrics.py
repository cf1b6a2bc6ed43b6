"""Metrics of a run and of its probes, against figures worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bninit.config import Config, config_from_dict
from bninit.metrics import METRICS, horizon_of
from bninit.store.epochs import Row
from bninit.store.layers import StoredLayers, decode_layers, encode_layers
from bninit.training.records import LayerRows

CONFIG = config_from_dict({"name": "x", "train": {"epochs": 3, "batch_size": 100}})


class Kept:
    """A run as its files have it."""

    def __init__(self, *, status: str = "done", losses: list[float] | None = None) -> None:
        self.config: Config = CONFIG
        done = status == "done"
        self.summary: dict[str, Any] | None = {
            "status": status,
            "test_accuracy": 0.9 if done else None,
            "distinct_units": [7, 3],
        }
        self._losses = losses or [1.0, 1.0, 1.0, 3.0]

    def rows(self) -> list[Row]:
        return [
            Row(0, 0, 0.1, None, 2.3, 0.1, 2.4, 0.1, 0.0),
            Row(1, 35, 0.1, 1.5, 1.0, 0.8, 0.9, 0.8, 1.0),
            Row(2, 70, 0.1, 0.7, 0.5, 0.9, 1.2, 0.9, 2.0),
            Row(3, 105, 0.1, 0.3, 0.2, 0.9, 1.0, 0.85, 3.0),
        ]

    def step_losses(self) -> npt.NDArray[np.floating]:
        return np.array(self._losses)


def _read(name: str, run: Any, target: float = 0.0) -> float:
    return METRICS[name].value(run, target)


@pytest.mark.parametrize(
    ("name", "target", "figure"),
    [
        ("test_accuracy", 0.0, 0.9),
        ("final_val_accuracy", 0.0, 0.85),
        ("initial_train_loss", 0.0, 2.3),
        ("epochs_to_accuracy", 0.8, 1.0),  # reached means at least
        ("epochs_to_accuracy", 0.81, 2.0),
        ("epochs_to_accuracy", 0.95, math.nan),
        ("steps_to_accuracy", 0.9, 70.0),
        ("seconds_to_accuracy", 0.9, 2.0),
        ("reached", 0.9, 1.0),
        ("reached", 0.91, 0.0),
        ("diverged", 0.0, 0.0),
        ("worst_loss_rise", 0.0, 0.3),
        ("min_distinct_units", 0.0, 3.0),
    ],
)
def test_figures_of_a_run(name: str, target: float, figure: float) -> None:
    assert _read(name, Kept(), target) == pytest.approx(figure, nan_ok=True)


def test_a_diverged_run_has_no_figure_and_ranks_last() -> None:
    for name in ("test_accuracy", "final_val_accuracy", "loss_fluctuation", "worst_loss_rise"):
        assert math.isnan(_read(name, Kept(status="diverged")))
    assert _read("diverged", Kept(status="diverged")) == 1.0
    assert (METRICS["test_accuracy"].worse, METRICS["test_loss"].worse) == ("low", "high")


def test_fluctuation_is_the_noise_and_not_the_trend() -> None:
    # The second half is 1, 3: one difference of 2, so 2 / sqrt 2.
    assert _read("loss_fluctuation", Kept()) == pytest.approx(2 / math.sqrt(2))
    noise = np.random.default_rng(0).normal(0, 0.1, 20_000)
    falling = noise + np.linspace(3, 1, 20_000)
    assert _read("loss_fluctuation", Kept(losses=falling.tolist())) == pytest.approx(0.1, rel=0.03)


def test_the_table() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert [name for name, each in METRICS.items() if each.needs_target] == [
        "epochs_to_accuracy",
        "steps_to_accuracy",
        "seconds_to_accuracy",
        "reached",
    ]
    accuracy, epochs, probed = (
        METRICS[n] for n in ("test_accuracy", "epochs_to_accuracy", "ema_gap")
    )
    assert (accuracy.scale, accuracy.num_decimals, accuracy.resolution(CONFIG)) == (100, 2, 1e-3)
    assert (epochs.scale, epochs.num_decimals, epochs.resolution(CONFIG)) == (1, 1, 1)
    assert (probed.scale, probed.num_decimals, probed.resolution(CONFIG)) == (1, 3, 0)


def test_the_horizon_is_one_epoch_after_the_last() -> None:
    assert horizon_of(METRICS["epochs_to_accuracy"], CONFIG) == 4
    assert horizon_of(METRICS["steps_to_accuracy"], CONFIG) == 4 * 35
    assert horizon_of(METRICS["seconds_to_accuracy"], CONFIG) is None
    assert horizon_of(METRICS["test_accuracy"], CONFIG) is None


Numbers = dict[tuple[int, str, str], list[float]]
STEPS = [0, 10, 27, 54]


class Probed:
    """A run of two epochs of 27 steps and three hidden layers, with chosen readings."""

    def __init__(
        self, numbers: Numbers, *, norm: str = "pre", running: str = "ema", status: str = "done"
    ) -> None:
        self.config: Config = config_from_dict(
            {
                "name": "x",
                "model": {"hidden": [4, 4, 4], "norm": {"placement": norm, "running": running}},
                "train": {"epochs": 2},
                "probes": True,
            }
        )
        self.summary: dict[str, Any] | None = {"status": status}
        self._numbers = numbers

    def stored_layers(self) -> StoredLayers:
        keys = tuple((*key, -1) for key in self._numbers)
        taken = [
            (step, step // 27, code, values[i - len(STEPS)])
            for i, step in enumerate(STEPS)
            for code, values in enumerate(self._numbers.values())
            if len(values) >= len(STEPS) - i
        ]
        step, epoch, code, value = (np.array(column) for column in zip(*taken, strict=True))
        rows = LayerRows(
            step=step, epoch=epoch, key=code, value=value.astype(np.float32), keys=keys
        )
        data = encode_layers(rows, probes=self.config.probes, arm="a", seed=0)
        return decode_layers(data)


def _of_layers(place: str, quantity: str, *values: list[float]) -> Numbers:
    return {(layer, place, quantity): list(each) for layer, each in enumerate(values, start=1)}


GRADIENT = _of_layers("gradient", "sd", [1, 9, 9, 9], [2, 9, 9, 9], [4, 9, 9, 9], [100, 9, 9, 9])
VANISHED = _of_layers("gradient", "sd", [0, 9, 9, 9], [1, 9, 9, 9], [4, 9, 9, 9], [5, 9, 9, 9])
NOTHING = _of_layers("gradient", "sd", [0] * 4, [0] * 4, [0] * 4, [5] * 4)
SIGNAL = _of_layers("linear", "sd", [8, 0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 0], [7, 7, 7, 7])
# Not read at the first moment.
SHIFT = _of_layers("activation", "shift", [1, 2, 3], [1, 1, 1], [0, 0, 3])
GAPS = {
    (1, "norm", "mean_gap_ema"): [9, 3, 0, 3.0],
    (2, "norm", "mean_gap_ema"): [9, 3, 0, 4.0],
    (1, "norm", "mean_gap_cumulative"): [9, 3, 0, 6.0],
    (2, "norm", "mean_gap_cumulative"): [9, 3, 0, 8.0],
    (-1, "network", "accuracy_train_mode"): [0.1, 0.5, 0.75, 0.875],
    (-1, "network", "accuracy_ema"): [0.9, 0.25, 0.75, 0.75],
    (-1, "network", "accuracy_cumulative"): [0.9, 0.5, 0.5, 0.9375],
}
GAMMA = _of_layers("norm", "gamma_drift", [0, 0, 0, 3], [0, 0, 0, 4], [0, 0, 0, 0])
# Batch norm on the input belongs to no hidden layer.
GAMMA[0, "norm", "gamma_drift"] = [9, 9, 9, 9]
UNITS = _of_layers("weight", "distinct_units", [4, 4, 4, 4], [1, 1, 1, 2], [3, 3, 3, 3])
DEAD = _of_layers("activation", "dead_fraction", [0, 0, 0, 0.5], [0, 0, 0, 0.25], [0.75, 0, 0, 0])
RANK = _of_layers("activation", "effective_rank", [3, 3, 3, 3], [2, 2, 2, 1.5], [4, 4, 4, 4])


@pytest.mark.parametrize(
    ("name", "numbers", "figure"),
    [
        ("gradient_factor", GRADIENT, 0.5),
        ("gradient_factor", VANISHED, 0.0),
        ("gradient_factor", NOTHING, math.nan),
        ("gradient_decades", GRADIENT, math.log10(0.25)),
        ("gradient_decades", VANISHED, math.log10(2.0**-149 / 4)),
        ("gradient_decades", NOTHING, 0.0),
        ("signal_factor", SIGNAL, 0.5),
        ("first_layer_gradient", _of_layers("weight", "gradient_norm", [5, 1, 1, 1]), 5.0),
        ("distribution_shift", SHIFT, (6 + 3 + 3) / 3),
        ("running_statistics_gap", GAPS, math.sqrt((9 + 16) / 2)),
        ("early_running_statistics_gap", GAPS, (3 + 0) / 2),
        ("ema_gap", GAPS, math.sqrt((9 + 16) / 2)),
        ("cumulative_gap", GAPS, math.sqrt((36 + 64) / 2)),
        ("ema_advantage", GAPS, math.sqrt(50) - math.sqrt(12.5)),
        ("mode_gap", GAPS, 0.125),
        ("worst_mode_gap", GAPS, 0.25),
        ("gamma_drift", GAMMA, math.sqrt((9 + 16) / 3)),
        ("initial_distinct_units", UNITS, 1.0),
        ("dead_fraction", DEAD, 0.25),
        ("initial_dead_fraction", DEAD, 0.25),
        ("effective_rank", RANK, 1.5),
        ("initial_effective_rank", RANK, 2.0),
    ],
)
def test_figures_of_probes(name: str, numbers: Numbers, figure: float) -> None:
    assert _read(name, Probed(numbers)) == pytest.approx(figure, nan_ok=True)


def test_what_a_run_uses_in_evaluation_is_its_own() -> None:
    run = Probed(GAPS, running="cumulative")
    assert _read("running_statistics_gap", run) == pytest.approx(math.sqrt(50))
    assert _read("mode_gap", run) == pytest.approx(-0.0625)
    assert math.isnan(_read("running_statistics_gap", Probed(GAPS, running="population")))


def test_what_a_hidden_layer_hands_on_depends_on_the_placement_of_batch_norm() -> None:
    numbers = SHIFT | _of_layers("norm", "shift", [5, 5, 5], [5, 5, 5], [5, 5, 5])
    assert _read("distribution_shift", Probed(numbers)) == 4.0
    assert _read("distribution_shift", Probed(numbers, norm="post")) == 15.0


@pytest.mark.parametrize("name", [name for name, each in METRICS.items() if each.probes])
def test_what_was_not_read_is_nan(name: str) -> None:
    assert math.isnan(_read(name, Probed({(5, "linear", "mean"): [0, 0, 0, 0]})))


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("loss_range_along_gradient", "loss_range"),
        ("gradient_change", "gradient_change"),
        ("relative_gradient_change", "relative_gradient_change"),
        ("effective_smoothness", "smoothness"),
    ],
)
def test_along_the_gradient_it_is_the_median_over_epochs(name: str, quantity: str) -> None:
    def read(*values: float, status: str = "done") -> float:
        return _read(name, Probed({(-1, "network", quantity): list(values)}, status=status))

    # Of steps 0, 10, 27 and 54 the second lies within an epoch of 27.
    assert read(1.0, 900.0, 4.0, 2.0) == 2.0
    assert read(1.0, 0.0, math.nan, 2.0) == 1.5
    assert read(math.inf, 0.0, 4.0, math.inf) == math.inf
    assert math.isnan(read(math.nan, 1.0, math.nan, math.nan))
    assert math.isnan(read(1.0, 1.0, 1.0, 1.0, status="diverged"))
    assert METRICS[name].probes == "landscape"
