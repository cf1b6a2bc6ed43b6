"""One writer for each run: a lock on its folder, given back when the process ends, however."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bninit.errors import StoreError, WriteError
from bninit.store import names
from bninit.store.atomic import START_AGAIN, store_error

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
