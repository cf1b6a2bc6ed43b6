"""Every key: its default, what it takes, what it refuses, and how it fits with others."""

from collections.abc import Mapping
from typing import Any

import pytest

from bninit.config import Config, config_from_dict
from bninit.data.catalog import DATASETS
from bninit.errors import ConfigError
from bninit.nets.activations import ACTIVATIONS
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
    config = make()
    assert config.data.model_dump() == {"name": "mnist5k", "scale": "unit", "val_size": 500}
    assert config.model.hidden == (256, 256, 256)
    assert config.model.activation == "relu"
    assert config.model.bias is True
    assert config.model.norm.model_dump() == {
        "placement": "none",
        "input": False,
        "eps": 1e-5,
        "momentum": 0.1,
        "affine": True,
        "running": "ema",
    }
    assert config.model.init.scheme == "he_normal"
    assert (config.optim.name, config.optim.lr, config.optim.momentum) == ("sgd", 0.1, 0.9)
    assert config.optim.schedule.name == "constant"
    assert (config.train.epochs, config.train.batch_size, config.train.seeds) == (10, 128, (0,))
    assert (config.train.device, config.train.last_batch) == ("auto", "drop")
    assert (config.train.precision, config.train.tensorboard) == ("float32", False)
    assert config.targets == (0.95, 0.97, 0.98)


def test_null_and_an_empty_section_mean_the_default() -> None:
    assert make(data=None, model={"norm": None, "hidden": None}, optim={"lr": None}) == make()
    assert make(data={}, model={}, optim={}, train={}) == make()


@pytest.mark.parametrize("name", list(DATASETS))
def test_validation_size_follows_the_data_set(name: str) -> None:
    dataset = DATASETS[name]
    config = make(data={"name": name})
    assert config.data.val_size == dataset.default_val_size
    assert config.data.num_train == dataset.num_train - dataset.default_val_size
    largest = make(data={"name": name, "val_size": dataset.num_train - 1}, train={"batch_size": 1})
    assert largest.data.num_train == 1
    message = error_of(data={"name": name, "val_size": dataset.num_train})
    assert "data.val_size" in message
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


@pytest.mark.parametrize(
    ("optim", "key", "takes"),
    [
        ({"name": "sgd", "betas": [0.9, 0.99]}, "betas", "sgd takes lr, momentum, nesterov"),
        ({"name": "sgd", "eps": 1e-8}, "eps", "sgd takes"),
        ({"name": "adam", "momentum": 0.9}, "momentum", "adam takes lr, weight_decay, betas, eps"),
        ({"name": "adamw", "nesterov": True}, "nesterov", "adamw takes"),
        ({"schedule": {"step_epochs": 3}}, "schedule.step_epochs", "constant takes no parameters"),
        ({"schedule": {"name": "cosine", "factor": 0.5}}, "schedule.factor", "cosine takes min_lr"),
        (
            {"schedule": {"name": "step", "step_epochs": 1, "min_lr": 0.01}},
            "schedule.min_lr",
            "step takes step_epochs, factor",
        ),
    ],
)
def test_what_an_optimiser_or_schedule_does_not_take_is_refused(
    optim: Mapping[str, object], key: str, takes: str
) -> None:
    message = error_of(optim=optim)
    assert f"optim.{key}: " in message
    assert takes in message


def test_schedules_resolve_and_check_their_parameters() -> None:
    def schedule_of(value: object) -> object:
        return make(optim={"schedule": value}).optim.schedule

    assert schedule_of("cosine") == CosineSchedule(min_lr=0.0)
    assert schedule_of({"name": "step", "step_epochs": 3}) == StepSchedule(
        step_epochs=3, factor=0.1
    )
    assert schedule_of("constant") == schedule_of({}) == schedule_of(None) == ConstantSchedule()
    assert "optim.schedule.step_epochs: this key is missing" in error_of(optim={"schedule": "step"})
    assert "did you mean cosine?" in error_of(optim={"schedule": "cosin"})
    too_high = {"lr": 0.1, "schedule": {"name": "cosine", "min_lr": 0.2}}
    assert "0.2 is above the first, lr 0.1" in error_of(optim=too_high)


def test_nesterov_needs_momentum() -> None:
    assert make(optim={"nesterov": True}).optim.nesterov
    assert "optim.nesterov: " in error_of(optim={"nesterov": True, "momentum": 0})


@pytest.mark.parametrize("name", list(SCHEMES))
@pytest.mark.parametrize(
    ("key", "value"),
    [("gain", 2.0), ("std", 0.5), ("limit", 0.5), ("value", 0.5), ("truncated", True)],
)
def test_schemes_take_their_parameters_and_refuse_others(name: str, key: str, value: Any) -> None:
    scheme = SCHEMES[name]
    needed = dict.fromkeys(scheme.needs, 0.25)
    init = {"scheme": name, **needed, key: value}
    if key in scheme.takes:
        assert getattr(init_of(**init), key) == value
    else:
        message = error_of(model={"init": init})
        assert f"model.init.{key}: {name} does not take this key" in message
        for taken in scheme.takes:
            assert taken in message.splitlines()[1]


@pytest.mark.parametrize("name", [name for name in SCHEMES if SCHEMES[name].needs])
def test_parameters_without_default_are_demanded(name: str) -> None:
    [key] = SCHEMES[name].needs
    assert f"model.init.{key}: {name} needs this key" in error_of(model={"init": {"scheme": name}})


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
    assert init_of(scheme="he_normal").bias.scheme == "zeros"
    assert init_of(scheme="torch_default").bias.scheme == "torch_default"
    assert init_of(bias=0.1) == init_of(bias={"scheme": "constant", "value": 0.1})
    assert init_of(bias=0).bias.value == 0.0
    assert init_of(bias={"scheme": "normal", "std": 2}).bias.std == 2.0
    cases = {
        "model.init.bias.scheme: this key is missing": {"value": 0.1},
        "model.init.bias.value: zeros does not take": {"scheme": "zeros", "value": 0.1},
        "model.init.bias.limit: uniform needs": {"scheme": "uniform"},
        "model.init.bias: true is not a mapping": True,
        "model.init.bias.value: 10000000.0 is out of range": 1e7,
    }
    for said, bias in cases.items():
        assert said in error_of(model={"init": {"bias": bias}})


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_has_its_name(name: str) -> None:
    assert make(model={"activation": name}).model.activation == name


def test_names_are_not_read_with_other_letters() -> None:
    assert "did you mean relu?" in error_of(model={"activation": "ReLU"})


def test_seeds_are_a_count_or_a_list() -> None:
    assert make(train={"seeds": 3}).train.seeds == (0, 1, 2)
    assert make(train={"seeds": [7, 0, 2**32 - 1]}).train.seeds == (7, 0, 2**32 - 1)
    bad = [0, -1, 10_001, 10**50, [], [1, 1], [-1], [2**32], [0.5], [True], True, "3", 2.0, {}]
    for seeds in bad:
        assert "train.seeds" in error_of(train={"seeds": seeds})


def test_targets_are_sorted_fractions() -> None:
    assert make(targets=[0.98, 1, 0.5, 0.98]).targets == (0.5, 0.98, 1.0)
    assert make(targets=[]).targets == ()
    assert "write 0.97" in error_of(targets=[97])
    for target in (0, -0.1, 101, "0.9", True, None, float("nan")):
        assert "targets[0]" in error_of(targets=[target])


def test_names_stay_inside_the_runs_folder() -> None:
    for name in ("a", "bn-pre_1.2", "0", "A" * 64):
        assert config_from_dict({"name": name}).name == name
    bad = ["", ".", "..", "../a", "a/b", "a\\b", "-a", ".a", "a b", "a\n", "é", "A" * 65, "C:x"]
    for name in bad:
        with pytest.raises(ConfigError, match="name"):
            config_from_dict({"name": name})
    with pytest.raises(ConfigError, match="a-b would do"):
        config_from_dict({"name": "../a b"})


def test_devices() -> None:
    for device in ("auto", "cpu", "cuda", "cuda:0", "cuda:12"):
        assert make(train={"device": device}).train.device == device
    for bad in ("gpu", "cuda:", "cuda:-1", "cuda:01", "cuda:100", "CPU", "cpu\n", "mps", 0):
        assert "train.device" in error_of(train={"device": bad})


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
        if value != 10**400:
            assert f"{section}.{key}: " in error_of(**place(value))
        else:
            assert "digits" in error_of(**place(value))


def test_widths_and_depth_are_bounded() -> None:
    assert make(model={"hidden": [4096] * 1000}).model.hidden[-1] == 4096
    assert make(model={"hidden": []}).model.hidden == ()
    assert "1001 entries\n  at most 1000" in error_of(model={"hidden": [1] * 1001})
    for hidden in ([0], [4097], [64.0], ["64"], [True], 64, "64", {"64": 1}, [[64]]):
        assert "model.hidden" in error_of(model={"hidden": hidden})


def test_betas_are_two() -> None:
    betas = make(optim={"name": "adam", "betas": [0, 0.5]}).optim.betas
    assert betas == (0.0, 0.5)
    for bad in ([0.9], [0.9, 0.9, 0.9], [0.9, 1], [-0.1, 0.9], 0.9, [], "ab"):
        assert "optim.betas" in error_of(optim={"name": "adam", "betas": bad})


@pytest.mark.parametrize("norm", [{"placement": "pre"}, {"placement": "post"}, {"input": True}])
def test_batch_norm_never_sees_a_batch_of_one(norm: Mapping[str, object]) -> None:
    # 4,000 images: 3,500 to train on at first; then 3,501, of which batches of 100 leave one.
    model = {"norm": norm}
    assert "train.batch_size: batch norm" in error_of(model=model, train={"batch_size": 1})
    make(model=model, train={"batch_size": 2})
    data = {"val_size": 499}
    message = error_of(model=model, data=data, train={"batch_size": 100, "last_batch": "keep"})
    assert "train.last_batch: keep leaves a last batch of 1" in message
    assert "set last_batch to drop" in message
    make(model=model, data=data, train={"batch_size": 100, "last_batch": "drop"})
    make(model=model, train={"batch_size": 100, "last_batch": "keep"})
    make(data=data, train={"batch_size": 100, "last_batch": "keep"})
    make(train={"batch_size": 1})


def test_a_batch_fits_the_training_set() -> None:
    assert make(train={"batch_size": 3500}).iterations_per_epoch == 1
    message = error_of(train={"batch_size": 3501})
    assert "train.batch_size: a batch of 3501 is more than the 3500 training images" in message


def test_iterations_per_epoch_of_the_notes() -> None:
    # N9: 100 data points in batches of 4 are 25 iterations.
    data = {"val_size": 3900}
    assert make(data=data, train={"batch_size": 4}).iterations_per_epoch == 25
    assert make(data=data, train={"batch_size": 33}).iterations_per_epoch == 3
    kept = make(data=data, train={"batch_size": 33, "last_batch": "keep"})
    assert kept.iterations_per_epoch == 4


def test_hidden_norm_needs_hidden_layers() -> None:
    message = error_of(model={"hidden": [], "norm": {"placement": "pre"}})
    assert "model.norm.placement: pre has no place" in message
    assert make(model={"hidden": [], "norm": {"input": True}}).model.has_norm
    assert not make().model.has_norm


def test_another_schema_version_is_refused() -> None:
    assert make(schema_version=1) == make()
    assert "newer" in error_of(schema_version=2)
    assert "unknown" in error_of(schema_version=0)


def test_configs_are_frozen_equal_and_hashable() -> None:
    config = make()
    with pytest.raises(ValueError, match="frozen"):
        config.optim.lr = 1.0  # type: ignore[misc]
    assert hash(config) == hash(make())
    assert config != make(optim={"lr": 0.2})


def test_dumped_models_are_configs_again() -> None:
    config = make(optim={"name": "adam"}, model={"init": {"scheme": "zeros"}})
    assert config_from_dict(config.model_dump()) == config
    assert config_from_dict(config.model_dump(mode="json", exclude_none=True)) == config


def test_sections_can_be_built_alone() -> None:
    optim = AdamWSettings(lr=0.1)
    assert optim.weight_decay == 0.01
    assert Config(name="a", optim=optim).optim is optim
