"""Fetching the files of a data set with torchvision: each appears whole and verified, or not.

A file is downloaded into a folder of its own beside its place, verified there, and moved. Two
processes that fetch the same files at once may both download them; neither sees half a file.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bninit.data.catalog import Dataset, MissingDataError
from bninit.data.files import (
    idx_files,
    is_verified,
    known_md5s,
    missing,
    present_files,
    raw_folder,
    torchvision_class,
)

_TIMEOUT_SECONDS: Final = 20.0
_PARTIAL_PREFIX: Final = ".partial-"
_STALE_SECONDS: Final = 3600.0
# The default time limit of sockets and sys.stderr belong to the whole process.
_ONE_AT_A_TIME: Final = threading.Lock()


def download_missing(dataset: Dataset, folders: Sequence[Path]) -> Path:
    """Download the absent files of a data set into the first folder that can be written.

    Args:
        dataset: Entry of the catalog, one of torchvision's.
        folders: Data folders, the first choice first.

    Returns:
        The data folder, which now has all files.

    Raises:
        MissingDataError: No folder can be written, or no mirror has given a file.
    """
    folder = next((each for each in folders if _is_writable(raw_folder(dataset, each))), None)
    if folder is None:
        raise missing(dataset, folders, reason="none of the folders searched can be written")
    with _ONE_AT_A_TIME:
        present = present_files(dataset, folder)
        names = [file.compressed for file in idx_files(dataset) if file.stem not in present]
        _download(dataset, names, folder=folder, folders=folders)
    return folder


def download_damaged(dataset: Dataset, folder: Path) -> None:
    """Download every file of a data set of which no verified compressed form is there.

    Args:
        dataset: Entry of the catalog, one of torchvision's.
        folder: Data folder in which damaged files are replaced.

    Raises:
        MissingDataError: The folder cannot be written, or no mirror has given a file.
    """
    raw = raw_folder(dataset, folder)
    if not _is_writable(raw):
        raise MissingDataError("damaged files cannot be replaced here", where=str(raw))
    with _ONE_AT_A_TIME:
        md5s = known_md5s(dataset)
        names = [name for name, md5 in md5s.items() if not is_verified(raw / name, md5=md5)]
        _download(dataset, names, folder=folder, folders=(folder,))


def _is_writable(raw: Path) -> bool:
    """Try to write below the nearest existing parent; leaves nothing behind."""
    existing = next(path for path in (raw, *raw.parents) if _exists(path))
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError:
        return False
    return True


def _exists(path: Path) -> bool:
    # Path.exists raises where a parent may not be searched.
    return os.path.exists(path)  # noqa: PTH110


def _download(
    dataset: Dataset, names: Sequence[str], *, folder: Path, folders: Sequence[Path]
) -> None:
    raw = raw_folder(dataset, folder)
    created = [path for path in (folder, raw.parent, raw) if not _exists(path)]
    try:
        raw.mkdir(parents=True, exist_ok=True)
        _remove_stale(raw)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL_PREFIX, dir=raw) as partial:
            for name in names:
                fault = _download_one(dataset, name, partial=partial)
                if fault is not None:
                    reason = f"{name} cannot be downloaded ({fault})"
                    raise missing(dataset, folders, reason=reason)
                (Path(partial) / name).replace(raw / name)
    except OSError as error:
        reason = f"the folder {raw} cannot be written ({error.strerror or error})"
        raise missing(dataset, folders, reason=reason) from error
    finally:
        for path in reversed(created):
            # A failed download leaves no empty folders: the name may have been a slip.
            with contextlib.suppress(OSError):
                path.rmdir()


def _download_one(dataset: Dataset, name: str, *, partial: str) -> str | None:
    """Download one file from the first mirror that has it; return what was wrong, if anything."""
    from torchvision.datasets.utils import download_url

    md5 = known_md5s(dataset)[name]
    faults = []
    for mirror in torchvision_class(dataset).mirrors:
        try:
            with _patience(), _bars_on_terminals_only():
                download_url(f"{mirror}{name}", partial, filename=name, md5=md5)
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            faults.append(f"{mirror}: {error}")
        else:
            return None
    return "; ".join(faults)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Limit how long a silent connection is waited for; torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    if sys.stderr is not None and sys.stderr.isatty():
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()):
            yield


def _remove_stale(raw: Path) -> None:
    """Remove what killed downloads have left; a living one is younger than the limit."""
    for path in raw.glob(f"{_PARTIAL_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
