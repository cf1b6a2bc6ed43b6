"""Atomic file writes, checked reads, and the lock that one writer of a run holds.

A file appears whole or not at all: it is written beside its place, then renamed into it. Whatever
is not what was written is a `DamagedFileError` that names the file.
"""

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
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from bninit.errors import StoreError, WriteError
from bninit.store import names

T = TypeVar("T")

MAX_JSON_BYTES = 4_000_000
"""Largest JSON file that is read."""

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.ENOENT, errno.ESTALE}
_BINARY = getattr(os, "O_BINARY", 0)
_RESUME = "rerun the command to resume from the last finished epoch"
_LOCK_SECONDS = 0.5
"""Longer than a reader holds the lock to see whether it is free."""


class DamagedFileError(StoreError):
    """A file of a run is there, and is not what was written; or it is missing beside others."""


class HeldError(StoreError):
    """Another process is training the run."""


def damaged(path: Path, what: str) -> DamagedFileError:
    """The error for a file that is not what was written."""
    return DamagedFileError(what, where=str(path), hint="rerun the command to train this run again")


def store_error(error: OSError, path: Path) -> StoreError:
    """The message for what the operating system refused to do with a file or folder."""
    where = str(path)
    if error.errno in _FULL:
        reason = "the file grew too large" if error.errno == errno.EFBIG else "no space is left"
        return WriteError(
            f"{reason}; nothing was half-written", where=where, hint=f"make room; {_RESUME}"
        )
    if error.errno in _REFUSED:
        return StoreError(
            f"no access: {error.strerror}",
            where=where,
            hint="choose another folder with --runs-dir, or ask for write permission",
        )
    if error.errno == errno.EISDIR:
        return StoreError(
            "a folder is in the way of this file", where=where, hint="move or remove the folder"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return StoreError(
            "a file is in the way of this folder",
            where=where,
            hint="move it away, or choose another folder with --runs-dir",
        )
    if error.errno in _GONE:
        return WriteError(
            "its folder is not there", where=where, hint="was it removed? start the command again"
        )
    return WriteError(error.strerror or str(error), where=where)


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into `store_error`."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file; readers see the former one, or none, until the new one is complete.

    Args:
        path: The file.
        data: All of its content.
        durable: Wait until the content has reached the disk, so that it survives a loss of power.

    Raises:
        StoreError: No space, no permission, or no folder; the former file is kept.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with refusals(path):
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
        # Not every file system can sync a folder; the rename is then as durable as it makes it.
        with contextlib.suppress(OSError):
            _sync(path.parent, os.O_RDONLY)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Mapping[str, object], *, durable: bool = False) -> None:
    """Write a JSON file; see `json_text` and `write_bytes`."""
    write_bytes(path, json_text(value).encode(), durable=durable)


def json_text(value: object, *, ascii_only: bool = False) -> str:
    """Format a value as strict JSON, indented by two, with a line break at the end.

    Args:
        value: Mappings, sequences, NumPy arrays and scalars, dataclasses, dates, text and numbers.
            Keys keep their order; NaN and infinities, which JSON does not have, become null.
        ascii_only: Whether to escape all other characters.

    Raises:
        TypeError: Something else is in it.
    """
    text = json.dumps(plain(value), indent=2, ensure_ascii=ascii_only, allow_nan=False)
    return text + "\n"


def plain(value: object) -> Any:
    """Convert a value to what `json_text` formats: dicts, lists, text, finite numbers and None."""
    if hasattr(value, "tolist"):  # an array or a scalar of NumPy, which stays unimported here
        value = value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def make_durable(path: Path) -> None:
    """Wait until a file that was written before has reached the disk."""
    with refusals(path):
        _sync(path, os.O_RDWR | _BINARY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it."""
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    with refusals(path):
        path.unlink(missing_ok=True)


def file_names(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    with refusals(folder):
        return sorted(path.name for path in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted process was writing; only for whoever holds the folder's lock."""
    for name in file_names(folder):
        if names.TEMPORARY.fullmatch(name):
            remove(folder / name)


def read_bytes(path: Path, *, max_bytes: int | None = None) -> bytes | None:
    """Read a file; None when there is none."""
    try:
        # Without O_NONBLOCK a pipe that someone left here would keep a listing waiting.
        descriptor = os.open(path, os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0))
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise damaged(path, "this is a folder or a device, not a file")
            if max_bytes is not None and info.st_size > max_bytes:
                raise damaged(path, f"larger than {max_bytes} bytes")
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.readall()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(path)) from error


def check_is_file(path: Path) -> None:
    """Make sure that what stands here, if anything does, is a file: reading a pipe never ends."""
    if path.exists() and not path.is_file():
        raise damaged(path, "this is a folder or a device, not a file")


def find_file(
    path: Path, decode: Callable[[bytes], T], *, max_bytes: int | None = None
) -> T | None:
    """Read and decode a file that may be absent."""
    data = read_bytes(path, max_bytes=max_bytes)
    return None if data is None else _decoded(path, data, decode)


def read_file(
    path: Path, decode: Callable[[bytes], T], *, summary: Mapping[str, Any] | None = None
) -> T:
    """Read and decode a file that must be there, and be the one that the summary names."""
    data = read_bytes(path)
    if data is None:
        raise damaged(path, "this file is missing")
    value = _decoded(path, data, decode)
    if summary is not None and summary["crc32"].get(path.name) != crc(data):
        raise damaged(path, "the check sum does not match: the content was changed")
    return value


def _decoded(path: Path, data: bytes, decode: Callable[[bytes], T]) -> T:
    if not data.strip(b" \n\r\t\0"):
        raise damaged(path, "this file is empty")
    try:
        return decode(data)
    except ValueError as error:
        what = str(error)
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError):
        what = f"not a valid {path.name}"
    raise damaged(path, what)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON file that holds an object, without NaN and infinity; None when there is none."""
    return find_file(path, _decode_json, max_bytes=MAX_JSON_BYTES)


def _decode_json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("valid JSON, but not an object")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number in JSON")
    return number


def crc(data: bytes) -> str:
    """The CRC-32 of some bytes as 8 hexadecimal digits: it detects damage, not ill will."""
    return f"{zlib.crc32(data):08x}"


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
            self._lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.02)
        except Timeout:
            raise HeldError(
                "another process is training this run",
                where=str(folder),
                hint=f"wait until it has ended, or train other seeds meanwhile; {_RESUME}",
            ) from None
        except OSError as error:
            raise store_error(error, folder / names.LOCK) from error
        except NotImplementedError as error:
            raise StoreError(
                f"this file system cannot lock files: {error}",
                where=str(folder),
                hint="choose a folder on a local disk with --runs-dir",
            ) from error
        self._descriptor: int | None = None
        # Windows opens no folders, and removes none with an open lock in it.
        with contextlib.suppress(OSError):
            self._descriptor = os.open(folder, os.O_RDONLY)

    def check(self) -> None:
        """Make sure that the folder is still the one that was locked; else a `StoreError`."""
        if self._descriptor is None:
            return
        # While the descriptor is open, the number of its inode is not given to another folder.
        with refusals(self._folder):
            now = self._folder.stat()
        if not os.path.samestat(now, os.fstat(self._descriptor)):
            raise WriteError(
                "this folder was replaced by another during training",
                where=str(self._folder),
                hint="start the command again",
            )

    def release(self) -> None:
        """Release the lock; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with contextlib.suppress(OSError):
            self._lock.release()


def check_no_links(folder: Path) -> None:
    """Make sure that neither a run's folder, its arm's, nor its lock is a link to elsewhere."""
    for path in (folder.parent, folder, folder / names.LOCK):
        if path.is_symlink():
            raise StoreError(
                "this is a link to another place, and nothing is written through it",
                where=str(path),
                hint="put what it leads to here, or choose another folder with --runs-dir",
            )


def is_locked(folder: Path) -> bool:
    """Tell whether a process is writing in a run's folder; False where that cannot be known."""
    try:
        import fcntl

        descriptor = os.open(folder / names.LOCK, os.O_RDONLY | os.O_NONBLOCK)
    except (ImportError, OSError):
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
