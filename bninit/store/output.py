"""Folders of what commands find in runs: pictures, with their figures beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from bninit.errors import UserError
from bninit.store import files as atomic

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_NAME = 64


def keep_findings(
    files: Mapping[str, bytes | str],
    *,
    runs_dir: str | os.PathLike[str],
    kind: str,
    name: str,
) -> Path:
    """Write files into a folder of their own; what was there under their names is replaced.

    Args:
        files: Pictures, tables and texts by their names, written in this order.
        runs_dir: The folder of all runs.
        kind: Folder in it for findings of this kind.
        name: Of the folder.

    Returns:
        The folder ``<runs_dir>/<kind>/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    check_name(name)
    folder = Path(runs_dir) / kind / name
    atomic.make_folder(folder)
    for file, content in files.items():
        if isinstance(content, str):
            atomic.write_text(folder / file, content)
        else:
            atomic.write_bytes(folder / file, content)
    return folder


def check_name(name: str) -> None:
    """Make sure that a name can be that of a folder.

    Args:
        name: What a user gave.

    Raises:
        UserError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a folder",
            where="--name",
            hint="letters, digits, dots, underscores and hyphens, 64 at most",
        )


def joined_name(labels: Sequence[str], *, ids: Sequence[str], suffix: str = "") -> str:
    """Join labels to a name for a folder; where it grows too long, a digest of ids ends it."""
    name = "-vs-".join(labels) + suffix
    if len(name) <= _LONGEST_NAME:
        return name
    digest = sha256(" ".join(ids).encode()).hexdigest()[:8]
    return f"{labels[0][:32]}-and-{len(labels) - 1}-more-{digest}"
