"""Reading files that may be damaged, or another's: they are data, and what is wrong is named."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from bninit.errors import StoreError

T = TypeVar("T")

MAX_JSON_BYTES = 4_000_000
"""Largest JSON file that is read."""

TRAIN_AGAIN = "the same command trains this run again"


class DamagedFileError(StoreError):
    """A file of a run is there, and is not what was written; or it is missing beside others."""


def damaged(path: Path, what: str) -> DamagedFileError:
    """The error for a file that is not what was written."""
    return DamagedFileError(what, where=str(path), hint=TRAIN_AGAIN)


def read_bytes(path: Path, *, max_bytes: int | None = None) -> bytes | None:
    """Read a file.

    Args:
        path: The file.
        max_bytes: A file larger than this is not ours.

    Returns:
        Its content; None when there is none.

    Raises:
        DamagedFileError: It is too large.
        StoreError: It is there and cannot be read.
    """
    try:
        # Without O_NONBLOCK a pipe that someone left here would keep a listing waiting.
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise damaged(path, "this is a folder or a device, not a file")
        if max_bytes is not None and info.st_size > max_bytes:
            raise damaged(path, f"it is larger than {max_bytes} bytes")
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            return file.readall()
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def check_is_file(path: Path) -> None:
    """Make sure that what stands here, if anything does, is a file: a pipe would not end.

    Raises:
        DamagedFileError: It is something else.
    """
    if path.exists() and not path.is_file():
        raise damaged(path, "this is a folder or a device, not a file")


def need_bytes(path: Path) -> bytes:
    """Read a file that has to be there.

    Raises:
        DamagedFileError: It is missing.
        StoreError: It cannot be read.
    """
    data = read_bytes(path)
    if data is None:
        raise damaged(path, "this file is missing")
    return data


def read_checked(path: Path, summary: dict[str, Any] | None, parse: Callable[..., T]) -> T:
    """Read a file, and make sure that it is the one that the summary tells of.

    Args:
        path: The file.
        summary: Of the run; None while it is not finished.
        parse: Takes the content and ``path=``.

    Raises:
        DamagedFileError: It is missing, or was changed.
        StoreError: It cannot be read.
    """
    data = need_bytes(path)
    value = parse(data, path=path)
    if summary is not None and summary["crc32"].get(path.name) != crc(data):
        raise damaged(path, "the check sum does not fit: some of it was changed")
    return value


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON file that holds an object.

    Returns:
        The object; None when there is no file.

    Raises:
        DamagedFileError: It is empty, not JSON, or has NaN or infinity in it.
        StoreError: It cannot be read.
    """
    data = read_bytes(path, max_bytes=MAX_JSON_BYTES)
    if data is None:
        return None
    if not data.strip(b" \n\r\t\0"):
        raise damaged(path, "this file is empty")
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise damaged(path, "this is JSON, and not an object")
    return value


def crc(data: bytes, start: int = 0) -> str:
    """The CRC-32 of some bytes as 8 hexadecimal digits: told of damage, not of ill will."""
    return f"{zlib.crc32(data, start):08x}"


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"it cannot be read: {error.strerror}", where=str(path))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
