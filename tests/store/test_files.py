"""Files whole or not at all, whatever the operating system refuses, and one writer per folder."""

from __future__ import annotations

import errno
import math
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scripted import Story

from bninit.errors import StoreError
from bninit.store import files, names
from bninit.store.files import DamagedFileError, RunLock, is_locked, json_text, write_bytes


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_there_with_the_users_permissions(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        for content, durable in ((b"one", False), (b"two\n\r\n", True)):
            write_bytes(tmp_path / "a.bin", content, durable=durable)
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").read_bytes() == b"two\n\r\n"
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640
    assert names_in(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("function", ["open", "fdopen", "replace", "fsync"])
@pytest.mark.parametrize(
    ("number", "says", "code"),
    [
        (errno.ENOSPC, "no space is left", 1),
        (errno.EDQUOT, "no space is left", 1),
        (errno.EFBIG, "the file grew too large", 1),
        (errno.EROFS, "no access: Read-only file system", 2),
        (errno.ENOENT, "folder is not there", 1),
        (errno.EIO, "Input/output error", 1),
    ],
)
def test_refusals_name_the_file_and_leave_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    number: int,
    says: str,
    code: int,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a"
    path.write_bytes(b"former")
    with monkeypatch.context() as patch:
        patch.setattr(os, function, refuse)
        with pytest.raises(StoreError, match=says) as caught:
            write_bytes(path, b"new", durable=True)
    assert (caught.value.where, caught.value.exit_code) == (str(path), code)
    assert path.read_bytes() == b"former"
    assert names_in(tmp_path) == ["a"]


def test_an_interrupt_leaves_nothing_and_a_kill_what_the_next_writer_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    kept = [".lock", ".notes.tmp", "a.0123abcd.tmp", "my.tmp"]
    for name in kept:
        (tmp_path / name).write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(tmp_path / "summary.json", b"new")
        assert names_in(tmp_path) == kept
        patch.setattr(Path, "unlink", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(tmp_path / "summary.json", b"new")
    assert len(names_in(tmp_path)) == 5
    files.remove_leftovers(tmp_path)
    assert names_in(tmp_path) == kept
    assert not any(names.TEMPORARY.fullmatch(name) for name in (*names.RESULTS, names.CONFIG))


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    table: list[tuple[Callable[[Path], object], str, str]] = [
        (files.make_folder, "file", "a file is in the way"),
        (files.make_folder, "file/b", "a file is in the way"),
        (lambda path: write_bytes(path, b""), "folder", "a folder is in the way"),
        (lambda path: write_bytes(path, b""), "gone/a", "folder is not there"),
        (files.remove, "folder", "."),
        (files.make_durable, "gone/a", "folder is not there"),
        (files.remove_leftovers, "gone", "folder is not there"),
    ]
    for call, place, says in table:
        with pytest.raises(StoreError, match=says) as caught:
            call(tmp_path / place)
        assert caught.value.where == str(tmp_path / place)
    files.remove(tmp_path / "nothing")
    assert names_in(tmp_path) == ["file", "folder"]


@dataclass(frozen=True)
class Point:
    x: float
    places: tuple[int, ...]


def test_json_has_null_for_what_is_not_finite_and_plain_values_for_numpy(tmp_path: Path) -> None:
    value = {
        "z": math.nan,
        "a": [math.inf, -math.inf, 0.1 + 0.2, "ü", 10**20],
        "array": np.array([[1.0, np.nan], [2.0, 3.0]]),
        "scalars": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64("nan")),
        "point": Point(math.nan, (1, 2)),
        "when": datetime(2020, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }
    files.write_json(tmp_path / "a.json", value)
    found = files.read_json(tmp_path / "a.json")
    assert found == {
        "z": None,
        "a": [None, None, 0.1 + 0.2, "ü", 10**20],
        "array": [[1.0, None], [2.0, 3.0]],
        "scalars": [0.5, 3, True, None],
        "point": {"x": None, "places": [1, 2]},
        "when": "2020-01-02T03:04:05+00:00",
    }
    assert list(found) == list(value), "keys keep their order"
    assert json_text({"name": "ö"}) == '{\n  "name": "ö"\n}\n'
    assert json_text(["ö"], ascii_only=True) == '[\n  "\\u00f6"\n]\n'
    with pytest.raises(TypeError):
        json_text({"one": object()})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "empty"),
        (b"{", "not valid JSON"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "1e999 is not a number"),
        (b"[1]", "not an object"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b" " * (files.MAX_JSON_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_json_object_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=says) as caught:
        files.read_json(path)
    assert caught.value.where == str(path)


def test_folders_pipes_and_loops_neither_keep_it_waiting_nor_stay_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name, says in (("folder", "not a file"), ("pipe", "not a file"), ("loop", "cannot be")):
        with pytest.raises(StoreError, match=says):
            files.read_bytes(tmp_path / name)
    assert files.read_bytes(tmp_path / "nothing") is None
    with pytest.raises(DamagedFileError, match="missing"):
        files.read_file(tmp_path / "nothing", bytes)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


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


@pytest.mark.parametrize("ends", ["released", "killed"])
def test_one_process_holds_a_folder_until_it_ends(tmp_path: Path, ends: str) -> None:
    with holding(tmp_path) as other:
        assert is_locked(tmp_path)
        with pytest.raises(files.HeldError, match="another process is training this run") as caught:
            RunLock(tmp_path)
        assert caught.value.where == str(tmp_path)
        if ends == "killed":
            other.kill()
            other.wait()
        else:
            assert other.stdin
            assert other.stdout
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "released\n"
        assert not is_locked(tmp_path)
        RunLock(tmp_path).release()


def test_the_same_process_cannot_hold_it_twice_and_looking_takes_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not is_locked(tmp_path / "none")
    assert not list(tmp_path.iterdir())
    lock = RunLock(tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(StoreError, match="another process"):
        RunLock(tmp_path)
    lock.release()
    lock.release()
    assert not is_locked(tmp_path)
    RunLock(tmp_path).release()


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def cannot(*_: object, **__: object) -> None:
        raise NotImplementedError("no flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", cannot)
    with pytest.raises(StoreError, match="cannot lock files"):
        RunLock(tmp_path)


PERMISSIONS = """
import os, sys
from pathlib import Path
import bninit, pandas, torch
from bninit.errors import StoreError
from bninit.nets import reference
from bninit.store import Run, RunWriter, files, find_runs, names, summary, tensors
from bninit.config import load_config

def refusal(call, *args):
    try:
        call(*args)
    except StoreError as error:
        print(error.what, "|", error.hint)

runs, hidden, closed = map(Path, sys.argv[1:])
config = load_config(next(runs.glob("*/*/config.yaml")))
# Loaded before, as another user may not be able to read the interpreter's own folder.
Run(next(runs.glob("*/seed-0"))).load_network()
Run(next(runs.glob("*/seed-0"))).metrics()
import filelock
if os.geteuid() == 0:
    os.seteuid(65534)
[run] = find_runs(runs)
print(run.status, len(run.metrics()), type(run.load_network()).__name__, find_runs(hidden))
refusal(find_runs, closed)
refusal(RunWriter, runs, config, 0)
refusal(RunWriter, runs, config, 1)
refusal(files.write_text, runs / "a", "x")
"""
"""What a user without permission sees; in a process of its own, as it cannot go back."""


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_read_only_folders_are_read_and_closed_ones_named(public_dir: Path) -> None:
    runs, hidden, closed = (public_dir / name for name in ("runs", "hidden", "closed"))
    Story().play(runs)
    shutil.copytree(runs, hidden)
    closed.mkdir()
    next(hidden.iterdir()).chmod(0)
    closed.chmod(0)
    for path in (runs, *runs.rglob("*")):
        path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", PERMISSIONS, runs, hidden, closed],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    first, *refusals = done.stdout.splitlines()
    assert first == "done 4 Sequential []"
    assert refusals[0].startswith("cannot be read: Permission denied")
    for refusal in refusals[1:]:
        assert refusal.startswith("no access: Permission denied | choose another folder with --run")
    assert len(refusals) == 4
