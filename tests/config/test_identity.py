import copy
import hashlib
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from bninit.config import Config, arm_dict, arm_id, config_from_dict, leaf_values
from bninit.config.identity import canonical_json
from bninit.errors import ConfigError
from bninit.fields import OneOf, all_keys, dotted, keys_of, sections_at

UNDECISIVE = {
    *("name", "targets", "train.seeds", "train.device", "train.tensorboard"),
    *("probes.enabled", "probes.groups", "probes.batch_size"),
    *("probes.steps_per_doubling", "probes.units"),
}
CONSTANT = {"schema_version"}

# Between them these have a value for every key.
BASES: list[dict[str, Any]] = [
    {"model": {"norm": {"placement": "pre"}}, "optim": {"schedule": "cosine"}},
    {
        "model": {
            "norm": {"input": True},
            "init": {"scheme": "normal", "std": 0.5, "bias": {"scheme": "normal", "std": 0.5}},
        },
        "optim": {"name": "adamw", "schedule": {"name": "step", "step_epochs": 3}},
    },
    *(
        {"model": {"norm": {"placement": "post"}, "init": init}}
        for init in (
            {"scheme": "uniform", "limit": 0.5, "bias": {"scheme": "uniform", "limit": 0.5}},
            {"scheme": "constant", "value": 0.5, "bias": 0.5},
        )
    ),
]
OTHER_TEXT = {
    "name": ["other"],
    "train.device": ["cpu"],
    "optim.name": ["sgd", "adam", "adamw"],
    "optim.schedule.name": ["constant", "step", "cosine"],
}


def leaves_of_model() -> Iterator[tuple[str, Any]]:
    for path in all_keys(Config):
        if not sections_at(Config, path):
            yield dotted(path), keys_of(*sections_at(Config, path[:-1]))[str(path[-1])]


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


FIELDS = dict(leaves_of_model())


def other_values(path: str, value: Any) -> list[Any]:
    """Values near a leaf's own; the ones that the schema refuses are skipped over."""
    if path in OTHER_TEXT:
        return [name for name in OTHER_TEXT[path] if name != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        one_of = next(each for each in FIELDS[path].metadata if isinstance(each, OneOf))
        names = one_of.names or get_args(FIELDS[path].annotation)
        return [name for name in names if name != value]
    if path == "probes.groups":
        return [value[1:]]
    if isinstance(value, list):
        return [[*value[:-1], value[-1] / 2], [*value[:-1], value[-1] + 1]]
    return [value / 2 or 0.05, value + 1] if isinstance(value, float) else [value + 1]


def variants(base: dict[str, Any]) -> Iterator[tuple[str, Config]]:
    """Yield configs that differ from a base in one leaf (and in what must follow it)."""
    values = leaf_values(config_from_dict({"name": "base", **base}))
    for path, value in leaves(values):
        if path in CONSTANT:
            continue
        *sections, key = path.split(".")
        for other in other_values(path, value):
            for alone in (False, True):
                changed = copy.deepcopy(values)
                holder = changed
                for section in sections:
                    holder = holder[section]
                if alone:
                    holder.clear()
                    changed.setdefault("name", "base")
                holder[key] = other
                try:
                    yield path, config_from_dict(changed)
                except ConfigError:
                    continue
                break


def test_every_leaf_that_decides_changes_the_id_and_no_other_does() -> None:
    seen = set()
    for base in BASES:
        original = config_from_dict({"name": "base", **base})
        for path, changed in variants(base):
            assert changed != original, path
            assert (arm_id(changed) == arm_id(original)) == (path in UNDECISIVE), path
            seen.add(path)
    assert seen == set(FIELDS) - CONSTANT


def test_the_id_is_a_hash_of_everything_written_out() -> None:
    text = (
        '{"data":{"name":"mnist5k","scale":"unit","val_size":500},'
        '"model":{"activation":"relu","bias":true,"hidden":[256,256,256],'
        '"init":{"bias":{"scheme":"zeros"},"gain":1.0,"scheme":"he_normal","truncated":false},'
        '"norm":{"affine":true,"eps":1e-05,"input":false,"momentum":0.1,"placement":"pre",'
        '"running":"ema"}},'
        '"optim":{"lr":0.1,"momentum":0.9,"name":"sgd","nesterov":false,'
        '"schedule":{"name":"constant"},"weight_decay":0.0},'
        '"schema_version":1,'
        '"train":{"batch_size":128,"epochs":10,"last_batch":"drop","precision":"float32"}}'
    )
    config = config_from_dict({"name": "a", "model": {"norm": {"placement": "pre"}}})
    assert canonical_json(arm_dict(config)) == text
    assert arm_id(config) == hashlib.sha256(text.encode()).hexdigest()[:8]


def test_ways_to_write_the_same_are_the_same_arm() -> None:
    def id_of(**sections: Any) -> str:
        return arm_id(config_from_dict({"name": "a", **sections}))

    assert id_of() == id_of(data={"val_size": 500}, optim={"lr": 0.1}, train={"epochs": 10})
    assert id_of(model={"init": {"scheme": "kaiming_normal"}}) == id_of()
    small = {"scheme": "normal", "std": 0.01}
    assert id_of(model={"init": {"scheme": "small_normal"}}) == id_of(model={"init": small})
    whole, point = {"value": 1, "scheme": "constant"}, {"value": 1.0, "scheme": "constant"}
    assert id_of(model={"init": whole}) == id_of(model={"init": point})
    zero, minus_zero = {"init": {"bias": 0.0}}, {"init": {"bias": -0.0}}
    assert id_of(model=zero) == id_of(model=minus_zero)


@pytest.mark.parametrize(
    "key", [{"eps": 0.5}, {"momentum": 0.5}, {"affine": False}, {"running": "cumulative"}]
)
def test_batch_norm_that_is_nowhere_decides_nothing(key: dict[str, Any]) -> None:
    def id_of(norm: dict[str, Any]) -> str:
        return arm_id(config_from_dict({"name": "a", "model": {"norm": norm}}))

    assert id_of(key) == id_of({})
    assert id_of({"input": True, **key}) != id_of({"input": True})


def test_biases_that_are_not_there_decide_nothing() -> None:
    def id_of(bias: bool, value: float) -> str:
        model = {"bias": bias, "init": {"bias": value}}
        return arm_id(config_from_dict({"name": "a", "model": model}))

    assert id_of(False, 0.5) == id_of(False, 0.1)
    assert id_of(True, 0.5) != id_of(True, 0.1)


def test_canonical_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})
