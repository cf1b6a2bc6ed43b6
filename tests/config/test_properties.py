"""Wild input: whatever a config is turned into, it is a config or a ConfigError, never else."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bninit.config import (
    Config,
    arm_id,
    config_from_dict,
    config_to_yaml,
    json_schema,
    load_config,
    parse_seeds,
)
from bninit.config.write import to_yaml
from bninit.data.catalog import DATASETS
from bninit.errors import ConfigError
from bninit.nets.activations import ACTIVATIONS
from bninit.nets.initialisers import ALIASES, SCHEMES

VALIDATOR = Draft202012Validator(json_schema())
RELAXED = settings(
    deadline=None, max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

POSITIVE = st.floats(1e-12, 1e3)
FRACTION = st.floats(1e-9, 0.999)
PARAMETERS = {
    "gain": POSITIVE,
    "std": POSITIVE,
    "limit": POSITIVE,
    "value": st.floats(-10, 10),
    "truncated": st.booleans(),
}


@st.composite
def inits(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from([*SCHEMES, *ALIASES]))
    init: dict[str, Any] = {"scheme": name}
    if name in SCHEMES:
        for key in sorted(SCHEMES[name].takes):
            if key in SCHEMES[name].needs or draw(st.booleans()):
                init[key] = draw(PARAMETERS[key])
    if draw(st.booleans()):
        init["bias"] = draw(
            st.floats(-5, 5)
            | st.integers(-5, 5)
            | st.sampled_from([{"scheme": "zeros"}, {"scheme": "torch_default"}])
            | st.fixed_dictionaries({"scheme": st.just("normal"), "std": POSITIVE})
            | st.fixed_dictionaries({"scheme": st.just("uniform"), "limit": POSITIVE})
        )
    return init


OPTIMS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.just("sgd"),
            "lr": POSITIVE,
            "momentum": FRACTION,
            "nesterov": st.booleans(),
            "weight_decay": POSITIVE,
            "schedule": st.sampled_from(["constant", "cosine"]),
        },
    ),
    st.fixed_dictionaries(
        {"name": st.sampled_from(["adam", "adamw"])},
        optional={
            "lr": POSITIVE,
            "betas": st.tuples(FRACTION, FRACTION),
            "eps": FRACTION,
            "schedule": st.fixed_dictionaries(
                {"name": st.just("step"), "step_epochs": st.integers(1, 99)},
                optional={"factor": FRACTION},
            ),
        },
    ),
)
NORMS = st.fixed_dictionaries(
    {},
    optional={
        "placement": st.sampled_from(["none", "pre", "post"]),
        "input": st.booleans(),
        "eps": FRACTION,
        "momentum": FRACTION,
        "affine": st.booleans(),
        "running": st.sampled_from(["ema", "cumulative", "population"]),
    },
)
CONFIGS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        "train": st.fixed_dictionaries(
            {"batch_size": st.integers(2, 1000)},
            optional={
                "epochs": st.integers(1, 1000),
                "seeds": st.integers(1, 50)
                | st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5, unique=True),
                "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
                "precision": st.sampled_from(["float32", "float64", "bf16", "tf32"]),
                "tensorboard": st.booleans(),
            },
        ),
    },
    optional={
        "data": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(list(DATASETS)),
                "scale": st.sampled_from(["unit", "raw", "standardize"]),
                "val_size": st.integers(1, 2000),
            },
        ),
        "model": st.fixed_dictionaries(
            {"hidden": st.lists(st.integers(1, 4096), min_size=1, max_size=4)},
            optional={
                "activation": st.sampled_from(list(ACTIVATIONS)),
                "bias": st.booleans(),
                "norm": NORMS,
                "init": inits(),
            },
        ),
        "optim": OPTIMS,
        "targets": st.lists(FRACTION, max_size=4),
    },
)


@RELAXED
@given(CONFIGS)
def test_valid_configs_load_dump_and_validate(tmp_path: Path, values: dict[str, Any]) -> None:
    config = config_from_dict(values)
    path = tmp_path / "c.yaml"
    path.write_text(config_to_yaml(config), encoding="utf-8")
    again = load_config(path)
    assert again == config
    assert arm_id(again) == arm_id(config)
    assert VALIDATOR.is_valid(json.loads(json.dumps(values)))
    path.write_text(to_yaml(json.loads(json.dumps(values))), encoding="utf-8")
    assert load_config(path) == config


WILD_TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["", "no", "1e400", "!!python/object:os.system", "*x", "&x", "../..", "\x00", "\x1b[2J", *"{%"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**120), 10**120)
    | st.floats()
    | WILD_TEXT
    | st.sampled_from(["sgd", "adam", "normal", "zeros", "pre", "step", "mnist", 0, 1, 2, -1])
)
WILD = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WILD_TEXT, inner, max_size=4),
    max_leaves=8,
)
KEYS = WILD_TEXT | st.sampled_from(
    ["name", "model", "norm", "init", "scheme", "std", "lr", "seeds", "bias", "<<", "betas", "eps"]
)


def holders(values: Any) -> list[Any]:
    """All the dicts and lists in a value, itself included."""
    found = [values] if isinstance(values, dict | list) else []
    items = values.values() if isinstance(values, dict) else values
    for item in items if found else []:
        found.extend(holders(item))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    values = copy.deepcopy(draw(CONFIGS))
    for _ in range(draw(st.integers(1, 4))):
        holder = draw(st.sampled_from(holders(values)))
        what = draw(st.sampled_from(["replace", "replace", "add", "remove", "wrap"]))
        if isinstance(holder, dict):
            key = draw(st.sampled_from(sorted(holder))) if holder else draw(KEYS)
            if what == "replace":
                holder[key] = draw(WILD)
            elif what == "add":
                holder[draw(KEYS)] = draw(WILD)
            elif what == "remove":
                holder.pop(key, None)
            elif key in holder:
                holder[key] = draw(st.sampled_from([[holder[key]], {"name": holder[key]}]))
        elif what == "add" or not holder:
            holder.append(draw(WILD))
        else:
            holder[draw(st.integers(0, len(holder) - 1))] = draw(WILD)
    return values


def check_error(error: ConfigError, *, name: str) -> None:
    """Every fault names its place and can be printed on any terminal."""
    assert error.problems
    for problem in error.problems:
        assert problem.where.startswith(name)
        for text in (problem.key, problem.what, problem.hint or ""):
            assert text.isprintable()
            assert len(text) < 1000
    str(error).encode()


@RELAXED
@given(mutated())
def test_mutated_values_are_a_config_or_a_config_error(values: Any) -> None:
    try:
        config = config_from_dict(values)
    except ConfigError as error:
        check_error(error, name="config")
    else:
        # What loads, an editor accepts.
        assert VALIDATOR.is_valid(json.loads(json.dumps(values)))
        assert isinstance(config, Config)


@RELAXED
@given(mutated())
def test_mutated_files_are_a_config_or_a_config_error(tmp_path: Path, values: Any) -> None:
    path = tmp_path / "c.yaml"
    try:
        text = yaml.safe_dump(values, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
    except (UnicodeEncodeError, ValueError):
        assume(False)
    try:
        config = load_config(path)
    except ConfigError as error:
        check_error(error, name=str(path))
    else:
        assert config_from_dict(yaml.safe_load(config_to_yaml(config))) == config


EDITS = st.sampled_from(
    [
        *"\t\n:[]{}'\"#|>%,\u2028\ufeff\x85\x00é",
        *[": ", "- ", "&a ", "*a", "!t ", "? ", "<<: ", "1e999", "0x", "---\n", "...\n"],
    ]
) | st.text(st.characters(codec="utf-8"), max_size=3)


@RELAXED
@given(CONFIGS, st.lists(st.tuples(st.integers(0, 600), EDITS), min_size=1, max_size=5))
def test_mutated_text_is_a_config_or_a_config_error(
    tmp_path: Path, values: dict[str, Any], edits: list[tuple[int, str]]
) -> None:
    text = to_yaml(json.loads(json.dumps(values)))
    for position, edit in edits:
        cut = position % (len(text) + 1)
        text = text[:cut] + edit + text[cut:]
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode())
    try:
        load_config(path)
    except ConfigError as error:
        check_error(error, name=str(path))


@RELAXED
@given(st.binary(max_size=300))
@example(b"")
@example(b"\xef\xbb\xbf")
@example(b"? ? ? ?")
@example(b"{a: , b: [, ]}")
def test_bytes_are_a_config_or_a_config_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    check_error(caught.value, name=str(path))


@RELAXED
@given(st.lists(st.text(max_size=40) | st.builds("{}={}".format, KEYS, WILD_TEXT), max_size=3))
def test_options_are_applied_or_a_config_error(options: list[str]) -> None:
    try:
        config_from_dict({"name": "a"}, overrides=options)
    except ConfigError as error:
        for problem in error.problems:
            assert problem.where.startswith(("--set ", "config"))
            assert str(problem).replace("\n", "").isprintable()


@RELAXED
@given(st.text(max_size=20) | st.text("0123456789,- ", max_size=20))
def test_seeds_are_parsed_or_a_config_error(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except ConfigError:
        return
    assert 1 <= len(seeds) == len(set(seeds)) <= 10_000
    assert all(0 <= seed < 2**32 for seed in seeds)
