"""Crashes and full disks at any write: each file stays whole, and at most an epoch is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bninit.config import Config, arm_id
from bninit.errors import StoreError
from bninit.store import Run, is_finished
from bninit.store.inspection import inspect

Results = Callable[[Path], dict[str, bytes]]


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, bytes]:
    """Filled by the first test that needs it."""
    return {}


@pytest.fixture
def expected(
    tmp_path: Path, config: Config, tell: Any, results: Results, undisturbed: dict[str, bytes]
) -> dict[str, bytes]:
    if not undisturbed:
        tell(config).play(tmp_path / "undisturbed")
        undisturbed |= results(tmp_path / "undisturbed" / f"tiny-{arm_id(config)}" / "seed-0")
    return undisturbed


def interrupt(
    patch: pytest.MonkeyPatch, *, at: int, before: bool, error: BaseException
) -> Callable[[], int]:
    """Make the replacement of a file number `at` fail, before or after it is done."""
    real = os.replace
    count = 0

    def replace(*paths: Any) -> None:
        nonlocal count
        count += 1
        if count == at and before:
            raise error
        real(*paths)
        if count == at:
            raise error

    patch.setattr(os, "replace", replace)
    return lambda: count


def check_that_readers_see_a_run(folder: Path) -> None:
    """Whatever has happened: each file is whole, and where there is a summary, there is all."""
    run = Run(folder)
    assert run.problem is None
    assert run.status in ("partial", "done")
    if (folder / "metrics.csv").exists():
        rows = run.rows()
        assert [row.epoch for row in rows] == list(range(len(rows)))
        assert run.step_losses().size >= rows[-1].step
    if run.status == "done":
        assert len(run.rows()) == 4
        run.load_network()


NUM_WRITES = 2 + 4 * 3 + 3
"""Config and environment; three files for each of four epochs; weights, environment, summary."""


def test_the_number_of_writes(
    runs_dir: Path, config: Config, tell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        count = interrupt(patch, at=0, before=True, error=KilledError())
        tell(config).play(runs_dir)
    assert count() == NUM_WRITES


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, NUM_WRITES + 1))
def test_a_crash_at_any_write_loses_at_most_an_epoch(
    runs_dir: Path,
    seed_dir: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    before: bool,
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, at=at, before=before, error=KilledError())
        # A killed process does not tidy up.
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(KilledError):
            tell(config).play(runs_dir)
    if before:
        assert [path for path in seed_dir.iterdir() if path.suffix == ".tmp"]
    check_that_readers_see_a_run(seed_dir)
    found = inspect(seed_dir, arm=arm_id(config), seed=0)
    assert found.notes == ()
    checkpoints_written = max(0, (at - 2 - (1 if before else 0)) // 3)
    if found.status == "partial" and checkpoints_written:
        assert found.checkpoint
        assert found.checkpoint.epoch == min(checkpoints_written, 4) - 1
    assert tell(config).play(runs_dir) == []
    check_that_readers_see_a_run(seed_dir)
    assert results(seed_dir) == expected
    assert not [p for p in seed_dir.iterdir() if p.suffix == ".tmp" or "checkpoint" in p.name]


@pytest.mark.parametrize("at", range(1, NUM_WRITES + 1))
def test_a_disk_that_is_full_at_any_write(
    runs_dir: Path,
    seed_dir: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        interrupt(patch, at=at, before=True, error=full)
        with pytest.raises(StoreError, match="no space is left") as caught:
            tell(config).play(runs_dir)
    assert caught.value.where
    assert caught.value.where.startswith(str(seed_dir))
    assert not [path for path in seed_dir.iterdir() if path.suffix == ".tmp"]
    check_that_readers_see_a_run(seed_dir)
    assert tell(config).play(runs_dir) == []
    assert results(seed_dir) == expected


def test_two_crashes_in_a_row(
    runs_dir: Path,
    seed_dir: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for at in (9, 4, 5, 3, 2):
        with monkeypatch.context() as patch:
            interrupt(patch, at=at, before=False, error=KilledError())
            with pytest.raises(KilledError):
                tell(config).play(runs_dir)
        check_that_readers_see_a_run(seed_dir)
    tell(config).play(runs_dir)
    assert results(seed_dir) == expected


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_crash_while_targets_are_answered(
    runs_dir: Path,
    finished: Path,
    configure: Callable[..., Config],
    tell: Any,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    asked = configure(targets=[0.6])
    with monkeypatch.context() as patch:
        count = interrupt(patch, at=at, before=False, error=KilledError())
        try:
            tell(asked).play(runs_dir)
        except KilledError:
            check_that_readers_see_a_run(finished)
    assert count() == min(at, 2)
    assert tell(asked).play(runs_dir) == []
    assert is_finished(runs_dir, asked, 0)
