"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import math
import os
import secrets
import stat
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

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


def json_text(value: object, *, ascii_only: bool = False) -> str:
    """Format a value as strict JSON, indented by two, with a line break at the end.

    Args:
        value: Mappings, sequences, NumPy arrays and scalars, dataclasses, dates, text and numbers.
            Keys keep their order; NaN and infinities, which JSON does not have, become null.
        ascii_only: Whether to escape all other characters.

    Raises:
        TypeError: Something else is in it.
    """
    text = json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only, allow_nan=False)
    return text + "\n"


def _plain(value: object) -> Any:
    if hasattr(value, "tolist"):  # an array or a scalar of NumPy, which stays unimported here
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, value: Mapping[str, object], *, durable: bool = False) -> None:
    """Write a JSON file; see `json_text` and `write_bytes`."""
    write_text(path, json_text(value), durable=durable)


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


_PATIENCE_SECONDS = 0.5
"""Longer than a reader holds the lock to see whether it is free."""


class HeldError(StoreError):
    """Another process is training the run."""


class RunLock:
    """The right to write in a run's folder, held by one process at a time.

    Args:
        folder: The run's folder, which exists.

    Raises:
        HeldError: Another process holds it.
        StoreError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout

        self._folder = folder
        self._lock = FileLock(folder / names.LOCK, thread_local=False)
        try:
            self._lock.acquire(timeout=_PATIENCE_SECONDS, poll_interval=0.02)
        except Timeout:
            raise HeldError(
                "another process is training this run",
                where=str(folder),
                hint="wait until it has ended, or train other seeds meanwhile; " + START_AGAIN,
            ) from None
        except OSError as error:
            raise store_error(error, folder / names.LOCK) from error
        except NotImplementedError as error:
            raise StoreError(
                f"this file system cannot lock files: {error}",
                where=str(folder),
                hint="choose a folder on a local disk with --runs-dir",
            ) from error
        self._descriptor = _open_folder(folder)

    def check(self) -> None:
        """Make sure that the folder is still the one that was locked.

        Raises:
            StoreError: It was removed, or another stands in its place.
        """
        if self._descriptor is None:
            return
        # While the descriptor is open, the number of its inode is not given to another folder.
        try:
            now = self._folder.stat()
        except OSError as error:
            raise store_error(error, self._folder) from error
        if not os.path.samestat(now, os.fstat(self._descriptor)):
            raise WriteError(
                "this folder was replaced by another while it was written",
                where=str(self._folder),
                hint="start the command again",
            )

    def release(self) -> None:
        """Give the lock back; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with contextlib.suppress(OSError):
            self._lock.release()


def check_no_links(folder: Path) -> None:
    """Make sure that writing in a run's folder writes there, and nowhere else.

    Raises:
        StoreError: The folder, its arm's, or the lock in it is a symbolic link.
    """
    for path in (folder.parent, folder, folder / names.LOCK):
        if path.is_symlink():
            raise StoreError(
                "this is a link to another place, and nothing is written through it",
                where=str(path),
                hint="put what it leads to here, or choose another folder with --runs-dir",
            )


def is_locked(folder: Path) -> bool:
    """Tell whether a process is writing in a run's folder now; False where it cannot be told."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        descriptor = os.open(folder / names.LOCK, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Shared, so that two readers do not take each other for writers.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _open_folder(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:  # Windows, which removes no folder with an open lock in it
        return None
