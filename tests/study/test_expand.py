"""Arms of a study against configs written out by hand, and against itertools."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.config import (
    Config,
    arm_id,
    config_from_dict,
    leaf_values,
)
from bninit.config.overlay import key_path, settings_of
from bninit.errors import ConfigError
from bninit.fields import Plain
from bninit.verbs.study.expand import StudyArm, expand, fits, plain_at
from bninit.verbs.study.load import study_from_dict
from bninit.verbs.study.schema import StudyConfig
from bninit.verbs.study.sides import level_scores, sides_of


def study(experiments: object, **keys: object) -> StudyConfig:
    """A study with short defaults."""
    return study_from_dict({"name": "s", "seeds": 2, "experiments": experiments, **keys})


def arms_of(body: object, **keys: object) -> list[StudyArm]:
    return expand(study({"e": body}, **keys))


def matches(arm: StudyArm, partial: dict[str, Plain]) -> bool:
    return fits(arm.config, settings_of(partial))


def config(**keys: object) -> Config:
    return config_from_dict({"name": "x", **keys})


def test_arms_are_the_product_with_the_last_axis_fastest() -> None:
    placements, lrs, epochs = ["none", "pre", "post"], [0.1, 0.5], [1, 2]
    over = {"model.norm.placement": placements, "optim.lr": lrs, "train.epochs": epochs}

    arms = arms_of({"over": over})

    expected = [
        arm_id(config(model={"norm": {"placement": p}}, optim={"lr": lr}, train={"epochs": e}))
        for p, lr, e in itertools.product(placements, lrs, epochs)
    ]
    assert [arm.id for arm in arms] == expected
    assert [arm_id(arm.config) for arm in arms] == expected
    assert [tuple(arm.values.values()) for arm in arms] == list(
        itertools.product(placements, lrs, epochs)
    )


def test_values_of_the_experiment_lie_over_base_and_axes_over_both() -> None:
    arms = arms_of(
        {
            "set": {"train.epochs": 5, "optim": {"lr": 0.3}},
            "over": {"optim.lr": [0.1, 0.2]},
        },
        base={"train": {"epochs": 3, "batch_size": 64}, "optim.momentum": 0.5},
    )

    assert [leaf_values(arm.config)["optim"] for arm in arms] == [
        leaf_values(config(optim={"lr": lr, "momentum": 0.5}))["optim"] for lr in (0.1, 0.2)
    ]
    assert {(arm.config.train.epochs, arm.config.train.batch_size) for arm in arms} == {(5, 64)}


@pytest.mark.parametrize(
    "partial",
    [
        {"train.epochs": 5, "train.batch_size": 64},
        {"train": {"epochs": 5, "batch_size": 64}},
        {"train": {"epochs": 5}, "train.batch_size": 64},
    ],
)
def test_dotted_and_nested_keys_mean_the_same(partial: dict[str, Plain]) -> None:
    (arm,) = arms_of({"set": partial}, base={"train": {"epochs": 2, "last_batch": "keep"}})

    expected = config(train={"epochs": 5, "batch_size": 64, "last_batch": "keep"})
    assert arm.id == arm_id(expected)


def test_a_mapping_as_an_axis_value_replaces_the_whole_section() -> None:
    base = {"model": {"init": {"scheme": "normal", "std": 0.3, "truncated": True, "bias": 0.1}}}
    schemes = [{"scheme": "zeros"}, {"scheme": "normal", "std": 1}]
    arms = arms_of({"over": {"model.init": schemes}}, base=base)
    expected = [config(model={"init": init}).model.init for init in schemes]
    assert [arm.config.model.init for arm in arms] == expected


def test_also_replaces_the_section_of_an_axis_and_merges_elsewhere() -> None:
    base = {"model": {"init": {"bias": 0.1}}, "optim": {"lr": 0.3, "momentum": 0.5}}
    body = {
        "over": {"model.init": [{"scheme": "zeros"}]},
        "also": [{"model": {"init": {"scheme": "he_normal"}}, "optim": {"lr": 0.7}}],
    }

    _, arm = arms_of(body, base=base)

    assert arm.config.model.init == config(model={"init": {"scheme": "he_normal"}}).model.init
    assert (arm.config.optim.lr, arm.config.optim.momentum) == (0.7, 0.5)


@pytest.mark.parametrize(
    ("base", "key", "value", "expected"),
    [
        ({"scheme": "normal", "std": 0.05}, "scheme", "he_normal", {"scheme": "he_normal"}),
        ({"std": 0.05}, "scheme", "he_normal", {"scheme": "he_normal"}),
        ({"scheme": "he_normal", "gain": 2, "truncated": True}, "scheme", "xavier_uniform",
         {"scheme": "xavier_uniform", "gain": 2.0}),
        ({"scheme": "normal", "std": 0.05, "bias": 0.1}, "scheme", "small_normal",
         {"scheme": "normal", "std": 0.01, "bias": 0.1}),
        ({"scheme": "small_normal"}, "std", 0.2, {"scheme": "normal", "std": 0.2}),
        ({"bias": 0.1}, "bias.scheme", "zeros", {"bias": {"scheme": "zeros"}}),
    ],
)  # fmt: skip
def test_parameters_below_a_named_kind_that_it_does_not_take_are_dropped(
    base: dict[str, Plain], key: str, value: Plain, expected: dict[str, Plain]
) -> None:
    for body in (
        {"set": {f"model.init.{key}": value}},
        {"over": {f"model.init.{key}": [value]}},
        {"also": [{f"model.init.{key}": value}]},
    ):
        (arm,) = arms_of(body, base={"model": {"init": base}})
        assert arm.config.model.init == config(model={"init": expected}).model.init


def test_an_optimiser_as_axis_leaves_out_what_it_does_not_take_and_keeps_the_rest() -> None:
    base = {"optim": {"name": "sgd", "lr": 0.01, "momentum": 0.5, "schedule": "cosine"}}

    sgd, adam = arms_of({"over": {"optim.name": ["sgd", "adam"]}}, base=base)

    assert sgd.config.optim == config(**base).optim
    assert (
        adam.config.optim
        == config(optim={"name": "adam", "lr": 0.01, "schedule": {"name": "cosine"}}).optim
    )


def test_short_forms_can_be_laid_over_and_be_axis_values() -> None:
    over = {"optim.schedule": ["constant", {"name": "step", "step_epochs": 2}, "cosine"]}
    body = {"set": {"optim.schedule.min_lr": 0.01}, "over": over}
    arms = arms_of(body, base={"optim": {"schedule": "cosine"}})
    labels = ["constant", "step (step_epochs 2)", "cosine"]
    assert [arm.values["optim.schedule"] for arm in arms] == labels
    assert arms[2].config.optim.schedule == config(optim={"schedule": "cosine"}).optim.schedule


def test_null_stands_for_the_default() -> None:
    (arm,) = arms_of(
        {"set": {"model.norm": None, "optim.lr": None}},
        base={"model": {"norm": {"placement": "pre"}}, "optim": {"lr": 3}},
    )
    assert arm.id == arm_id(config())


def test_exclude_leaves_out_combinations_but_no_arm_of_also() -> None:
    placements, schemes = ["none", "pre"], ["glorot_normal", "zeros"]
    body: dict[str, Any] = {
        "over": {"model.norm.placement": placements, "model.init.scheme": schemes},
        "exclude": [
            {"model": {"norm": {"placement": "pre"}}, "model.init.scheme": "xavier_normal"}
        ],
    }
    assert [arm.label for arm in arms_of(body)] == [
        "placement none, scheme xavier_normal",
        "placement none, scheme zeros",
        "placement pre, scheme zeros",
    ]
    body["also"] = [{"model.norm.placement": "pre", "model.init.scheme": "xavier_normal"}]
    assert len(arms_of(body)) == 4


@pytest.mark.parametrize("more", [{}, {"optim.lr": 0.1}])
def test_exclude_can_leave_out_arms_that_are_not_valid(more: dict[str, float]) -> None:
    # [] has no place for batch norm; a key of the entry may be given or have its default.
    body = {
        "over": {"model.hidden": [[], [10]], "model.norm.placement": ["none", "pre"]},
        "exclude": [{"model.hidden": [], "model.norm.placement": "pre", **more}],
    }
    assert [arm.label for arm in arms_of(body)] == [
        "hidden no layers, placement none",
        "hidden 10, placement none",
        "hidden 10, placement pre",
    ]


def test_without_over_the_arms_are_those_of_also() -> None:
    arms = arms_of({"also": [{}, {"model.norm.placement": "pre"}]})

    assert [arm.label for arm in arms] == ["e", "placement pre"]
    assert [dict(arm.values) for arm in arms] == [
        {"model.norm.placement": "none"},
        {"model.norm.placement": "pre"},
    ]


def test_values_are_resolved_for_every_axis_that_any_arm_varies() -> None:
    body = {
        "over": {"model.init": [{"scheme": "small_normal"}, {"scheme": "he_normal", "gain": 2}]},
        "also": [{"model.norm": {"input": True}, "optim.name": "adam"}],
    }

    arms = arms_of(body)

    assert [dict(arm.values) for arm in arms] == [
        {"model.init": "normal (std 0.01)", "model.norm.input": False, "optim.name": "sgd"},
        {"model.init": "he_normal (gain 2)", "model.norm.input": False, "optim.name": "sgd"},
        {"model.init": "he_normal", "model.norm.input": True, "optim.name": "adam"},
    ]
    assert [arm.label for arm in arms] == [
        "init normal (std 0.01)",
        "init he_normal (gain 2)",
        "input true, name adam",
    ]


def test_labels_name_axes_by_as_much_as_tells_them_apart() -> None:
    over = {
        "model.init.scheme": ["he_normal"],
        "model.init.bias.scheme": ["zeros"],
        "model.hidden": [[100, 100], [20] * 20],
        "optim.betas": [[0.9, 0.99]],
        "optim.eps": [1e-7],
    }
    arms = arms_of({"over": over}, base={"optim": {"name": "adam"}})
    end = "betas 0.9-0.99, eps 1e-07"
    assert [arm.label for arm in arms] == [
        f"init.scheme he_normal, bias.scheme zeros, hidden 100-100, {end}",
        f"init.scheme he_normal, bias.scheme zeros, hidden 20 x 20, {end}",
    ]


def test_names_say_the_study_and_what_varies_in_64_characters() -> None:
    over = {"model.init": [{"scheme": "normal", "std": 0.01}], "optim.lr": [0.5]}
    (arm,) = arms_of({"over": over}, name="notes")
    assert arm.config.name == "notes-init-normal-std-0.01-lr-0.5"

    (arm,) = arms_of({"over": over}, name="n" * 60)
    assert arm.config.name == "n" * 60 + "-ini"
    (arm,) = arms_of({"over": over}, name="n" * 64)
    assert arm.config.name == "n" * 64
    (arm,) = arms_of({})
    assert arm.config.name == "s-e"


def test_arms_have_the_seeds_and_targets_of_the_study() -> None:
    (arm,) = arms_of({}, seeds=[4, 9], targets=[0.9, 0.5])
    assert arm.config.train.seeds == (4, 9)
    assert arm.config.targets == (0.5, 0.9)


def test_arms_of_one_id_share_their_name_but_keep_their_values() -> None:
    # Without batch norm its momentum plays no part.
    over = {"model.norm.placement": ["none", "pre"], "model.norm.momentum": [0.1, 0.5]}
    arms = expand(study({"a": {"over": over}, "b": {"set": {"train.device": "cpu"}}}))

    assert len({arm.id for arm in arms}) == 3
    assert arms[0].config.name == arms[1].config.name == arms[4].config.name
    assert [matches(arm, {"model.norm.momentum": 0.5}) for arm in arms[:2]] == [False, True]
    assert [arm.values["model.norm.momentum"] for arm in arms[:2]] == [0.1, 0.5]
    assert len({arm.label for arm in arms[:4]}) == 4


def test_a_study_made_by_hand_tells_its_faults_without_lines() -> None:
    values = {"name": "s", "seeds": 1, "experiments": {"e": {"over": {"optim.lr": [0.1, -1]}}}}
    with pytest.raises(ConfigError, match=re.escape("s: experiments.e.over.optim.lr[1]: -1")):
        expand(StudyConfig.model_validate(values))


ARM = {
    "model": {
        "hidden": [100, 100],
        "norm": {"placement": "pre"},
        "init": {"scheme": "normal", "std": 0.01, "bias": 0.1},
    },
    "optim": {"lr": 1, "schedule": {"name": "cosine"}},
}


@pytest.mark.parametrize(
    ("partial", "expected"),
    [
        ({}, True),
        ({"model.norm.placement": "pre"}, True),
        ({"model.norm.placement": "none"}, False),
        ({"model": {"norm": {"placement": "pre", "input": False}}}, True),
        ({"model.norm": {"placement": "pre", "input": True}}, False),
        ({"model.norm.input": 0}, False),
        ({"optim.lr": 1}, True),
        ({"optim.lr": 1.0}, True),
        ({"optim.lr": True}, False),
        ({"optim.momentum": 0.9}, True),
        ({"optim.betas": None}, True),
        ({"optim.betas": [0.9, 0.999]}, False),
        ({"optim.momentum": None}, False),
        ({"model.hidden": [100, 100]}, True),
        ({"model.hidden": [100]}, False),
        ({"model.hidden": 100}, False),
        ({"model.init.scheme": "small_normal"}, True),
        ({"model.init.scheme": "large_normal"}, False),
        ({"model.init": {"scheme": "normal"}}, True),
        ({"model.init": {"scheme": "normal", "std": 0.02}}, False),
        ({"model.init.bias": 0.1}, True),
        ({"model.init.bias": 0.2}, False),
        ({"optim.schedule": "cosine"}, True),
        ({"optim.schedule": "constant"}, False),
        ({"model.norm": None}, False),
    ],
)
def test_matches(partial: dict[str, Plain], expected: bool) -> None:
    (arm,) = arms_of({}, base=ARM)
    assert matches(arm, partial) is expected


def test_a_value_at_a_key_tells_leaves_sections_and_keys_that_play_no_part() -> None:
    (arm,) = arms_of({}, base=ARM)
    assert plain_at(arm.config, key_path("model.hidden")) == [100, 100]
    assert (
        plain_at(arm.config, key_path("model.init"))
        == "normal (std 0.01, bias constant (value 0.1))"
    )
    assert plain_at(arm.config, key_path("optim.betas")) is None
    assert plain_at(arm.config, key_path("model.norm.placement")) == "pre"


@pytest.mark.parametrize(
    ("levels", "scores"),
    [
        ([0.1, 1], (0.1, 1.0)),
        ([[10], [10, 10]], (1.0, 2.0)),
        ([[], [10, 10]], (0.0, 2.0)),
        ([[10, 10], [20, 20]], (10.0, 20.0)),
        ([[10], [20, 20]], None),
        ([[10, 20], [20, 10]], None),
        (["pre", "none"], None),
        ([True, False], None),
        ([0.1, None], None),
    ],
)
def test_levels_have_scores_where_they_lie_on_a_line(
    levels: list[Plain], scores: tuple[float, ...] | None
) -> None:
    assert level_scores(levels) == scores


CLAIM: dict[str, Plain] = {"id": "c", "says": "It is so", "metric": "test_loss", "expect": "less"}


def test_sides_hold_the_arms_that_match_and_the_axes_to_pair() -> None:
    over = {
        "model.norm.placement": ["none", "pre", "post"],
        "model.init": [{"scheme": "zeros"}, {"scheme": "he_normal"}],
        "optim.lr": [0.5, 0.1],
    }
    left: dict[str, Plain] = {"left": {"model.norm.placement": "pre"}}
    right: dict[str, Plain] = {"right": {"model.norm.placement": "none"}}
    claims: list[dict[str, Plain]] = [
        {**left, **right, "id": "sides", "given": {"optim.lr": 0.5}},
        {**left, **right, "id": "spread", "spread": "model.init"},
        {**left, "id": "trend", "trend": "optim.lr", "expect": "increasing"},
        {**left, "id": "number", "right": 1},
    ]
    experiments = {"e": {"over": over}, "other": {"over": over}}
    made = study(experiments, claims=[{**CLAIM, **claim, "in": "e"} for claim in claims])
    arms = expand(made)
    assert [arm.experiment for arm in arms] == ["e"] * 12 + ["other"] * 12

    paired, spread, trend, number = (sides_of(claim, arms) for claim in made.claims)

    assert [arm.label for arm in paired.left] == [
        "placement pre, init zeros, lr 0.5",
        "placement pre, init he_normal, lr 0.5",
    ]
    cells = [[paired.cell(arm) for arm in side] for side in paired.parts.values()]
    assert cells[0] == cells[1]
    assert paired.axes == ("model.init", "optim.lr")
    assert (spread.over, spread.levels) == ("model.init", ("zeros", "he_normal"))
    assert (spread.axes, spread.scores) == (("optim.lr",), None)
    assert (trend.levels, trend.scores, trend.right) == ((0.1, 0.5), (0.1, 0.5), None)
    assert (len(number.left), number.right, number.axes) == (4, 1.0, ("model.init", "optim.lr"))


def test_a_spread_may_be_over_the_section_of_its_axes() -> None:
    schemes = ({"scheme": "zeros"}, {"scheme": "normal", "std": 0.01})
    key = "model.norm.placement"
    also = [{"model.init": init, key: place} for init in schemes for place in ("none", "pre")]
    claim = {**CLAIM, "spread": "model.init", "left": {key: "pre"}, "right": {key: "none"}}
    made = study({"e": {"also": also}}, claims=[claim])
    sides = sides_of(made.claims[0], expand(made))
    assert (sides.levels, sides.axes) == (("zeros", "normal (std 0.01)"), ())


AXES: dict[str, list[Plain]] = {
    "model.norm.placement": ["none", "pre", "post"],
    "model.norm.momentum": [0.1, 0.01, 1],
    "optim.lr": [0.1, 0.5, 1],
    "model.hidden": [[], [5], [5, 5], [5, 7], [5] * 5],
    "model.init": [{}, {"scheme": "zeros"}, {"scheme": "small_normal"}, {"gain": 2}],
    "optim.schedule": ["cosine", {"name": "constant"}],
    "train.epochs": [1, 3],
    "model.bias": [True, False],
}


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, object]:
    keys = draw(st.lists(st.sampled_from(sorted(AXES)), unique=True, max_size=3))
    choice = {
        key: draw(st.lists(st.sampled_from(AXES[key]), min_size=1, max_size=3)) for key in keys
    }
    entry = st.dictionaries(st.sampled_from(sorted(AXES)), st.none(), max_size=3).flatmap(
        lambda found: st.fixed_dictionaries({key: st.sampled_from(AXES[key]) for key in found})
    )
    return {
        "over": choice,
        "also": draw(st.lists(entry, max_size=3)),
        "exclude": draw(st.lists(entry, max_size=1)),
    }


@settings(max_examples=150, deadline=None)
@given(experiments())
def test_whatever_varies_labels_and_values_are_unique_and_match_the_arm(
    body: dict[str, object],
) -> None:
    try:
        arms = arms_of(body)
    except ConfigError:
        return
    assert arms
    assert len({arm.label for arm in arms}) == len(arms)
    assert len({repr(dict(arm.values)) for arm in arms}) == len(arms)
    for arm in arms:
        assert arm.id == arm_id(arm.config)
        assert matches(arm, leaf_values(arm.config))
        assert dict(arm.values) == {key: plain_at(arm.config, key_path(key)) for key in arm.values}
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", arm.config.name)
