"""Files that may be anything: read, or named with what is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bninit.errors import StoreError
from bninit.store.files import (
    MAX_JSON_BYTES,
    DamagedFileError,
    need_bytes,
    read_bytes,
    read_json,
)


def test_nothing_is_nothing_or_damage(tmp_path: Path) -> None:
    assert read_bytes(tmp_path / "a") is None
    assert read_json(tmp_path / "a") is None
    with pytest.raises(DamagedFileError, match="missing"):
        need_bytes(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\0" * 4096, "empty"),
        (b"{", "not JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b"[1]", "not an object"),
        (b"7", "not an object"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b" " * (MAX_JSON_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_json_object_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=says) as caught:
        read_json(path)
    assert caught.value.where == str(path)


@settings(deadline=None)
@given(content=st.binary(max_size=40))
def test_any_bytes_are_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        found: object = read_json(path)
    except DamagedFileError as error:
        found = error.where
    assert isinstance(found, dict) or found == str(path)


def test_folders_pipes_and_loops_do_not_keep_it_waiting(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(DamagedFileError, match="not a file"):
            read_bytes(tmp_path / name)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StoreError, match="cannot be read"):
        read_bytes(tmp_path / "loop")


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(DamagedFileError):
            read_bytes(tmp_path / "folder")
        read_bytes(tmp_path / "file")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
