"""Downloading a data set's files with torchvision: each appears whole and verified, or not at all.

A file is downloaded into a folder of its own beside its place, verified there, and moved. Two
processes that download the same files at once may both do so; neither sees half a file.
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

from bninit.data.catalog import Dataset
from bninit.data.files import known_md5s, missing, present_files, raw_folder, torchvision_class

_TIMEOUT_SECONDS: Final = 20.0
_PARTIAL_PREFIX: Final = ".partial-"
_STALE_SECONDS: Final = 3600.0
# The default time limit of sockets and sys.stderr belong to the whole process.
_ONE_AT_A_TIME: Final = threading.Lock()


def download(dataset: Dataset, folders: Sequence[Path], *, replace: bool = False) -> Path:
    """Download files of a data set into the first folder that can be written."""
    folder = next((each for each in folders if _is_writable(raw_folder(dataset, each))), None)
    if folder is None:
        raise missing(dataset, folders, reason="none of the folders searched can be written")
    raw = raw_folder(dataset, folder)
    with _ONE_AT_A_TIME:
        md5s, present = known_md5s(dataset), present_files(dataset, folder)
        if replace:
            names = [name for name, md5 in md5s.items() if not _is_verified(raw / name, md5)]
        else:
            names = [name for name in md5s if name.removesuffix(".gz") not in present]
        created = [path for path in (folder, raw.parent, raw) if not os.path.exists(path)]  # noqa: PTH110
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
            # A failed download leaves no empty folders: the name may have been a slip.
            with contextlib.suppress(OSError):
                for path in reversed(created):
                    path.rmdir()
    return folder


def _is_writable(raw: Path) -> bool:
    """Try to write below the nearest existing parent; leaves nothing behind."""
    # Path.exists raises where a parent may not be searched.
    existing = next(path for path in (raw, *raw.parents) if os.path.exists(path))  # noqa: PTH110
    try:
        tempfile.TemporaryFile(dir=existing).close()
    except OSError:
        return False
    return True


def _is_verified(path: Path, md5: str) -> bool:
    from torchvision.datasets.utils import check_integrity

    try:
        return bool(check_integrity(str(path), md5))
    except OSError:
        return False


def _download_one(dataset: Dataset, name: str, *, partial: str) -> str | None:
    """Download one file from the first mirror that has it; return what was wrong, if anything."""
    from torchvision.datasets.utils import download_url

    md5 = known_md5s(dataset)[name]
    faults = []
    for mirror in torchvision_class(dataset).mirrors:
        try:
            with _patience():
                download_url(f"{mirror}{name}", partial, filename=name, md5=md5)
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            faults.append(f"{mirror}: {error}")
        else:
            return None
    return "; ".join(faults)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Give up silent connections, where torchvision waits for ever; bars on terminals only."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    try:
        with contextlib.redirect_stderr(sys.stderr if is_terminal else io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _remove_stale(raw: Path) -> None:
    """Remove what killed downloads have left; a living one is younger than the limit."""
    for path in raw.glob(f"{_PARTIAL_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
