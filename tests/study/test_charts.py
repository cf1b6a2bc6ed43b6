"""Colours, labels and panels of arms, and the looks of a claim's sides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bninit.show.charts import PLACEMENT_COLOURS
from bninit.verbs.study.charts import (
    MOST_IN_A_PANEL,
    arm_colours,
    claim_picture,
    panel_groups,
    panel_styles,
    side_styles,
)
from bninit.verbs.study.expand import StudyArm, expand
from bninit.verbs.study.load import study_from_dict
from bninit.verbs.study.words import arm_label

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult


def arms(**over: list[Any]) -> list[StudyArm]:
    keys = {"placement": "model.norm.placement", "lr": "optim.lr", "width": "model.hidden"}
    axes = {keys[key]: values for key, values in over.items()}
    return expand(study_from_dict({"name": "s", "seeds": 1, "experiments": {"e": {"over": axes}}}))


def test_colours_tell_the_placement_where_it_varies() -> None:
    varied = arms(lr=[0.1, 0.2], placement=["none", "pre", "post"])
    colours = arm_colours(varied)
    assert [colours[arm.id] for arm in varied] == 2 * list(PLACEMENT_COLOURS.values())
    held = arms(lr=[0.1, 0.2, 0.3])
    assert len(set(arm_colours(held).values())) == 3


def test_arms_of_a_panel_look_different() -> None:
    panel = arms(lr=[0.1, 0.2, 0.3], placement=["none", "pre"])
    styles = panel_styles(panel, colours=arm_colours(panel))
    assert len({(s.colour, s.dash) for s in styles.values()}) == len(panel)
    assert len({(s.colour, s.shape) for s in styles.values()}) == len(panel)


def test_panels_are_small_and_keep_placements_together() -> None:
    assert [axes for axes, _ in panel_groups(arms(lr=[0.1, 0.2]))] == [()]
    many = arms(lr=[i / 10 for i in range(1, 9)], placement=["none", "pre"])
    groups = panel_groups(many)
    assert {axes for axes, _ in groups} == {("optim.lr",)}
    assert [len(group) for _, group in groups] == [2] * 8
    all_of_them = arms(
        lr=[i / 10 for i in range(1, 9)],
        placement=["none", "pre"],
        width=[[n] for n in range(1, 9)],
    )
    groups = panel_groups(all_of_them)
    assert max(len(group) for _, group in groups) <= MOST_IN_A_PANEL
    assert sorted(arm.id for _, group in groups for arm in group) == sorted(
        arm.id for arm in all_of_them
    )
    one_axis = arms(lr=[i / 100 for i in range(1, 31)])
    sizes = [len(group) for _, group in panel_groups(one_axis)]
    assert sum(sizes) == 30
    assert max(sizes) <= MOST_IN_A_PANEL


def test_labels_are_words() -> None:
    first, second, *_ = arms(placement=["none", "pre"], lr=[0.1, 0.2])
    assert arm_label(first) == "no batch norm, learning rate 0.1"
    assert arm_label(second, without=["model.norm.placement"]) == "learning rate 0.2"
    deep = arms(width=[[8, 8, 8, 8, 8], [300, 100]])
    assert [arm_label(arm) for arm in deep] == ["hidden layers 5 x 8", "hidden layers 300-100"]


def test_two_combinations_that_are_one_arm_have_one_look() -> None:
    """Without batch norm its running mode plays no part: two combinations, one arm."""
    axes = {"model.norm.placement": ["none", "pre"], "model.norm.running": ["ema", "cumulative"]}
    study = study_from_dict({"name": "s", "seeds": 1, "experiments": {"e": {"over": axes}}})
    found = expand(study)
    colours = arm_colours(found)
    assert set(panel_styles(found, colours=colours)) == {arm.id for arm in found} == set(colours)


def test_sides_have_the_placements_colours_or_neutral_ones(tiny_study: StudyResult) -> None:
    colours = arm_colours(tiny_study.arms)
    looks = {
        found.claim.id: [style.colour for _, style in side_styles(found, colours)]
        for found in tiny_study.claims
    }
    none, pre = (PLACEMENT_COLOURS[name] for name in ("none", "pre"))
    assert looks["equal"] == [pre, none]
    left, right = looks["sides"]
    assert left != right
    assert not {left, right} & {none, pre}


def marks(svg: str, kind: str) -> int:
    """Marks of one kind that are drawn: ``symbol``, ``line``, ``rule``, ``text``."""
    groups = re.findall(rf'<g class="mark-{kind} role-mark[^"]*".*?</g>', svg, re.DOTALL)
    return sum(len(re.findall("<(?:path|line|text)", group)) for group in groups)


def test_a_claims_picture_shows_each_seed_and_what_has_no_size(tiny_study: StudyResult) -> None:
    colours = arm_colours(tiny_study.arms)
    pictures = {each.claim.id: claim_picture(each, colours=colours) for each in tiny_study.claims}
    sides, lost = pictures["sides"], pictures["lost"]
    assert sides is not None
    assert marks(sides.svg, "line") == 5, "a line for each of five seeds"
    assert marks(sides.svg, "symbol") == 2 * 5 + 5 + 1 + 2, "sides, differences, mean, rows"
    assert lost is not None
    assert ">diverged<" in lost.svg
    assert "\N{MULTIPLICATION SIGN} 5" in lost.svg
    assert "that has no size" in lost.caption
