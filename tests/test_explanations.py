"""Explanations from Python: every kind of start, and what is said of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bninit
from bninit.errors import UserError
from bninit.verbs.explain.explain import Explanation, keep_explanations
from bninit.verbs.explain.measure import read_start
from bninit.verbs.explain.tables import json_text, outlook, print_explanations, verdict
from bninit.verbs.train.train import resolve


def explained(seeds: range | None = None, **model: Any) -> Explanation:
    config = {"name": "some", "model": model, "train": {"batch_size": 24}}
    return bninit.explain(config, seeds=seeds)[0]


@pytest.mark.parametrize("placement", ["none", "post"])
@pytest.mark.parametrize(
    "init",
    [
        {"scheme": "zeros", "bias": 0.5},
        {"scheme": "constant", "value": -3.0},
        {"scheme": "normal", "std": 1e6},
        {"scheme": "normal", "std": 1e-30},
        {"scheme": "uniform", "limit": 0.1, "bias": {"scheme": "uniform", "limit": 1.0}},
    ],
)
def test_degenerate_starts_are_told_without_infinities(
    init: dict[str, Any], placement: str
) -> None:
    one = explained(hidden=[9] * 7, norm={"placement": placement}, init=init)

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    (kept,) = json.loads(json_text([one]), parse_constant=refuse)
    assert len(kept["layers"]) == 8
    out = io.StringIO()
    print_explanations([one, one], console=Console(file=out, width=100))
    words = out.getvalue().lower().replace("/", " ").replace("(", " ").split()
    assert not {"nan", "inf", "-inf", "none,"} & set(words)
    assert verdict(one)


def test_what_overflows_is_said() -> None:
    one = explained(hidden=[9] * 7, init={"scheme": "normal", "std": 1e6})
    assert one.overflow == "hidden 6"
    assert one.loss is None
    assert "Numbers grow beyond float32 in hidden 6" in verdict(one)[0]
    assert one.layers[0].linear.measured is not None
    assert one.layers[-1].linear.measured is None


def test_equal_units_and_no_gradient_are_said() -> None:
    one = explained(hidden=[8] * 9, init={"scheme": "constant", "value": 0.5})
    said = " ".join(verdict(one))
    assert "All units of a hidden layer are the same unit" in said
    assert "No gradient reaches the hidden layers: with constant weights" in said
    assert [layer.distinct_units for layer in one.layers] == [*[1] * 9, None]
    assert one.gradient_fate is None


def test_the_verdict_of_a_deep_network_with_small_weights() -> None:
    one = explained(
        range(5),
        hidden=[60] * 10,
        activation="tanh",
        init={"scheme": "torch_default"},
    )
    assert one.gradient is not None
    assert one.gradient.num_layers == 9
    assert one.gradient.measured == pytest.approx(3**-0.5, rel=0.03)
    assert one.gradient_fate == "vanishes"
    said = next(line for line in verdict(one) if "gradient" in line)
    assert "shrinks by 0.5" in said
    assert "after 9 layers, at hidden 1, it is 1/1" in said
    assert one.outlook is not None
    assert one.outlook.factor == pytest.approx(3**-0.5, rel=0.01)
    assert "(lecun_normal): there chi is 1" in " ".join(outlook(one))


def test_batch_norm_grows_the_gradient_by_batch_size() -> None:
    one = explained(hidden=[300] * 7, norm={"placement": "pre"}, init={"scheme": "small_normal"})
    assert one.gradient is not None
    assert (one.gradient.first, one.gradient.last) == (7, 2)
    assert one.outlook is not None
    assert one.outlook.chi == pytest.approx(1.543, abs=0.001), "24 images"
    assert one.outlook.large_batch_chi == pytest.approx(np.pi / (np.pi - 1))
    assert "In batches of 24, chi = 1.54" in " ".join(outlook(one))


def test_the_networks_are_those_that_training_starts_with(tmp_path: Path) -> None:
    config = resolve(
        {
            "name": "same",
            "model": {"hidden": [6], "norm": {"input": True}},
            "train": {"epochs": 1, "batch_size": 40, "seeds": [3]},
        }
    )
    read = read_start(config, seeds=[3])
    (run,) = bninit.train(config, runs_dir=tmp_path)
    # The first step's batch is another one, so that losses are alike, not equal.
    assert float(read.loss[0]) == pytest.approx(float(run.step_losses()[0]), rel=0.15)
    assert read.num_examples == 40
    np.testing.assert_allclose((read.inputs**2).mean(axis=1).max(), 1.0, rtol=1e-3)


def test_labels_and_wrong_input(tmp_path: Path) -> None:
    small = {"name": "a", "model": {"hidden": [4]}}
    other = {"name": "a", "model": {"hidden": [5]}}
    found = bninit.explain([small, other])
    assert [one.label[:2] for one in found] == ["a-", "a-"]
    assert found[0].label != found[1].label
    folder = keep_explanations(found, runs_dir=tmp_path, name="mine")
    assert sorted(path.name for path in folder.iterdir()) == ["explain.json", "explain.png"]
    with pytest.raises(UserError, match="is given twice"):
        bninit.explain([small, small])
    with pytest.raises(UserError, match="no config"):
        bninit.explain([])
