"""Finding runs: all of them, only them, and quickly."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store import find_runs, match_runs
from bninit.store.summary import with_check_sums


@pytest.fixture
def many(runs_dir: Path, finished: Path) -> Path:
    """1,000 finished runs in 100 arms."""
    summary = json.loads((finished / "summary.json").read_text())
    for number in range(1000):
        arm, seed = f"{number // 10:08x}", number % 10
        folder = runs_dir / f"many-{arm}" / f"seed-{seed}"
        folder.mkdir(parents=True)
        own = with_check_sums({**summary, "name": "many", "arm": arm, "seed": seed}, {})
        (folder / "summary.json").write_text(json.dumps(own, indent=2))
    return runs_dir


def quickest(function: Callable[[], int]) -> tuple[float, int]:
    """Shortest of a few times in seconds, and the result."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        found = function()
        times.append(time.perf_counter() - began)
    return min(times), found


def test_a_thousand_runs_are_listed_about_as_quickly_as_their_files_are_read(many: Path) -> None:
    def plainly() -> int:
        paths = sorted(many.glob("*/*/summary.json"))
        return sum(json.loads(path.read_text())["epochs"] >= 0 for path in paths)

    def ours() -> int:
        return sum(run.status == "done" for run in find_runs(many))

    plain_seconds, plain_found = quickest(plainly)
    our_seconds, our_found = quickest(ours)
    assert plain_found == our_found == 1001
    assert our_seconds < 5 * plain_seconds


def test_listing_imports_nothing_heavy(finished: Path, half: Path, runs_dir: Path) -> None:
    script = """
import sys
from bninit.store import find_runs, match_runs
for run in find_runs(sys.argv[1]):
    print(run.status, run.summary and run.summary["test_accuracy"])
print(sorted({"torch", "numpy", "pandas", "pydantic", "yaml", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(runs_dir)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "done 0.75\n[]\n"


def test_only_runs_are_found_in_order(
    runs_dir: Path, configure: Callable[..., Config], tell: Any
) -> None:
    for name, seed in (("b", 10), ("b", 9), ("a", 3)):
        tell(configure(name=name, train={"epochs": 1}), seed=seed).play(runs_dir)
    arm = arm_id(configure(train={"epochs": 1}))
    for other in ("claims", "a-1234", f"a-{arm}/seed-x", f"a-{arm}/old", "a-01234567"):
        (runs_dir / other).mkdir()
    (runs_dir / "notes.txt").write_text("")
    (runs_dir / "b-01234567").write_text("")
    (runs_dir / f"a-{arm}" / "seed-7").write_text("")
    assert [run.id for run in find_runs(runs_dir)] == [
        f"a-{arm}/seed-3",
        f"b-{arm}/seed-9",
        f"b-{arm}/seed-10",
    ]
    assert [run.seed for run in find_runs(runs_dir / f"b-{arm}")] == [9, 10]
    assert [run.seed for run in find_runs(runs_dir / f"b-{arm}" / "seed-9")] == [9]
    assert len(find_runs(runs_dir, runs_dir / f"b-{arm}")) == 3


def test_the_folder_of_all_runs_may_be_named_like_an_arm(
    tmp_path: Path, config: Config, tell: Any
) -> None:
    runs_dir = tmp_path / "study-01234567"
    tell(config).play(runs_dir, until=0)
    assert [run.name for run in find_runs(runs_dir)] == ["tiny"]


def test_runs_is_the_default(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [run.folder for run in find_runs()] == [finished.relative_to(tmp_path)]


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == []


def test_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("none", "file", "file/x", "x-01234567", "x-01234567/seed-0"):
        with pytest.raises(StoreError, match="no such folder") as caught:
            find_runs(tmp_path / place)
        assert caught.value.where == str(tmp_path / place)


def test_a_folder_that_must_not_be_read(
    public_dir: Path, unprivileged: Callable[[], Any], config: Config, tell: Any
) -> None:
    tell(config).play(public_dir, until=0)
    [arm] = public_dir.iterdir()
    arm.chmod(0)
    with unprivileged():
        assert find_runs(public_dir) == []
    arm.chmod(0o755)
    public_dir.chmod(0)
    with unprivileged(), pytest.raises(StoreError, match="cannot be read"):
        find_runs(public_dir)
    public_dir.chmod(0o755)


def test_a_read_only_folder_is_read(
    public_dir: Path, unprivileged: Callable[[], Any], config: Config, tell: Any
) -> None:
    tell(config).play(public_dir)
    for path in (public_dir, *public_dir.rglob("*")):
        path.chmod(0o555)
    with unprivileged():
        [run] = find_runs(public_dir)
        assert run.status == "done"
        assert len(run.metrics()) == 4
        run.load_network()


@pytest.mark.parametrize("way", ["folder", "arm folder", "id", "arm", "name", "digits", "slash"])
def test_what_a_user_may_say(
    runs_dir: Path, finished: Path, config: Config, tell: Any, way: str
) -> None:
    tell(config, seed=1).play(runs_dir, until=0)
    said, seeds = {
        "folder": (str(finished), [0]),
        "arm folder": (str(finished.parent), [0, 1]),
        "id": (f"tiny-{arm_id(config)}/seed-1", [1]),
        "slash": (f"tiny-{arm_id(config)}/seed-1/", [1]),
        "arm": (f"tiny-{arm_id(config)}", [0, 1]),
        "name": ("tiny", [0, 1]),
        "digits": (arm_id(config)[:4], [0, 1]),
    }[way]
    assert [run.seed for run in match_runs(said, runs_dir=runs_dir)] == seeds


@pytest.mark.parametrize("text", ["", "/", "tin", "tiny-01234567", "seed-0", "../tiny", "nope"])
def test_what_is_not_there_is_told_with_what_is(
    runs_dir: Path, finished: Path, config: Config, text: str
) -> None:
    with pytest.raises(StoreError) as caught:
        match_runs(text, runs_dir=runs_dir)
    if text != "/":
        assert f"tiny-{arm_id(config)}" in str(caught.value)


def test_nothing_there_at_all(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there are no runs"):
        match_runs("x", runs_dir=tmp_path / "none")
