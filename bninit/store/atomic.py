"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from bninit.errors import StoreError, WriteError
from bninit.store import names

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE}

START_AGAIN = "the same command goes on from the last finished epoch"


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file; readers see the former one, or none, until the new one is complete.

    Args:
        path: The file.
        data: All of its content.
        durable: Wait until the content has reached the disk, so that it outlives a loss of power.

    Raises:
        StoreError: No space, no permission, or no folder; what was there before still is.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise store_error(error, path) from error


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode(), durable=durable)


def write_json(path: Path, value: Mapping[str, object], *, durable: bool = False) -> None:
    """Write a JSON file, without NaN and infinity, which JSON does not have; see `write_bytes`.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", durable=durable)


def make_durable(path: Path) -> None:
    """Wait until a file that was written before has reached the disk.

    Raises:
        StoreError: It cannot be opened, or the disk is full after all.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | _BINARY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise store_error(error, path) from error


def make_folder(folder: Path) -> None:
    """Create a folder and those above it.

    Raises:
        StoreError: No permission, no space, or a file of that name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            "no folder can be made here: a file is in the way",
            where=str(folder),
            hint="move it away, or choose another folder with --runs-dir",
        ) from error
    except OSError as error:
        raise store_error(error, folder) from error


def remove(path: Path) -> None:
    """Remove a file if it is there.

    Raises:
        StoreError: It is there and cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise store_error(error, path) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted process was writing.

    Only to be called by whoever holds the folder's lock.

    Raises:
        StoreError: The folder cannot be read, or a file cannot be removed.
    """
    try:
        found = [entry.name for entry in os.scandir(folder)]
    except OSError as error:
        raise store_error(error, folder) from error
    for name in found:
        if names.TEMPORARY.fullmatch(name):
            remove(folder / name)


def store_error(error: OSError, path: Path) -> StoreError:
    """The message for what the operating system refused to do with a file or folder."""
    where = str(path)
    if error.errno in _FULL:
        reason = "the file grew too large" if error.errno == errno.EFBIG else "no space is left"
        return WriteError(
            f"{reason}; nothing was half-written", where=where, hint=f"make room; {START_AGAIN}"
        )
    if error.errno in _REFUSED:
        return StoreError(
            f"no access: {error.strerror}",
            where=where,
            hint="choose another folder with --runs-dir, or ask for write permission",
        )
    if error.errno == errno.EISDIR:
        return StoreError(
            "a folder is in the way of this file", where=where, hint="move it away or remove it"
        )
    if error.errno in _GONE:
        return WriteError(
            "its folder is not there", where=where, hint="was it removed? start the command again"
        )
    return WriteError(error.strerror or str(error), where=where)


def _sync_folder(folder: Path) -> None:
    # Not every file system can; the rename is then as durable as it makes it.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_BINARY = getattr(os, "O_BINARY", 0)
