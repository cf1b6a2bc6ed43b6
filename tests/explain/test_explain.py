"""``bninit explain``: every kind of start, its figures and sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import running

import bninit
from bninit.errors import UserError
from bninit.verbs.explain.measure import Explanation
from bninit.verbs.explain.words import theory, verdict


def explained(seeds: range | None = None, **model: Any) -> Explanation:
    config = {"name": "some", "model": model, "train": {"batch_size": 24}}
    return bninit.explain(config, seeds=seeds)[0]


DEGENERATE = {
    "zeros": "{scheme: zeros, bias: 0.5}",
    "constant": "{scheme: constant, value: -3.0}",
    "large": "{scheme: normal, std: 1.0e+6}",
    "small": "{scheme: normal, std: 1.0e-30}",
    "uniform": "{scheme: uniform, limit: 0.1, bias: {scheme: uniform, limit: 1.0}}",
}


@pytest.mark.parametrize("placement", ["none", "post"])
def test_degenerate_starts_have_no_infinities(placement: str, tmp_path: Path) -> None:
    for name, init in DEGENERATE.items():
        model = f"{{hidden: [9, 9, 9, 9, 9, 9, 9], norm: {{placement: {placement}}}, init: {init}}}"
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nmodel: {model}\n")
    files = [f"{name}.yaml" for name in DEGENERATE]
    shown = running.bninit("explain", *files, "--name", "five", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Side by side" in shown.stdout
    words = shown.stdout.lower().replace("/", " ").replace("(", " ").split()
    assert not {"nan", "inf", "-inf", "none,"} & set(words)
    folder = tmp_path / "runs" / "explain" / "five"
    assert "runs/explain/five" in shown.stderr
    assert (folder / "explain.png").read_bytes().startswith(b"\x89PNG")

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    kept = json.loads((folder / "explain.json").read_text(), parse_constant=refuse)
    assert [one["name"] for one in kept] == list(DEGENERATE)
    assert [one["is_symmetric"] for one in kept] == [True, True, False, False, False]
    assert [len(one["layers"]) for one in kept] == [8] * 5
    assert (kept[0]["gradient_per_layer"]["measured"], kept[0]["outlook"]) == (None, None)
    assert all(one["verdict"] and one["theory"] for one in kept)
    as_json = running.bninit("explain", "zeros.yaml", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout) == kept[:1]


def test_overflow() -> None:
    one = explained(hidden=[9] * 7, init={"scheme": "normal", "std": 1e6})
    assert (one.overflow, one.loss) == ("hidden 6", None)
    assert "Numbers overflow float32 in hidden 6" in verdict(one)[0]
    assert one.layers[0].linear.measured is not None
    assert one.layers[-1].linear.measured is None


def test_a_norm_without_a_theory_is_measured_and_not_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model: dict[str, Any] = {"hidden": [8, 8, 8], "norm": {"placement": "pre"}}
    with_theory = explained(**model)
    monkeypatch.setattr("bninit.verbs.explain.measure.NORM_THEORIES", {})
    one = explained(**model)
    assert with_theory.layers[1].linear.predicted is not None
    assert with_theory.outlook is not None
    assert [layer.linear.predicted for layer in one.layers] == [None] * 4
    assert one.layers[1].linear.measured == with_theory.layers[1].linear.measured
    assert one.outlook is None
    assert verdict(one)


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
    # 1 / sqrt(3) for small signals.
    assert gradient.measured == pytest.approx(3**-0.5, rel=0.03)
    assert gradient.predicted == pytest.approx(3**-0.5, rel=0.03)
    assert one.outlook is not None
    assert one.outlook.chi == pytest.approx(1 / 3, rel=0.02)
    said = next(line for line in verdict(one) if "gradient" in line)
    assert "is multiplied by 0.5" in said
    assert "after 9 layers, at hidden 1, it is 1/1" in said
    assert said.endswith("It vanishes (N18).")
    advised = " ".join(theory(one))
    assert "variance of the weights is 1 / fan_in (lecun_normal): there chi is 1" in advised
    assert 'The lecture notes call this law "Xavier normal" (N20)' in advised


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


def test_configs_of_one_name_are_told_apart_by_id() -> None:
    small, other = ({"name": "a", "model": {"hidden": [units]}} for units in (4, 5))
    first, second = (one.name for one in bninit.explain([small, other]))
    assert first.startswith("a-")
    assert first != second
    with pytest.raises(UserError, match="no config"):
        bninit.explain([])
