"""Readings of probes, against figures worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bninit.config import Config, config_from_dict
from bninit.errors import ConfigError
from bninit.metrics import METRICS
from bninit.store.layers import StoredLayers, decode_layers, encode_layers
from bninit.training.records import LayerRows
from bninit.verbs.study.load import load_study, study_from_dict

Numbers = dict[tuple[int, str, str], list[float]]
STEPS = [0, 10, 27, 54]


class Probed:
    """A run of two epochs of 27 steps and three hidden layers, with chosen readings."""

    def __init__(self, numbers: Numbers, *, norm: str = "pre", running: str = "ema") -> None:
        self.config: Config = config_from_dict(
            {
                "name": "x",
                "model": {"hidden": [4, 4, 4], "norm": {"placement": norm, "running": running}},
                "train": {"epochs": 2},
                "probes": True,
            }
        )
        self.summary: dict[str, Any] | None = {"status": "done"}
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
        return decode_layers(data, path=Path("layers.safetensors"))


def _read(name: str, run: Probed) -> float:
    return METRICS[name].value(run, 0.0)  # type: ignore[arg-type]


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
def test_figures(name: str, numbers: Numbers, figure: float) -> None:
    assert _read(name, Probed(numbers)) == pytest.approx(figure, nan_ok=True)


def test_what_a_run_goes_by_in_evaluation_is_its_own() -> None:
    run = Probed(GAPS, running="cumulative")
    assert _read("running_statistics_gap", run) == pytest.approx(math.sqrt(50))
    assert _read("mode_gap", run) == pytest.approx(-0.0625)
    assert math.isnan(_read("running_statistics_gap", Probed(GAPS, running="population")))


def test_what_a_hidden_layer_hands_on_depends_on_where_batch_norm_stands() -> None:
    numbers = SHIFT | _of_layers("norm", "shift", [5, 5, 5], [5, 5, 5], [5, 5, 5])
    assert _read("distribution_shift", Probed(numbers)) == 4.0
    assert _read("distribution_shift", Probed(numbers, norm="post")) == 15.0


@pytest.mark.parametrize("name", [name for name, each in METRICS.items() if each.probes])
def test_what_was_not_read_is_nan(name: str) -> None:
    assert math.isnan(_read(name, Probed({(5, "linear", "mean"): [0, 0, 0, 0]})))


STUDY: dict[str, Any] = {
    "name": "s",
    "base": {"model": {"hidden": [4]}},
    "seeds": 2,
    "experiments": {"e": {"over": {"model.norm.placement": ["none", "pre"]}}},
    "claims": [
        {
            "id": "N18",
            "says": "It vanishes",
            "metric": "gradient_factor",
            "left": {"model.norm.placement": "none"},
            "right": {"model.norm.placement": "pre"},
            "expect": "less",
        }
    ],
}


def test_a_claim_that_needs_probes_is_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match="gradient_factor is read from probes") as caught:
        study_from_dict(STUDY, metrics=METRICS)
    (problem,) = caught.value.problems
    assert problem.key == "claims[0].metric"
    assert "probes: true" in str(problem.hint)
    few = {**STUDY["base"], "probes": {"groups": ["signals"]}}
    with pytest.raises(ConfigError, match="of gradients, and placement none has only signals"):
        study_from_dict({**STUDY, "base": few}, metrics=METRICS)


@pytest.mark.parametrize("probes", [True, {"groups": ["gradients"]}, {"units": 0}])
def test_and_loads_where_there_are(probes: object) -> None:
    study_from_dict({**STUDY, "base": {**STUDY["base"], "probes": probes}}, metrics=METRICS)
    of_experiment = {"e": {**STUDY["experiments"]["e"], "set": {"probes": probes}}}
    study_from_dict({**STUDY, "experiments": of_experiment}, metrics=METRICS)
    study_from_dict(STUDY, overrides=["probes=true"], metrics=METRICS)


def test_probes_are_no_axis(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nseeds: 1\nexperiments:\n  e: {over: {probes: [true, false]}}\n")
    with pytest.raises(ConfigError, match="makes no difference to what is trained"):
        load_study(path)


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
        run = Probed({(-1, "network", quantity): list(values)})
        run.summary = {"status": status}
        return _read(name, run)

    # Of steps 0, 10, 27 and 54 the second lies within an epoch of 27.
    assert read(1.0, 900.0, 4.0, 2.0) == 2.0
    assert read(1.0, 0.0, math.nan, 2.0) == 1.5
    assert read(math.inf, 0.0, 4.0, math.inf) == math.inf
    assert math.isnan(read(math.nan, 1.0, math.nan, math.nan))
    assert math.isnan(read(1.0, 1.0, 1.0, 1.0, status="diverged"))
    assert METRICS[name].probes == "landscape"


def test_what_probes_do_not_take_by_default_has_to_be_named() -> None:
    claim = {**STUDY["claims"][0], "metric": "loss_range_along_gradient"}
    study = {**STUDY, "claims": [claim]}
    with pytest.raises(ConfigError) as caught:
        study_from_dict(study, metrics=METRICS)
    assert "put probes: {groups: [landscape]} under base" in str(caught.value)
    probed = {**STUDY["base"], "probes": True}
    with pytest.raises(ConfigError, match=r"add landscape to probes\.groups"):
        study_from_dict({**study, "base": probed}, metrics=METRICS)
    probed = {**STUDY["base"], "probes": {"groups": ["landscape"]}}
    study_from_dict({**study, "base": probed}, metrics=METRICS)
