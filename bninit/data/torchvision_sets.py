"""MNIST, Fashion-MNIST and KMNIST: four idx files each, in the layout of torchvision.

torchvision's own classes want the uncompressed files beside the compressed ones and write them
there. Here the compressed files alone are enough and their folder is never written to: what is
unpacked goes to a temporary folder and is gone after reading. torchvision gives the MD5 sums, the
unpacking and the parsing; its import takes seconds, so it waits until files are found.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bninit.data.catalog import Dataset
from bninit.data.faults import DamagedDataError, MissingDataError
from bninit.data.idx import IdxFile, read_idx
from bninit.data.images import Bytes, RawImages
from bninit.data.locations import ENVIRONMENT_VARIABLE


def idx_files(dataset: Dataset) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    """Return the files of a data set: training images and labels, test images and labels."""
    side = math.isqrt(dataset.num_features)
    return (
        IdxFile("train-images-idx3-ubyte", (dataset.num_train, side, side)),
        IdxFile("train-labels-idx1-ubyte", (dataset.num_train,)),
        IdxFile("t10k-images-idx3-ubyte", (dataset.num_test, side, side)),
        IdxFile("t10k-labels-idx1-ubyte", (dataset.num_test,)),
    )


def raw_folder(dataset: Dataset, folder: Path) -> Path:
    """Return where the files of a data set lie below a data folder, such as ``MNIST/raw``."""
    return folder / str(dataset.torchvision_class) / "raw"


def present_files(dataset: Dataset, folder: Path) -> dict[str, Path]:
    """Find the files of a data set below a data folder.

    Args:
        dataset: Entry of the catalog.
        folder: Data folder; need not exist.

    Returns:
        Path by stem. Where both forms are there, the compressed one, for its MD5 sum is known.
    """
    raw = raw_folder(dataset, folder)
    found: dict[str, Path] = {}
    for file in idx_files(dataset):
        for path in (raw / file.compressed, raw / file.stem):
            # Path.is_file raises where a parent may not be searched.
            if os.path.isfile(path):  # noqa: PTH113
                found[file.stem] = path
                break
    return found


def find_folder(dataset: Dataset, folders: Sequence[Path]) -> Path | None:
    """Return the first of the data folders with all four files, None when there is none."""
    num_files = len(idx_files(dataset))
    return next((each for each in folders if len(present_files(dataset, each)) == num_files), None)


def torchvision_class(dataset: Dataset) -> Any:
    """Return the class of ``torchvision.datasets`` behind a data set."""
    import torchvision.datasets

    return getattr(torchvision.datasets, str(dataset.torchvision_class))


def known_md5s(dataset: Dataset) -> dict[str, str]:
    """Return torchvision's MD5 sums of the compressed files, by name."""
    return dict(torchvision_class(dataset).resources)


def read_folder(dataset: Dataset, folder: Path) -> RawImages:
    """Verify and read the four files of a data set; the folder is not written to.

    Compressed files must have the MD5 sums known to torchvision. Of uncompressed files the header,
    the size and the labels are checked, and the content of all four together where the catalog
    knows its checksum.

    Args:
        dataset: Entry of the catalog.
        folder: Data folder with all files, from `find_folder`.

    Returns:
        Pixels and labels in the order of the files.

    Raises:
        DamagedDataError: A file is truncated, altered, empty, unreadable or another one.
        DataError: There is no room to unpack the files.
    """
    try:
        return _read_folder(dataset, folder)
    except DamagedDataError as error:
        error.hint = f"delete it and put a whole one there, or run `bninit data {dataset.name}`"
        raise


def _read_folder(dataset: Dataset, folder: Path) -> RawImages:
    present, md5s, files = present_files(dataset, folder), known_md5s(dataset), idx_files(dataset)
    train_x, train_y, test_x, test_y = (
        read_idx(file, present[file.stem], md5=md5s[file.compressed]) for file in files
    )
    for file, labels in ((files[1], train_y), (files[3], test_y)):
        if labels.max() >= dataset.num_classes:
            raise DamagedDataError(
                f"has the label {labels.max()}, expected 0 to {dataset.num_classes - 1}",
                where=str(present[file.stem]),
            )
    images = RawImages(_flat(train_x), train_y, _flat(test_x), test_y)
    if dataset.checksum is not None and images.checksum() != dataset.checksum:
        raise DamagedDataError(
            f"an uncompressed file holds other data than {dataset.name} "
            f"(SHA-256 of all four {images.checksum()}, expected {dataset.checksum})",
            where=str(raw_folder(dataset, folder)),
        )
    return images


def missing(
    dataset: Dataset, folders: Sequence[Path], *, reason: str | None = None
) -> MissingDataError:
    """Return the one error for a data set that is neither there nor can be downloaded.

    Args:
        dataset: Entry of the catalog.
        folders: The folders that were searched; the first is named as the place for the files.
        reason: Why there was no download, None where none was asked for.

    Returns:
        The error, to be raised; it names the folder, the files, and the ways to get them.
    """
    present = present_files(dataset, folders[0])
    all_names = [file.compressed for file in idx_files(dataset)]
    absent = [file.compressed for file in idx_files(dataset) if file.stem not in present]
    state = "missing" if absent else "damaged"
    searched = ", ".join(str(folder) for folder in folders)
    steps = (
        f"expected there: {', '.join(absent or all_names)}",
        f"to get them: run `bninit data {dataset.name}` where there is a network and copy the "
        "files into that folder",
        f"if they lie elsewhere: name the folder that holds {dataset.torchvision_class}/raw with "
        f"--data-dir or ${ENVIRONMENT_VARIABLE} (searched: {searched})",
        'without network: data.name mnist5k (pip install "bninit[sample]")',
    )
    return MissingDataError(
        f"files of {dataset.name} are {state}" + (f", and {reason}" if reason else ""),
        where=str(raw_folder(dataset, folders[0])),
        hint="\n  ".join(steps),
    )


def _flat(pixels: Bytes) -> Bytes:
    return pixels.reshape(len(pixels), -1)
