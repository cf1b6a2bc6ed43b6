"""One writer for each run, also when it is killed, or its folder is taken away."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bninit.errors import StoreError
from bninit.store.files import RunLock, is_locked

HOLD = """
import sys
from pathlib import Path
from bninit.store.files import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_second_process_is_told(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        assert is_locked(tmp_path)
        with pytest.raises(StoreError, match="another process is training this run") as caught:
            RunLock(tmp_path)
        assert str(tmp_path) in str(caught.value)
        assert other.stdin
        assert other.stdout
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "released\n"
        assert not is_locked(tmp_path)
        RunLock(tmp_path).release()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        other.kill()
        other.wait()
        assert not is_locked(tmp_path)
        RunLock(tmp_path).release()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with pytest.raises(StoreError, match="another process"):
        RunLock(tmp_path)
    lock.release()
    lock.release()
    RunLock(tmp_path).release()


def test_looking_does_not_take_it(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "none")
    assert not list(tmp_path.iterdir())
    lock = RunLock(tmp_path)
    assert is_locked(tmp_path)
    lock.release()
    assert not is_locked(tmp_path)


def test_a_folder_that_was_removed_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    lock = RunLock(folder)
    lock.check()
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="folder is not there"):
        lock.check()
    folder.mkdir()
    with pytest.raises(StoreError, match="replaced by another"):
        lock.check()
    other = RunLock(folder)
    other.check()
    other.release()
    lock.release()


def test_no_permission_is_named(public_dir: Path, unprivileged: Callable[[], Any]) -> None:
    public_dir.chmod(0o555)
    with unprivileged(), pytest.raises(StoreError, match="no access"):
        RunLock(public_dir)


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def cannot(*_: object, **__: object) -> None:
        raise NotImplementedError("no flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", cannot)
    with pytest.raises(StoreError, match="cannot lock files"):
        RunLock(tmp_path)
