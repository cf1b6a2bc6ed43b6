"""Files whole or not at all, whatever the operating system refuses."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bninit.errors import StoreError
from bninit.store.files import (
    make_durable,
    make_folder,
    remove,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_is_there_and_nothing_else(tmp_path: Path, durable: bool) -> None:
    write_bytes(tmp_path / "a.bin", b"one", durable=durable)
    write_bytes(tmp_path / "a.bin", b"two\n\r\n", durable=durable)
    assert (tmp_path / "a.bin").read_bytes() == b"two\n\r\n"
    assert names_in(tmp_path) == ["a.bin"]


def test_files_have_the_permissions_that_the_user_set(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = {bytes([letter]) * 1_000_000 for letter in b"abcdef"}
    write_bytes(path, b"a" * 1_000_000)
    seen: set[bytes] = set()
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=poll)
    reader.start()
    for _ in range(20):
        for content in contents:
            write_bytes(path, content)
    done.set()
    reader.join()
    assert seen
    assert seen <= contents


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"former")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StoreError, match="grew too large") as caught:
            write_bytes(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"former"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["open", "fdopen", "replace", "fsync"])
@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "no space is left"),
        (errno.EROFS, "no access: Read-only file system"),
        (errno.EACCES, "no access"),
        (errno.ENOENT, "folder is not there"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_refusals_name_the_file_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, says: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a"
    path.write_bytes(b"former")
    with monkeypatch.context() as patch:
        patch.setattr(os, function, refuse)
        with pytest.raises(StoreError, match=says) as caught:
            write_bytes(path, b"new", durable=True)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"former"
    assert names_in(tmp_path) == ["a"]


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(tmp_path / "a", b"new")
    assert names_in(tmp_path) == []


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="folder is not there"):
        write_text(tmp_path / "gone" / "a", "x")
    with pytest.raises(StoreError, match="folder is not there"):
        make_durable(tmp_path / "gone" / "a")
    with pytest.raises(StoreError, match="folder is not there"):
        remove_leftovers(tmp_path / "gone")


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(StoreError, match="a file is in the way") as caught:
            make_folder(folder)
        assert caught.value.exit_code == 2


def test_a_folder_in_the_way_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError) as caught:
        write_text(tmp_path / "a", "x")
    assert caught.value.where == str(tmp_path / "a")
    with pytest.raises(StoreError):
        remove(tmp_path / "a")
    assert names_in(tmp_path) == ["a"]


def test_a_folder_without_permission(public_dir: Path, unprivileged: Callable[[], Any]) -> None:
    with unprivileged():
        if os.access(public_dir, os.W_OK, effective_ids=True):
            public_dir.chmod(0o555)
        with pytest.raises(StoreError, match="no access"):
            write_text(public_dir / "a", "x")
        with pytest.raises(StoreError, match="no access"):
            make_folder(public_dir / "b")


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    kept = ["metrics.csv", ".lock", "my.tmp", ".notes.tmp", "a.0123abcd.tmp"]
    for name in [*kept, ".metrics.csv.0123abcd.tmp", ".lock.ffffffff.tmp"]:
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(names_in(tmp_path)) == sorted(kept)


def test_what_a_killed_process_leaves_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        patch.setattr(Path, "unlink", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            write_text(tmp_path / "summary.json", "x")
    assert len(names_in(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert names_in(tmp_path) == []


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    remove(tmp_path / "a")


def test_json_is_read_back(tmp_path: Path) -> None:
    value: dict[str, object] = {"a": 0.1 + 0.2, "b": None, "c": ["ü", 10**20], "d": {}}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
