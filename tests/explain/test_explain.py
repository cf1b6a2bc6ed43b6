"""``bninit.explain``: every kind of start, and its sentences."""

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
from bninit.verbs.explain.explain import explanations_json, keep_explanations
from bninit.verbs.explain.measure import Explanation
from bninit.verbs.explain.tables import print_explanations
from bninit.verbs.explain.words import theory, verdict


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
def test_degenerate_starts_have_no_infinities(init: dict[str, Any], placement: str) -> None:
    one = explained(hidden=[9] * 7, norm={"placement": placement}, init=init)

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    (kept,) = json.loads(explanations_json([one]), parse_constant=refuse)
    assert len(kept["layers"]) == 8
    out = io.StringIO()
    print_explanations([one, one], console=Console(file=out, width=100))
    words = out.getvalue().lower().replace("/", " ").replace("(", " ").split()
    assert not {"nan", "inf", "-inf", "none,"} & set(words)
    assert verdict(one)


def test_overflow() -> None:
    one = explained(hidden=[9] * 7, init={"scheme": "normal", "std": 1e6})
    assert one.overflow == "hidden 6"
    assert one.loss is None
    assert "Numbers overflow float32 in hidden 6" in verdict(one)[0]
    assert one.layers[0].linear.measured is not None
    assert one.layers[-1].linear.measured is None


def test_equal_units_without_gradient() -> None:
    one = explained(hidden=[8] * 9, init={"scheme": "constant", "value": 0.5})
    said = " ".join(verdict(one))
    assert "All units of a hidden layer are duplicates" in said
    assert "No gradient reaches the hidden layers: with constant weights" in said
    assert [layer.distinct_units for layer in one.layers] == [*[1] * 9, None]
    assert one.gradient_fate is None


def test_a_deep_network_with_small_weights() -> None:
    one = explained(range(5), hidden=[60] * 10, activation="tanh", init={"scheme": "torch_default"})
    gradient = one.gradient_per_layer
    assert gradient is not None
    assert gradient.num_layers == 9
    assert gradient.measured == pytest.approx(3**-0.5, rel=0.03)
    assert one.gradient_fate == "vanishes"
    said = next(line for line in verdict(one) if "gradient" in line)
    assert "is multiplied by 0.5" in said
    assert "after 9 layers, at hidden 1, it is 1/1" in said
    assert said.endswith("It vanishes (N18).")
    assert one.outlook is not None
    assert one.outlook.chi == pytest.approx(1 / 3, rel=0.02)
    assert "(lecun_normal): there chi is 1" in " ".join(theory(one))


def test_batch_norm_grows_the_gradient_by_batch_size() -> None:
    one = explained(hidden=[300] * 7, norm={"placement": "pre"}, init={"scheme": "small_normal"})
    assert one.gradient_per_layer is not None
    assert (one.gradient_per_layer.first, one.gradient_per_layer.last) == (7, 2)
    assert one.outlook is not None
    assert one.outlook.chi == pytest.approx(1.543, abs=0.001), "24 images"
    assert one.outlook.large_batch_chi == pytest.approx(np.pi / (np.pi - 1))
    assert "In batches of 24, chi = 1.54" in " ".join(theory(one))


def test_the_networks_are_those_that_training_starts_with(tmp_path: Path) -> None:
    config = {
        "name": "same",
        "model": {"hidden": [6], "norm": {"input": True}},
        "train": {"epochs": 1, "batch_size": 40, "seeds": [3]},
    }
    (one,) = bninit.explain(config)
    (run,) = bninit.train(config, runs_dir=tmp_path)
    # The first step's batch is another one, so that losses are similar, not equal.
    assert one.loss == pytest.approx(float(run.step_losses()[0]), rel=0.15)
    assert (one.seeds, one.num_examples) == ((3,), 40)
    # Features that vary in the batch have mean square 1 after batch norm on the input, others 0.
    assert 0.3 < one.input_mean_square < 1


def test_names_and_wrong_input(tmp_path: Path) -> None:
    small = {"name": "a", "model": {"hidden": [4]}}
    other = {"name": "a", "model": {"hidden": [5]}}
    found = bninit.explain([small, other])
    assert [one.name[:2] for one in found] == ["a-", "a-"]
    assert found[0].name != found[1].name
    folder = keep_explanations(found, runs_dir=tmp_path, name="mine")
    assert sorted(path.name for path in folder.iterdir()) == ["explain.json", "explain.png"]
    with pytest.raises(UserError, match="is given twice"):
        bninit.explain([small, small])
    with pytest.raises(UserError, match="no config"):
        bninit.explain([])
