"""Options win over the file: ``--set`` and ``--seeds``."""

from collections.abc import Sequence

import pytest

from bninit.config import Config, Override, config_from_dict, parse_seeds
from bninit.config.overrides import apply_overrides, parse_override
from bninit.config.source import Place
from bninit.config.yaml_source import parse_yaml
from bninit.errors import ConfigError

FILE = {
    "name": "a",
    "model": {"init": {"scheme": "normal", "std": 0.1}},
    "optim": {"momentum": 0.5, "schedule": "cosine"},
}


def override(*overrides: str | Override) -> Config:
    return config_from_dict(FILE, overrides=overrides)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["model.norm.placement=post"], {"model": {"norm": {"placement": "post"}}}),
        (["optim.lr=1e-3"], {"optim": {"lr": 0.001}}),
        (["model.hidden=[8, 4]"], {"model": {"hidden": (8, 4)}}),
        ([" train.tensorboard = true "], {"train": {"tensorboard": True}}),
        (['name="1e3"'], {"name": "1e3"}),
        (["train.epochs=3", "train.epochs=4"], {"train": {"epochs": 4}}),
        ([Override("train.epochs", 7, "--epochs 7")], {"train": {"epochs": 7}}),
        (["model.init={scheme: zeros}"], {"model": {"init": {"scheme": "zeros", "std": None}}}),
        (["optim={name: adam}", "optim.betas=[0.5, 0.6]"], {"optim": {"betas": (0.5, 0.6)}}),
        (["optim.momentum=null"], {"optim": {"momentum": 0.9}}),
        (["optim.momentum="], {"optim": {"momentum": 0.9}}),
        (["model="], {"model": {"init": {"scheme": "he_normal"}}}),
        (
            ["model.init.scheme=he_normal", "model.init.std=null"],
            {"model": {"init": {"scheme": "he_normal", "std": None}}},
        ),
    ],
)
def test_options_win(options: list[str | Override], expected: dict[str, object]) -> None:
    def check(values: dict[str, object], expected: dict[str, object]) -> None:
        for key, value in expected.items():
            if isinstance(value, dict):
                check(values[key], value)  # type: ignore[arg-type]
            else:
                assert values[key] == value

    check(override(*options).model_dump(), expected)


def test_the_source_is_not_changed_and_options_have_places() -> None:
    source = parse_yaml("a: {b: 1}\n", place=Place("f.yaml"))
    changed = apply_overrides(source, ["a.b=2", "c.d=3"])
    assert source.value == {"a": {"b": 1}}
    assert changed.value == {"a": {"b": 2}, "c": {"d": 3}}
    assert str(changed.place_of(("a", "b"))) == "--set a.b=2"
    assert str(changed.place_of(("a",), of_key=True)) == "f.yaml:1"
    assert str(changed.place_of(("c", "d", "e"))) == "--set c.d=3"
    replaced = apply_overrides(source, ["a={b: 3}"])
    assert str(replaced.place_of(("a", "b"))) == "--set a={b: 3}"
    assert parse_override("a.b=c=d") == Override("a.b", "c=d", "--set a.b=c=d")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("a..b=3", "--set a..b=3: this is not KEY=VALUE"),
        ("model.hidden=[1", "--set model.hidden=[1: this is not YAML"),
        ("model.init={std: 1, std: 2}", "the key is given twice"),
        ("optim.schedule.min_lr=0.01", "optim.schedule is 'cosine', not a mapping"),
        ("model.init.scheme=he_normal", "or unset it with --set model.init.std=null"),
        ("\x1b[31m=1", "unknown key"),
        (Override("train.epochs", 0, "--epochs 0"), "--epochs 0: train.epochs: 0 is out of range"),
    ],
)
def test_faults_name_the_option(option: str | Override, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(option)
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        *[("5", range(5)), ("1", [0]), ("0,3,7", [0, 3, 7]), (" 7 , 3 ", [7, 3]), ("7,", [7])],
        *[("0-4", range(5)), ("7-7", [7]), ("0-2,9", [0, 1, 2, 9])],
        *[("4294967295,0", [2**32 - 1, 0]), ("10000", range(10_000))],
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
