"""Output folders of verbs: pictures with their tables and figures, below the runs folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from bninit.errors import UserError
from bninit.store.files import make_folder, write_bytes
from bninit.store.names import NAME

_LONGEST_NAME = 64


def keep_findings(
    files: Mapping[str, bytes | str],
    *,
    runs_dir: str | os.PathLike[str],
    kind: str,
    name: str,
) -> Path:
    """Write files into ``<runs_dir>/<kind>/<name>``, over former ones of the same names.

    Args:
        files: Pictures, tables and texts by file name, written in this order.
        runs_dir: The folder of all runs.
        kind: The verb's folder in it.
        name: Of the folder.

    Returns:
        The folder.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    check_name(name)
    folder = Path(runs_dir) / kind / name
    make_folder(folder)
    for file, content in files.items():
        write_bytes(folder / file, content.encode() if isinstance(content, str) else content)
    return folder


def check_name(name: str) -> None:
    """Make sure that a name given with ``--name`` can name a folder; else a `UserError`."""
    if not NAME.fullmatch(name):
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
