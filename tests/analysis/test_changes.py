"""Settings that differ from the defaults: each, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from bninit.arms import changed_settings
from bninit.config import config_from_dict


def changed(**sections: Any) -> dict[str, object]:
    return changed_settings(config_from_dict({"name": "x", **sections}))


def test_a_bare_config_changes_nothing() -> None:
    assert changed() == {}


def test_what_is_written_out_as_it_would_be_changes_nothing() -> None:
    assert (
        changed(
            optim={"name": "sgd", "lr": 0.1, "momentum": 0.9},
            model={"init": {"scheme": "he_normal", "bias": {"scheme": "zeros"}}},
            train={"epochs": 10, "seeds": [3, 4]},
        )
        == {}
    )


def test_a_setting_is_held_against_the_default_of_its_kind() -> None:
    assert changed(optim={"name": "adam", "lr": 0.001}) == {"optim.name": "adam"}
    assert changed(optim={"name": "adam", "lr": 0.1}) == {"optim.name": "adam", "optim.lr": 0.1}
    assert "data.val_size" not in changed(data={"name": "mnist", "val_size": 5000})


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"model": {"hidden": [5]}}, {"model.hidden": [5]}),
        ({"model": {"norm": {"placement": "pre"}}}, {"model.norm.placement": "pre"}),
        (
            {"model": {"init": {"scheme": "normal", "std": 0.3}}},
            {"model.init.scheme": "normal", "model.init.std": 0.3},
        ),
        (
            {"model": {"init": {"bias": 0.1}}},
            {"model.init.bias.scheme": "constant", "model.init.bias.value": 0.1},
        ),
        ({"targets": [0.9]}, {"targets": [0.9]}),
        ({"train": {"precision": "float64"}}, {"train.precision": "float64"}),
    ],
)
def test_each_change_is_told_by_its_key(
    sections: dict[str, Any], expected: dict[str, object]
) -> None:
    assert changed(**sections) == expected


def test_the_changes_alone_give_the_same_config_again() -> None:
    sections = {
        "data": {"name": "kmnist", "scale": "raw"},
        "model": {"norm": {"placement": "post", "eps": 1e-3}, "init": {"scheme": "orthogonal"}},
        "optim": {"name": "adamw", "weight_decay": 0.2, "schedule": "cosine"},
        "train": {"last_batch": "keep"},
    }
    config = config_from_dict({"name": "x", **sections})
    again: dict[str, Any] = {"name": "x"}
    for key, value in changed_settings(config).items():
        *above, last = key.split(".")
        section = again
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    assert config_from_dict(again) == config
