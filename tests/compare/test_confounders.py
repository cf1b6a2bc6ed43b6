"""Settings that vary between arms, and the warnings that follow."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from bninit.arms import Arm
from bninit.config import arm_id, config_from_dict
from bninit.verbs.compare.confounders import (
    confounders,
    data_limits,
    pairing_limits,
    short_names,
    timing_limits,
    varied_settings,
)


def arm(name: str, **changes: Any) -> Arm:
    values: dict[str, object] = {"name": name, "train": {"batch_size": 100, "seeds": [3]}}
    overrides = [f"{key.replace('__', '.')}={value}" for key, value in changes.items()]
    config = config_from_dict(values, overrides=overrides)
    return Arm(name=name, id=arm_id(config), config=config, runs=())


def warned(*arms: Arm) -> list[str]:
    labels = [one.name for one in arms]
    return confounders(varied_settings(arms), labels=labels, baseline=0)


def test_only_settings_that_vary_are_listed() -> None:
    arms = [arm("a"), arm("b", model__norm__placement="pre"), arm("c", optim__lr=0.5)]
    assert varied_settings(arms) == {
        "model.norm.placement": ("none", "pre", "none"),
        "optim.lr": (0.1, 0.1, 0.5),
    }
    assert varied_settings(arms[:1] * 2) == {}


def test_a_parameter_that_some_arms_do_not_have_varies_unless_it_is_the_default() -> None:
    with_default, without = arm("a", model__norm__placement="pre"), arm("b")
    assert "model.norm.momentum" in with_default.settings
    assert list(varied_settings([with_default, without])) == ["model.norm.placement"]
    other = arm("c", model__norm__placement="pre", model__norm__momentum=0.3)
    assert varied_settings([other, without])["model.norm.momentum"] == (0.3, None)
    small = arm("d", model__init="{scheme: normal, std: 0.01}")
    assert varied_settings([small, without])["model.init.std"] == (0.01, None)


def test_names_of_keys_are_as_short_as_they_are_unique() -> None:
    assert short_names(["model.norm.placement", "model.init.scheme", "model.init.bias.scheme"]) == {
        "model.norm.placement": "placement",
        "model.init.scheme": "init.scheme",
        "model.init.bias.scheme": "bias.scheme",
    }


@pytest.mark.parametrize(
    ("key", "value", "noun"),
    [
        ("optim__lr", 0.5, "learning rate"),
        ("train__batch_size", 50, "batch size"),
        ("train__epochs", 20, "number of epochs"),
        ("data__scale", "raw", "scaling of the pixels"),
        ("train__precision", "float64", "precision"),
        ("optim__momentum", 0.5, "optimiser's settings"),
        ("optim__schedule", "cosine", "learning-rate schedule"),
    ],
)
def test_a_difference_in_training_beside_another_one_is_warned_of(
    key: str, value: object, noun: str
) -> None:
    alone = arm("b", **{key: value})
    both = arm("c", model__norm__placement="pre", **{key: value})
    assert warned(arm("a"), alone) == []
    (warning,) = warned(arm("a"), both)
    assert warning.startswith(f"The {noun} differs, too (c ")


def test_settings_of_the_network_may_differ_together() -> None:
    both = arm(
        "b", model__norm__placement="pre", model__init="{scheme: zeros}", model__activation="tanh"
    )
    assert warned(arm("a"), both) == []


def test_another_optimiser_brings_its_own_learning_rate() -> None:
    assert warned(arm("a"), arm("b", optim__name="adam")) == []
    (warning,) = warned(arm("a"), arm("b", optim__name="adam", model__norm__placement="pre"))
    assert "optimiser differs" in warning


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({"optim__lr": 0.5}, []),
        ({"train__batch_size": 50}, ["b and a did not see the same batches"]),
        ({"model__hidden": [8]}, ["b and a do not start from the same raw draws"]),
        (
            {"data__name": "kmnist"},
            ["b and a did not see the same batches", "b and a are tested on different images"],
        ),
    ],
)
def test_pairs_with_unlike_batches_or_layers_are_warned_of(
    changes: dict[str, Any], warnings: list[str]
) -> None:
    varied = varied_settings([arm("a"), arm("b", **changes)])
    found = pairing_limits(varied, labels=["a", "b"], baseline=0)
    assert len(found) == len(warnings)
    assert all(text.startswith(start) for text, start in zip(found, warnings, strict=True))


def test_timings_of_unlike_stacks_or_machines_are_warned_of() -> None:
    runs = pd.DataFrame(
        {
            "label": ["a", "a", "b", "b"],
            "stack_size": [5, 5, 5, 5],
            "machine": ["X with 2 threads", None, "X with 2 threads", None],
        }
    )
    assert timing_limits(runs) == []
    (warning,) = timing_limits(runs.assign(stack_size=[5, 5, 10, 10]))
    assert "(a: 5, b: 10)" in warning
    (warning,) = timing_limits(runs.assign(machine=["X", "X", "X", "Y"]))
    assert "(a: X, b: X and Y)" in warning


def test_different_contents_of_one_data_set_are_warned_of() -> None:
    runs = pd.DataFrame(
        {"label": ["a", "b"], "data.name": ["mnist", "mnist"], "data_checksum": ["1" * 64] * 2}
    )
    assert data_limits(runs) == []
    (warning,) = data_limits(runs.assign(data_checksum=["1" * 64, "2" * 64]))
    assert "a: 11111111, b: 22222222" in warning
    other = runs.assign(**{"data.name": ["mnist", "kmnist"]})
    assert data_limits(other.assign(data_checksum=["1" * 64, "2" * 64])) == []
