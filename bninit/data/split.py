"""The fixed permutations behind validation and test parts: the same for everyone, for ever.

They depend on a name alone, never on a training seed, so that every run of a data set with the
same `val_size` is validated on the same images.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
