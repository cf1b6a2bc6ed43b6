"""Which folders are searched for data files, and in which order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ENVIRONMENT_VARIABLE: Final = "BNINIT_DATA_DIR"
"""The environment variable that names a data folder."""


def cache_folder() -> Path:
    """Return the folder searched last, on Linux ``~/.cache/bninit/data``."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("bninit", appauthor=False)) / "data"


def search_folders(data_dir: str | os.PathLike[str] | None = None) -> tuple[Path, ...]:
    """Return the folders to search, the first choice first, each once.

    Args:
        data_dir: Folder given on the command line (``--data-dir``); searched before
            ``$BNINIT_DATA_DIR``, which is searched before the cache folder.

    Returns:
        Absolute paths; they need not exist.
    """
    given = (data_dir, os.environ.get(ENVIRONMENT_VARIABLE), cache_folder())
    return tuple(dict.fromkeys(_absolute(each) for each in given if each))


def _absolute(path: str | os.PathLike[str]) -> Path:
    # pathlib would follow links (a message should show the name that was given) and fail for a
    # user without a home.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111
