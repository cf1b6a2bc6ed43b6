"""One idx file: read exactly, and every kind of damage named."""

from __future__ import annotations

import gzip
import hashlib
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bninit.data.catalog import DamagedDataError
from bninit.data.files import IdxFile, is_verified, read_idx
from bninit.errors import DataError

LABELS = IdxFile("labels-idx1-ubyte", (5,))
IMAGES = IdxFile("images-idx3-ubyte", (2, 3, 4))
# Written by hand from the description of the format.
LABEL_BYTES = bytes([0, 0, 8, 1, 0, 0, 0, 5, 9, 0, 255, 3, 1])
IMAGE_BYTES = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, *range(24)])


def _place(folder: Path, file: IdxFile, content: bytes, *, compressed: bool) -> tuple[Path, str]:
    data = gzip.compress(content, mtime=0) if compressed else content
    path = folder / (file.compressed if compressed else file.stem)
    path.write_bytes(data)
    return path, hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("compressed", [True, False])
def test_values_and_shape(tmp_path: Path, compressed: bool) -> None:
    path, md5 = _place(tmp_path, LABELS, LABEL_BYTES, compressed=compressed)
    labels = read_idx(LABELS, path, md5=md5)
    assert labels.tolist() == [9, 0, 255, 3, 1]
    assert labels.dtype == np.uint8
    path, md5 = _place(tmp_path, IMAGES, IMAGE_BYTES, compressed=compressed)
    assert (read_idx(IMAGES, path, md5=md5) == np.arange(24).reshape(2, 3, 4)).all()


def test_nothing_is_left_beside_the_file_or_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    path, md5 = _place(tmp_path / "data", LABELS, LABEL_BYTES, compressed=True)
    read_idx(LABELS, path, md5=md5)
    assert list((tmp_path / "data").iterdir()) == [path]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_every_flipped_bit_of_a_compressed_file_is_found(tmp_path: Path) -> None:
    path, md5 = _place(tmp_path, LABELS, LABEL_BYTES, compressed=True)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DamagedDataError, match=r"labels-idx1-ubyte\.gz: is damaged"):
            read_idx(LABELS, path, md5=md5)


@pytest.mark.parametrize("compressed", [True, False])
def test_every_truncation_is_found(tmp_path: Path, compressed: bool) -> None:
    path, md5 = _place(tmp_path, IMAGES, IMAGE_BYTES, compressed=compressed)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedDataError, match=r"images-idx3-ubyte(\.gz)?: is ") as caught:
            read_idx(IMAGES, path, md5=md5)
        assert ("is empty" in str(caught.value)) == (length == 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LABEL_BYTES[:-1], "is truncated: 12 bytes, expected 13"),
        (LABEL_BYTES + b"\0", "is too long: 14 bytes, expected 13"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes(4), "holds 4 values, expected 5"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 2**32 - 1) + bytes(5), "4,294,967,295 values"),
        (struct.pack(">BBBBI", 0, 0, 13, 1, 5) + bytes(20), "not an idx file of this kind"),
        (IMAGE_BYTES, "not an idx file of this kind"),
        (b"<html>404</html>", "not an idx file of this kind"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_another_content_is_named(
    tmp_path: Path, content: bytes, message: str, compressed: bool
) -> None:
    path, md5 = _place(tmp_path, LABELS, content, compressed=compressed)
    with pytest.raises(DamagedDataError, match=message) as caught:
        read_idx(LABELS, path, md5=md5)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_an_unreadable_file_is_named(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / (LABELS.compressed if compressed else LABELS.stem)
    path.mkdir()
    with pytest.raises(DamagedDataError, match=f"{path.name}: cannot be read: Is a directory"):
        read_idx(LABELS, path, md5="0" * 32)


def test_no_room_to_unpack_is_told_apart_from_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, md5 = _place(tmp_path, LABELS, LABEL_BYTES, compressed=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="temporary folder") as caught:
        read_idx(LABELS, path, md5=md5)
    assert not isinstance(caught.value, DamagedDataError)
    assert "$TMPDIR" in str(caught.value)


def test_is_verified(tmp_path: Path) -> None:
    path, md5 = _place(tmp_path, LABELS, LABEL_BYTES, compressed=True)
    assert is_verified(path, md5=md5)
    assert not is_verified(path, md5="0" * 32)
    assert not is_verified(tmp_path / "absent", md5=md5)
