"""Every key: its default, what it takes, and how it fits with others; starter and JSON Schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bninit.config import (
    Config,
    config_from_dict,
    config_to_yaml,
    json_schema,
    load_config,
    starter,
)
from bninit.config.source import Place
from bninit.config.yaml_source import parse_yaml
from bninit.data.catalog import DATASETS
from bninit.errors import ConfigError
from bninit.fields import all_keys
from bninit.nets.initialisers import ALIASES, SCHEMES
from bninit.training.settings import AdamWSettings, ConstantSchedule, CosineSchedule, StepSchedule


def make(**sections: Any) -> Config:
    return config_from_dict({"name": "a", **sections})


def error_of(**sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make(**sections)
    return str(caught.value)


def init_of(**init: Any) -> Any:
    return make(model={"init": init}).model.init


def test_a_name_is_all_that_a_config_needs() -> None:
    config = make()  # what decides its result stands written out in test_identity.py
    assert (config.train.seeds, config.train.device, config.train.tensorboard) == (
        (0,),
        "auto",
        False,
    )
    assert config.targets == (0.95, 0.97, 0.98)
    assert (config.probes.enabled, config.probes.batch_size, config.probes.units) == (False, 128, 3)
    assert config.probes.groups == ("signals", "gradients", "units", "batch_norm")
    assert make(data=None, model={"norm": None, "hidden": None}, optim={"lr": None}) == config
    assert make(data={}, model={}, optim={}, train={}) == config


@pytest.mark.parametrize("name", list(DATASETS))
def test_validation_size_follows_the_data_set(name: str) -> None:
    dataset = DATASETS[name]
    config = make(data={"name": name})
    assert config.data.val_size == dataset.default_val_size
    assert config.data.num_train == dataset.num_train - dataset.default_val_size
    largest = make(data={"name": name, "val_size": dataset.num_train - 1}, train={"batch_size": 1})
    assert largest.data.num_train == 1
    message = error_of(data={"name": name, "val_size": dataset.num_train})
    assert f"at most {dataset.num_train - 1}" in message


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}),
        ("adam", {"lr": 0.001, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-8}),
        ("adamw", {"lr": 0.001, "weight_decay": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}),
    ],
)
def test_optimiser_defaults_follow_its_name(name: str, resolved: dict[str, object]) -> None:
    optim = make(optim={"name": name}).optim
    assert optim.model_dump() == {"name": name, **resolved, "schedule": {"name": "constant"}}
    # Null, and what changes nothing, may stand beside every optimiser.
    everything = dict.fromkeys(("momentum", "betas", "eps"))
    assert make(optim={"name": name, **everything, "nesterov": False}).optim == optim


def test_schedules_resolve() -> None:
    def schedule_of(value: object) -> object:
        return make(optim={"schedule": value}).optim.schedule

    assert schedule_of("cosine") == CosineSchedule(min_lr=0.0)
    assert schedule_of({"name": "step", "step_epochs": 3}) == StepSchedule(
        step_epochs=3, factor=0.1
    )
    assert schedule_of("constant") == schedule_of({}) == schedule_of(None) == ConstantSchedule()


@pytest.mark.parametrize("name", list(SCHEMES))
@pytest.mark.parametrize(
    ("key", "value"),
    [("gain", 2.0), ("std", 0.5), ("limit", 0.5), ("value", 0.5), ("truncated", True)],
)
def test_schemes_take_their_parameters_and_refuse_others(name: str, key: str, value: Any) -> None:
    scheme = SCHEMES[name]
    init = {"scheme": name, **dict.fromkeys(scheme.needs, 0.25), key: value}
    if key in scheme.takes:
        assert getattr(init_of(**init), key) == value
    else:
        message = error_of(model={"init": init})
        assert f"model.init.{key}: {name} does not take this key" in message
        assert all(taken in message.splitlines()[1] for taken in scheme.takes)
    if key in scheme.needs:
        needs = f"model.init.{key}: {name} needs this key"
        assert needs in error_of(model={"init": {"scheme": name}})


@pytest.mark.parametrize("alias", list(ALIASES))
def test_aliases_become_the_scheme_that_they_mean(alias: str) -> None:
    canonical, parameters = ALIASES[alias]
    assert init_of(scheme=alias) == init_of(scheme=canonical, **parameters)
    assert init_of(scheme=alias).scheme == canonical
    for key, value in parameters.items():
        assert init_of(scheme=alias, **{key: value}) == init_of(scheme=alias)
        message = error_of(model={"init": {"scheme": alias, key: value * 2}})
        assert f"{alias} means {canonical} with {key} {value}" in message


def test_biases_follow_the_scheme_and_have_short_forms() -> None:
    assert init_of(scheme="torch_default").bias.scheme == "torch_default"
    assert init_of(bias=0.1) == init_of(bias={"scheme": "constant", "value": 0.1})
    assert init_of(bias=0).bias.value == 0.0
    assert init_of(bias={"scheme": "normal", "std": 2}).bias.std == 2.0


def test_seeds_targets_and_probes_have_short_forms() -> None:
    assert make(train={"seeds": 3}).train.seeds == (0, 1, 2)
    assert make(train={"seeds": [7, 0, 2**32 - 1]}).train.seeds == (7, 0, 2**32 - 1)
    assert make(targets=[0.98, 1, 0.5, 0.98]).targets == (0.5, 0.98, 1.0)
    assert make(targets=[]).targets == ()
    assert make(probes=True) == make(probes={"enabled": True}) == make(probes={"units": 3})
    assert make(probes=False) == make(probes={}) == make()


def test_names_and_devices() -> None:
    for name in ("a", "bn-pre_1.2", "0", "A" * 64):
        assert config_from_dict({"name": name}).name == name
    for device in ("auto", "cpu", "cuda", "cuda:0", "cuda:12"):
        assert make(train={"device": device}).train.device == device


@pytest.mark.parametrize(
    ("section", "key", "low", "high", "too_low", "too_high"),
    [
        ("data", "val_size", 1, 3000, 0, 10**18),
        ("norm", "eps", 1e-300, 1, 0, 1.1),
        ("norm", "momentum", 1e-9, 1, 0.0, 1.5),
        ("init", "gain", 1e-9, 1e6, 0, 1e7),
        ("optim", "lr", 1e-12, 1e4, 0, 2e4),
        ("optim", "momentum", 0, 0.999, -0.1, 1),
        ("optim", "weight_decay", 0, 1000, -1e-9, 1001),
        ("train", "epochs", 1, 100_000, 0, 100_001),
        ("train", "batch_size", 1, 3500, 0, 60_001),
    ],
)
def test_ranges(section: str, key: str, low: Any, high: Any, too_low: Any, too_high: Any) -> None:
    def place(value: object) -> dict[str, Any]:
        inner = {section: {key: value}}
        return {"model": inner} if section in ("norm", "init") else inner

    for value in (low, high):
        make(**place(value) if key != "val_size" else {**place(value), "train": {"batch_size": 1}})
    for value in (too_low, too_high, 10**400, float("inf"), float("nan"), True, "1", [1]):
        said = "digits" if value == 10**400 else f"{section}.{key}: "
        assert said in error_of(**place(value))


@pytest.mark.parametrize("norm", [{"placement": "pre"}, {"placement": "post"}, {"input": True}])
def test_batch_norm_never_sees_a_batch_of_one(norm: Mapping[str, object]) -> None:
    # 4,000 images: 3,500 to train on at first; then 3,501, of which batches of 100 leave one.
    model = {"norm": norm}
    assert "train.batch_size: batch norm" in error_of(model=model, train={"batch_size": 1})
    make(model=model, train={"batch_size": 2})
    data = {"val_size": 499}
    message = error_of(model=model, data=data, train={"batch_size": 100, "last_batch": "keep"})
    assert "train.last_batch: keep leaves a last batch of 1" in message
    make(model=model, data=data, train={"batch_size": 100, "last_batch": "drop"})
    make(model=model, train={"batch_size": 100, "last_batch": "keep"})
    make(data=data, train={"batch_size": 100, "last_batch": "keep"})
    make(train={"batch_size": 1})


def test_iterations_per_epoch_of_the_notes() -> None:
    # N9: 100 data points in batches of 4 are 25 iterations.
    data = {"val_size": 3900}
    assert make(data=data, train={"batch_size": 4}).iterations_per_epoch == 25
    assert make(data=data, train={"batch_size": 33}).iterations_per_epoch == 3
    kept = make(data=data, train={"batch_size": 33, "last_batch": "keep"})
    assert kept.iterations_per_epoch == 4
    assert make(train={"batch_size": 3500}).iterations_per_epoch == 1


def test_configs_are_frozen_hashable_and_dump_to_themselves() -> None:
    config = make(optim={"name": "adam"}, model={"init": {"scheme": "zeros"}})
    with pytest.raises(ValueError, match="frozen"):
        config.optim.lr = 1.0
    assert config_from_dict(config.model_dump()) == config
    again = config_from_dict(config.model_dump(mode="json", exclude_none=True))
    assert (again, hash(again)) == (config, hash(config))
    assert config != make(optim={"lr": 0.2})
    optim = AdamWSettings(lr=0.1)
    assert optim.weight_decay == 0.01
    assert Config(name="a", optim=optim).optim is optim


def test_the_starter_loads_as_it_stands_and_explains_every_key(tmp_path: Path) -> None:
    path = tmp_path / "first.yaml"
    path.write_text(starter("first"), encoding="utf-8")
    assert load_config(path) == config_from_dict({"name": "first"})
    with pytest.raises(ConfigError, match="cannot name a run"):
        starter("../x")
    lines = starter("first").splitlines()
    assert max(map(len, lines)) <= 100
    assert "  seeds: 1" in lines
    known = set(all_keys(Config))
    seen: set[tuple[str | int, ...]] = set()
    parents: list[str] = []
    for number, line in enumerate(lines):
        key, colon, _ = line.lstrip(" #").partition(":")
        is_comment = line.lstrip().startswith("#")
        here = (*parents[: (len(line) - len(line.lstrip())) // 2], key)
        if not colon or (is_comment and here not in known):
            continue
        assert lines[number - 1].lstrip().startswith("# "), line
        seen.add(here)
        if not is_comment:
            parents = list(here)
            continue
        # A key that is commented out is of the right type, and belongs to another choice.
        path.write_text(
            "\n".join([*lines[:number], line.replace("# ", "", 1), *lines[number + 1 :]])
        )
        with pytest.raises(
            ConfigError, match=f"first.yaml:{number + 1}: .* does not take this key"
        ):
            load_config(path)
    assert seen == known - {("schema_version",)}


SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_json_schema_is_one_and_describes_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        for key, part in section["properties"].items():
            assert part["description"], key
    VALIDATOR.validate(parse_yaml(starter("a"), place=Place("x")).value)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"train": {"seeds": 5, "device": "cuda:3"}},
        {"train": {"seeds": [0, 3, 7]}},
        {"optim": {"schedule": "cosine"}},
        {"optim": {"schedule": {"name": "step", "step_epochs": 3}}},
        {"optim": {"name": "adam", "betas": [0.5, 0.9], "lr": 1}},
        {"model": {"init": {"bias": 0.1}}},
        {"model": {"init": {"bias": {"scheme": "uniform", "limit": 0.1}}}},
        {"model": {"init": {"scheme": "kaiming_normal"}, "hidden": []}},
        {"model": None, "data": {"val_size": None}, "targets": None, "probes": True},
        {"schema_version": 1, "targets": [1]},
    ],
)
def test_what_loads_is_valid(sections: dict[str, Any]) -> None:
    VALIDATOR.validate({"name": "a", **sections})
    text = config_to_yaml(make(**sections))
    VALIDATOR.validate(parse_yaml(text, place=Place("x")).value)


@pytest.mark.parametrize(
    "sections",
    [
        *[{"name": name} for name in (None, "a/b", 3)],
        {"lr": 0.1},
        *[{"data": data} for data in ({"name": "cifar"}, "mnist")],
        *[{"model": {"hidden": hidden}} for hidden in ([0], [4097], ["64"], [1] * 1001)],
        {"model": {"bias": "no"}},
        *[{"model": {"init": init}} for init in ({"scheme": "he"}, {"bias": "zeros"})],
        {"model": {"init": {"bias": {"value": 1}}}},
        *[{"optim": optim} for optim in ({"schedule": "linear"}, {"lr": 0})],
        {"optim": {"name": "adam", "betas": [0.9]}},
        *[{"train": {"seeds": seeds}} for seeds in (0, [], "5")],
        *[{"train": train} for train in ({"device": "tpu"}, {"epochs": True})],
        {"targets": [1.5]},
        {"schema_version": 2},
    ],
)
def test_schema_and_loader_refuse(sections: dict[str, Any]) -> None:
    values = {"name": "a", **sections}
    assert not VALIDATOR.is_valid(values)
    with pytest.raises(ConfigError):
        config_from_dict(values)
