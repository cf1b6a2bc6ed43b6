"""One idx file of the MNIST family: verified here, unpacked and parsed by torchvision.

An idx file is a header (type, number of extents, extents, all big-endian) and then the values, one
byte each. torchvision's parser takes header and size for granted, so they are checked first.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bninit.data.faults import DamagedDataError
from bninit.data.images import Bytes
from bninit.errors import DataError


@dataclass(frozen=True)
class IdxFile:
    """One of the files of a data set.

    Attributes:
        stem: Name of the uncompressed file.
        shape: Extents that its header must tell: (image, row, column), or (image,) for labels.
    """

    stem: str
    shape: tuple[int, ...]

    @property
    def compressed(self) -> str:
        """Name of the compressed file, under which it is downloaded."""
        return f"{self.stem}.gz"


def read_idx(file: IdxFile, path: Path, *, md5: str) -> Bytes:
    """Verify and read one file; nothing is written beside it.

    Args:
        file: What is expected.
        path: The compressed or the uncompressed file, told apart by name.
        md5: MD5 sum that the compressed file must have.

    Returns:
        The values, in the shape of `file`, uint8.

    Raises:
        DamagedDataError: The file is truncated, altered, empty, unreadable or another one.
        DataError: There is no room to unpack the file.
    """
    if path.name == file.stem:
        return _parse(file, path, named=path)
    _check_md5(path, md5=md5)
    from torchvision.datasets.utils import extract_archive

    try:
        with tempfile.TemporaryDirectory(prefix="bninit-") as scratch:
            return _parse(file, Path(extract_archive(str(path), scratch)), named=path)
    except OSError as error:
        raise DataError(
            f"cannot be unpacked into the temporary folder: {error.strerror or error}",
            where=str(path),
            hint="make room there, or name another temporary folder with $TMPDIR",
        ) from error


def is_verified(path: Path, *, md5: str) -> bool:
    """Tell whether a compressed file is there, readable, and has this MD5 sum."""
    from torchvision.datasets.utils import check_integrity

    try:
        return bool(check_integrity(str(path), md5))
    except OSError:
        return False


def _check_md5(path: Path, *, md5: str) -> None:
    from torchvision.datasets.utils import calculate_md5

    try:
        found, num_bytes = calculate_md5(str(path)), path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if num_bytes == 0:
        raise _damaged(path, "is empty")
    if found != md5:
        what = f"is damaged, or another file: {num_bytes:,} bytes, MD5 {found}, expected {md5}"
        raise _damaged(path, what)


def _parse(file: IdxFile, path: Path, *, named: Path) -> Bytes:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    read = read_label_file if len(file.shape) == 1 else read_image_file
    try:
        _check_header(file, path, named=named)
        values = read(str(path)).numpy()
    except OSError as error:
        raise _unreadable(named, error) from error
    return np.asarray(values, dtype=np.uint8)


def _check_header(file: IdxFile, path: Path, *, named: Path) -> None:
    num_header_bytes = 4 * (1 + len(file.shape))
    with path.open("rb") as stream:
        header = stream.read(num_header_bytes)
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise _damaged(named, "is empty")
    # 8 stands for unsigned bytes.
    if header[:4] != bytes((0, 0, 8, len(file.shape))) or len(header) < num_header_bytes:
        raise _damaged(named, f"is not an idx file of this kind: it begins with {header[:4].hex()}")
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
    if shape != file.shape:
        raise _damaged(named, f"holds {_by(shape)} values, expected {_by(file.shape)}")
    expected = num_header_bytes + math.prod(file.shape)
    if num_bytes != expected:
        fault = "truncated" if num_bytes < expected else "too long"
        raise _damaged(named, f"is {fault}: {num_bytes:,} bytes, expected {expected:,}")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{extent:,}" for extent in shape)


def _damaged(path: Path, what: str) -> DamagedDataError:
    return DamagedDataError(what, where=str(path))


def _unreadable(path: Path, error: OSError) -> DamagedDataError:
    return _damaged(path, f"cannot be read: {error.strerror or error}")
