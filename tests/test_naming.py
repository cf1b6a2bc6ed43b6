"""From what a user names to runs and arms: one rule for every verb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bninit.arms import ArmRequest, find_baseline, resolve_arms, resolve_runs
from bninit.config import config_to_yaml
from bninit.errors import ConfigError, StoreError, UserError
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
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def found(arms: list[ArmRequest]) -> list[tuple[str, tuple[int, ...]]]:
    return [(arm.config.name, arm.seeds) for arm in arms]


def test_runs_and_arms_are_named_by_path_name_or_id(runs: dict[str, Run], runs_dir: Path) -> None:
    a, b = runs["a0"], runs["b0"]
    arm_folder = a.folder.parent
    for name in (arm_folder, f"{arm_folder}/", "a", a.arm, a.arm[:5], f"a-{a.arm}", a.config):
        seeds = (0,) if name is a.config else (0, 1)
        assert found(resolve_arms([name, "b"], runs_dir=runs_dir)) == [("a", seeds), ("b", (0,))]
        named = resolve_runs([name, "b", b], runs_dir=runs_dir)
        assert [(run.name, run.seed) for run in named] == [*(("a", s) for s in seeds)] + [
            ("b", 0)
        ] * 2
    one = [b.folder, f"a-{a.arm}/seed-1"]
    assert found(resolve_arms(one, runs_dir=runs_dir)) == [("b", (0,)), ("a", (1,))]
    assert [run.id for run in resolve_runs(one, runs_dir=runs_dir)] == [b.id, runs["a1"].id]


def test_a_folder_may_hold_several_arms(runs: dict[str, Run], runs_dir: Path) -> None:
    assert found(resolve_arms([runs_dir], runs_dir=runs_dir)) == [("a", (0, 1)), ("b", (0,))]
    assert len(resolve_runs([runs_dir], runs_dir=runs_dir / "elsewhere")) == 3


def test_runs_of_one_arm_come_together(runs: dict[str, Run], runs_dir: Path) -> None:
    folders = [run.folder for run in runs.values()]
    assert found(resolve_arms(folders, runs_dir=runs_dir)) == [("a", (0, 1)), ("b", (0,))]


def test_a_config_takes_finished_runs_of_any_name(
    runs: dict[str, Run], runs_dir: Path, tmp_path: Path
) -> None:
    config = runs["a0"].config
    renamed = config.model_copy(update={"name": "renamed"})
    path = tmp_path / "renamed.yaml"
    path.write_text(config_to_yaml(renamed).replace("seeds: [0]", "seeds: 3"))
    for named in (path, str(path)):
        (arm,) = resolve_arms([named], runs_dir=runs_dir)
        assert (arm.config.name, arm.seeds, arm.missing) == ("renamed", (0, 1, 2), (2,))
        assert [run.name for run in arm.finished.values()] == ["a", "a"]
        assert arm.home == runs_dir
        assert resolve_runs([named], runs_dir=runs_dir)[1].id == runs["a1"].id
    with pytest.raises(StoreError, match=r"no runs of renamed-.*\n  train this config"):
        resolve_runs([path], runs_dir=tmp_path)


def test_of_two_finished_runs_the_one_of_the_same_name_is_taken(
    keep_run: Any, runs_dir: Path
) -> None:
    keep_run("a", DONE)
    z = keep_run("z", DONE)
    (arm,) = resolve_arms([z.config], runs_dir=runs_dir)
    assert [run.name for run in arm.finished.values()] == ["z"]
    assert resolve_runs([z.config], runs_dir=runs_dir)[0].name == "z"


def test_runs_that_are_not_finished_are_missing(
    runs: dict[str, Run], keep_run: Any, runs_dir: Path
) -> None:
    (runs["a1"].folder / "summary.json").unlink()
    damaged = keep_run("a", DONE, seed=2)
    (damaged.folder / "summary.json").write_text("{")
    keep_run("a", DONE[:2], seed=3, epochs=2)
    (arm,) = resolve_arms(["a"], runs_dir=runs_dir)
    assert (arm.seeds, arm.missing, sorted(arm.finished)) == ((0, 1, 2, 3), (1, 2), [0, 3])
    assert len(resolve_runs(["a"], runs_dir=runs_dir)) == 4


def test_seeds_are_those_of_every_arm(runs: dict[str, Run], runs_dir: Path) -> None:
    arms = resolve_arms(["a", "b"], runs_dir=runs_dir, seeds=[2, 1])
    assert [arm.seeds for arm in arms] == [(1, 2), (1, 2)]
    assert [arm.missing for arm in arms] == [(2,), (1, 2)]


def test_an_arm_is_named_once(runs: dict[str, Run], runs_dir: Path) -> None:
    for again in (runs["a0"].arm, runs["a0"].folder, runs["a0"].config):
        with pytest.raises(UserError, match="are the same arm"):
            resolve_arms(["a", again], runs_dir=runs_dir)


def test_overrides_change_configs_only(runs: dict[str, Run], runs_dir: Path) -> None:
    lr = ["optim.lr=0.5"]
    arm, other = resolve_arms([runs["a0"].config, "b"], runs_dir=runs_dir, overrides=lr)
    assert (arm.config.optim.lr, other.config.optim.lr) == (0.5, 0.1)
    assert arm.finished == {}
    with pytest.raises(UserError, match=r"--set optim.lr=0.5: there is no config"):
        resolve_arms(["a", "b"], runs_dir=runs_dir, overrides=lr)


def test_what_is_unknown_is_refused_with_what_is_there(
    runs: dict[str, Run], keep_run: Any, runs_dir: Path, tmp_path: Path
) -> None:
    keep_run("bn-pre", DONE, overrides=["optim.lr=0.3"])
    (tmp_path / "empty").mkdir()
    cases: list[tuple[Any, Path, type[UserError], str]] = [
        ("something", runs_dir, StoreError, r"'something'\n  the arms there are a-"),
        ("", runs_dir, StoreError, "unknown run"),
        ("seed-0", runs_dir, StoreError, "unknown run"),
        ("a-01234567", runs_dir, StoreError, "unknown run"),
        ("../a", runs_dir, StoreError, "unknown run"),
        ("bn-pro", runs_dir, StoreError, "did you mean bn-pre"),
        (tmp_path / "nothing.yaml", runs_dir, ConfigError, r"nothing\.yaml"),
        (tmp_path / "empty", runs_dir, StoreError, "no runs in this folder"),
        ("a", tmp_path / "nowhere", StoreError, "there are no runs in"),
    ]
    for named, folder, kind, message in cases:
        with pytest.raises(kind, match=message):
            resolve_arms([named], runs_dir=folder)
        with pytest.raises(kind, match=message):
            resolve_runs([named], runs_dir=folder)


def test_a_name_of_two_arms_means_the_runs_of_both_and_no_arm(
    runs: dict[str, Run], keep_run: Any, runs_dir: Path
) -> None:
    other = keep_run("a", DONE, overrides=["optim.lr=0.3"])
    with pytest.raises(UserError, match=f"could be 2 arms.*\n.*a-{other.arm}"):
        resolve_arms(["a"], runs_dir=runs_dir)
    assert len(resolve_runs(["a"], runs_dir=runs_dir)) == 3


def test_a_folder_comes_before_the_beginning_of_an_id(
    runs: dict[str, Run], runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = runs["b0"].arm[:4]
    assert found(resolve_arms([start], runs_dir=runs_dir)) == [("b", (0,))]
    runs["a0"].folder.parent.parent.rename(tmp_path / start)
    assert len(resolve_runs([start], runs_dir=tmp_path / start)) == 3


def test_the_baseline_is_one_of_the_arms(
    runs: dict[str, Run], runs_dir: Path, tmp_path: Path
) -> None:
    folder = runs["a0"].folder.parent
    arms = resolve_arms([folder, "b"], runs_dir=runs_dir)
    a, b = runs["a0"].arm, runs["b0"].arm
    path = tmp_path / "b.yaml"
    path.write_text(config_to_yaml(runs["b0"].config))
    assert find_baseline(None, arms) == find_baseline(str(folder), arms) == a
    for text in ("b", b, b[:4], f"b-{b}", str(path)):
        assert find_baseline(text, arms) == b
    with pytest.raises(UserError, match=f"'c' is none of the arms\n  the arms are a-{a}, b-{b}"):
        find_baseline("c", arms)
