"""The JSON Schema and the loader agree, as judged by the jsonschema package."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bninit.config import (
    config_from_dict,
    config_to_yaml,
    json_schema,
    parse_yaml,
    starter,
)
from bninit.errors import ConfigError
from bninit.fields import Place

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_it_is_a_schema_and_json() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_key_is_described() -> None:
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        for key, part in section["properties"].items():
            assert part["description"], key


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"train": {"seeds": 5}},
        {"train": {"seeds": [0, 3, 7]}},
        {"optim": {"schedule": "cosine"}},
        {"optim": {"schedule": {"name": "step", "step_epochs": 3}}},
        {"optim": {"name": "adam", "betas": [0.5, 0.9], "lr": 1}},
        {"model": {"init": {"bias": 0.1}}},
        {"model": {"init": {"bias": {"scheme": "uniform", "limit": 0.1}}}},
        {"model": {"init": {"scheme": "kaiming_normal"}, "hidden": []}},
        {"model": None, "data": {"val_size": None}, "targets": None},
        {"schema_version": 1, "targets": [1]},
        {"train": {"device": "cuda:3"}},
    ],
)
def test_what_loads_is_valid(sections: dict[str, Any]) -> None:
    values = {"name": "a", **sections}
    config = config_from_dict(values)
    VALIDATOR.validate(values)
    VALIDATOR.validate(parse_yaml(config_to_yaml(config), place=Place("x")).value)


def test_the_starter_is_valid() -> None:
    VALIDATOR.validate(parse_yaml(starter("a"), place=Place("x")).value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"name": None},
        {"name": "a/b"},
        {"name": 3},
        {"name": "a", "lr": 0.1},
        {"name": "a", "data": {"name": "cifar"}},
        {"name": "a", "data": "mnist"},
        {"name": "a", "model": {"hidden": [0]}},
        {"name": "a", "model": {"hidden": [4097]}},
        {"name": "a", "model": {"hidden": ["64"]}},
        {"name": "a", "model": {"hidden": [1] * 1001}},
        {"name": "a", "model": {"bias": "no"}},
        {"name": "a", "model": {"init": {"scheme": "he"}}},
        {"name": "a", "model": {"init": {"bias": "zeros"}}},
        {"name": "a", "model": {"init": {"bias": {"value": 1}}}},
        {"name": "a", "optim": {"schedule": "linear"}},
        {"name": "a", "optim": {"lr": 0}},
        {"name": "a", "optim": {"name": "adam", "betas": [0.9]}},
        {"name": "a", "train": {"seeds": 0}},
        {"name": "a", "train": {"seeds": []}},
        {"name": "a", "train": {"seeds": "5"}},
        {"name": "a", "train": {"device": "tpu"}},
        {"name": "a", "train": {"epochs": True}},
        {"name": "a", "targets": [1.5]},
        {"name": "a", "schema_version": 2},
    ],
)
def test_both_refuse(values: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(ConfigError):
        config_from_dict(values)
