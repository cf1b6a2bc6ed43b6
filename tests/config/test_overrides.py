from collections.abc import Sequence

import pytest

from bninit.config import (
    Config,
    Override,
    apply_overrides,
    config_from_dict,
    parse_override,
    parse_seeds,
    parse_yaml,
)
from bninit.errors import ConfigError
from bninit.fields import Place

FILE = {
    "name": "a",
    "model": {"init": {"scheme": "normal", "std": 0.1}},
    "optim": {"momentum": 0.5, "schedule": "cosine"},
}


def override(*overrides: str | Override) -> Config:
    return config_from_dict(FILE, overrides=overrides)


def error_of(*overrides: str | Override) -> str:
    with pytest.raises(ConfigError) as caught:
        override(*overrides)
    return str(caught.value)


def test_values_follow_the_rules_of_yaml() -> None:
    config = override(
        "model.norm.placement=post",
        "optim.lr=1e-3",
        "model.hidden=[8, 4]",
        "train.seeds=3",
        " train.tensorboard = true ",
        'name="1e3"',
    )
    assert config.model.norm.placement == "post"
    assert config.optim.lr == 0.001
    assert config.model.hidden == (8, 4)
    assert config.train.seeds == (0, 1, 2)
    assert config.train.tensorboard is True
    assert config.name == "1e3"


def test_later_options_win_and_sections_can_be_set_whole() -> None:
    assert override("train.epochs=3", "train.epochs=4").train.epochs == 4
    assert override("model.init={scheme: zeros}").model.init.scheme == "zeros"
    assert override("optim.schedule={name: step, step_epochs: 2}").optim.schedule.step_epochs == 2
    both = override("optim={name: adam}", "optim.betas=[0.5, 0.6]")
    assert both.optim.betas == (0.5, 0.6)


def test_null_unsets() -> None:
    assert override("optim.momentum=null").optim.momentum == 0.9
    assert override("optim.momentum=").optim.momentum == 0.9
    assert override("model=").model.init.scheme == "he_normal"
    assert "name: this key is missing" in error_of("name=null")


def test_the_source_is_not_changed() -> None:
    source = parse_yaml("a: {b: 1}\n", place=Place("f.yaml"))
    changed = apply_overrides(source, ["a.b=2", "c.d=3"])
    assert source.value == {"a": {"b": 1}}
    assert changed.value == {"a": {"b": 2}, "c": {"d": 3}}
    assert str(changed.place_of(("a", "b"))) == "--set a.b=2"
    assert str(changed.place_of(("a",), of_key=True)) == "f.yaml:1"
    assert str(changed.place_of(("c", "d", "e"))) == "--set c.d=3"
    replaced = apply_overrides(source, ["a={b: 3}"])
    assert str(replaced.place_of(("a", "b"))) == "--set a={b: 3}"


def test_parameters_left_over_from_the_file_can_be_unset() -> None:
    message = error_of("model.init.scheme=he_normal")
    assert message.startswith("config: model.init.std: he_normal does not take this key")
    assert "or unset it with --set model.init.std=null" in message
    config = override("model.init.scheme=he_normal", "model.init.std=null")
    assert config.model.init.scheme == "he_normal"
    assert "unset" not in error_of("model.init.limit=2")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("model.norm.placment=post", "--set model.norm.placment=post: model.norm.placment: there"),
        ("train.epochs=ten", "--set train.epochs=ten: train.epochs: the text 'ten' is not"),
        ("train.epochs", "--set train.epochs: this is not KEY=VALUE"),
        ("=3", "this is not KEY=VALUE"),
        ("a..b=3", "this is not KEY=VALUE"),
        ("model.hidden=[1", "--set model.hidden=[1: this is not YAML"),
        ("model.hidden=!!set [1]", "the tag"),
        ("model.init={std: 1, std: 2}", "the key is given twice"),
        ("optim.schedule.min_lr=0.01", "optim.schedule is 'cosine', not a mapping"),
        ("name.x=1", "name is 'a', not a mapping"),
        ("\x1b[31m=1", "there is no such key"),
    ],
)
def test_faults_name_the_option(option: str, said: str) -> None:
    message = error_of(option)
    assert said in message
    assert message.startswith("--set ")
    assert "\x1b" not in message


def test_faults_of_all_options_are_told_at_once() -> None:
    message = error_of("a", "model.hidden=[", "train.epochs=1")
    assert [line.split(":")[0] for line in message.splitlines() if line.startswith("--set")] == [
        "--set a",
        "--set model.hidden=[",
    ]


def test_named_options_are_overrides_too() -> None:
    assert override(Override("train.epochs", 7, "--epochs 7")).train.epochs == 7
    message = error_of(Override("train.epochs", 0, "--epochs 0"))
    assert message.startswith("--epochs 0: train.epochs: 0 is out of range")


def test_parsing_an_option() -> None:
    assert parse_override("a.b=c=d") == Override("a.b", "c=d", "--set a.b=c=d")


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("5", range(5)),
        ("1", [0]),
        ("0,3,7", [0, 3, 7]),
        (" 7 , 3 ", [7, 3]),
        ("0-4", range(5)),
        ("7-7", [7]),
        ("7,", [7]),
        ("0-2,9", [0, 1, 2, 9]),
        ("4294967295,0", [2**32 - 1, 0]),
        ("10000", range(10_000)),
    ],
)
def test_seeds(text: str, seeds: Sequence[int]) -> None:
    assert parse_seeds(text) == tuple(seeds)


@pytest.mark.parametrize(
    "text",
    [
        *["", ",", "a", "0", "-1", "3-1", "1,1", "0-2,1", "1.5", "1;2", "10001", "0-10000", "1,,2"],
        *["4294967296,", "99999999999999", "٣", "0x1", "1 2", "0-9999999999"],
    ],
)
def test_bad_seeds_name_the_option(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_seeds(text)
    assert str(caught.value).startswith(f"--seeds {text}: ")
    assert "as in 5, or 0,3,7, or 0-4" in str(caught.value)
