"""From what a user names to arms and their finished runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bninit.arms import AskedArm, asked_arms, find_baseline
from bninit.config import config_to_yaml
from bninit.errors import ConfigError, UserError
from bninit.store import Run

BN = ("model.norm.placement=pre",)
DONE = [0.1, 0.6, 0.7]


@pytest.fixture
def runs(keep_run: Any) -> dict[str, Run]:
    return {
        "a0": keep_run("a", DONE, seed=0),
        "a1": keep_run("a", DONE, seed=1),
        "b0": keep_run("b", DONE, seed=0, overrides=BN),
    }


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[AskedArm]]:
    def asked(*arms: Any, **options: Any) -> list[AskedArm]:
        return asked_arms(arms, runs_dir=tmp_path / "runs", **options)

    return asked


def found(arms: list[AskedArm]) -> list[tuple[str, tuple[int, ...]]]:
    return [(arm.config.name, arm.seeds) for arm in arms]


def test_arms_are_named_by_path_name_or_id(runs: dict[str, Run], ask: Any) -> None:
    a, b = runs["a0"], runs["b0"]
    for name in (a.folder.parent, str(a.folder.parent) + "/", "a", a.arm, a.arm[:5], f"a-{a.arm}"):
        assert found(ask(name, "b")) == [("a", (0, 1)), ("b", (0,))]
    assert found(ask(b.folder, f"a-{a.arm}/seed-1")) == [("b", (0,)), ("a", (1,))]


def test_a_folder_may_hold_several_arms(runs: dict[str, Run], ask: Any, tmp_path: Path) -> None:
    assert found(ask(tmp_path / "runs")) == [("a", (0, 1)), ("b", (0,))]


def test_runs_of_one_arm_come_together(runs: dict[str, Run], ask: Any) -> None:
    assert found(ask(*(run.folder for run in runs.values()))) == [("a", (0, 1)), ("b", (0,))]


def test_a_config_takes_finished_runs_of_any_name(
    runs: dict[str, Run], ask: Any, tmp_path: Path
) -> None:
    config = runs["a0"].config
    renamed = config.model_copy(update={"name": "renamed"})
    path = tmp_path / "renamed.yaml"
    path.write_text(config_to_yaml(renamed).replace("seeds: [0]", "seeds: 3"))
    for named in (path, str(path)):
        (arm,) = ask(named)
        assert (arm.config.name, arm.seeds, arm.missing) == ("renamed", (0, 1, 2), (2,))
        assert [run.name for run in arm.finished.values()] == ["a", "a"]
        assert arm.home == tmp_path / "runs"


def test_of_two_finished_runs_the_one_of_the_same_name_is_taken(keep_run: Any, ask: Any) -> None:
    keep_run("a", DONE)
    z = keep_run("z", DONE)
    (arm,) = ask(z.config)
    assert [run.name for run in arm.finished.values()] == ["z"]


def test_runs_that_are_not_finished_are_missing(
    runs: dict[str, Run], keep_run: Any, ask: Any
) -> None:
    (runs["a1"].folder / "summary.json").unlink()
    damaged = keep_run("a", DONE, seed=2)
    (damaged.folder / "summary.json").write_text("{")
    keep_run("a", DONE[:2], seed=3, epochs=2)
    (arm,) = ask("a")
    assert (arm.seeds, arm.missing, sorted(arm.finished)) == ((0, 1, 2, 3), (1, 2), [0, 3])


def test_seeds_are_those_of_every_arm(runs: dict[str, Run], ask: Any) -> None:
    arms = ask("a", "b", seeds=[2, 1])
    assert [arm.seeds for arm in arms] == [(1, 2), (1, 2)]
    assert [arm.missing for arm in arms] == [(2,), (1, 2)]


def test_an_arm_is_named_once(runs: dict[str, Run], ask: Any) -> None:
    for again in (runs["a0"].arm, runs["a0"].folder, runs["a0"].config):
        with pytest.raises(UserError, match="are the same arm"):
            ask("a", again)


def test_overrides_change_configs_only(runs: dict[str, Run], ask: Any) -> None:
    (arm, other) = ask(runs["a0"].config, "b", overrides=["optim.lr=0.5"])
    assert (arm.config.optim.lr, other.config.optim.lr) == (0.5, 0.1)
    assert arm.finished == {}
    with pytest.raises(UserError, match=r"--set optim.lr=0.5: there is no config"):
        ask("a", "b", overrides=["optim.lr=0.5"])


def test_what_is_not_there_is_told_with_what_is(
    runs: dict[str, Run], keep_run: Any, ask: Any, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"no file or folder 'something'.*\n  the arms in .* are a-"
    ):
        ask("something")
    keep_run("bn-pre", DONE, overrides=["optim.lr=0.3"])
    with pytest.raises(UserError, match="did you mean bn-pre"):
        ask("bn-pro")
    with pytest.raises(ConfigError, match=r"nothing\.yaml"):
        ask(tmp_path / "nothing.yaml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no runs in this folder"):
        ask(tmp_path / "empty")
    with pytest.raises(UserError, match="there are no runs in"):
        asked_arms(["a"], runs_dir=tmp_path / "nowhere")


def test_a_name_of_two_arms_is_told(runs: dict[str, Run], keep_run: Any, ask: Any) -> None:
    other = keep_run("a", DONE, overrides=["optim.lr=0.3"])
    with pytest.raises(UserError, match=f"could be 2 arms.*\n.*a-{other.arm}"):
        ask("a")


def test_the_baseline_is_one_of_the_arms(runs: dict[str, Run], ask: Any, tmp_path: Path) -> None:
    arms = ask(runs["a0"].folder.parent, "b")
    a, b = runs["a0"].arm, runs["b0"].arm
    path = tmp_path / "b.yaml"
    path.write_text(config_to_yaml(runs["b0"].config))
    assert find_baseline(None, arms) == a
    for text in ("b", b, b[:4], f"b-{b}", str(path)):
        assert find_baseline(text, arms) == b
    assert find_baseline(str(runs["a0"].folder.parent), arms) == a
    with pytest.raises(UserError, match=f"'c' is none of the arms\n  the arms are a-{a}, b-{b}"):
        find_baseline("c", arms)
