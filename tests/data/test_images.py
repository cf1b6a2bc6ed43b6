"""The checksum of the content."""

from __future__ import annotations

import hashlib

import numpy as np

from bninit.data.files import RawImages


def _images() -> list[np.ndarray]:
    x = np.arange(2 * 784, dtype=np.uint64).astype(np.uint8).reshape(2, 784)
    return [x, np.array([3, 4], np.uint8), x[:1] + 1, np.array([5], np.uint8)]


def test_checksum_is_sha256_of_all_bytes_in_order() -> None:
    arrays = _images()
    joined = b"".join(array.tobytes() for array in arrays)
    assert RawImages(*arrays).checksum() == hashlib.sha256(joined).hexdigest()
    assert RawImages(*arrays).num_images == 3


def test_memory_layout_does_not_matter() -> None:
    arrays = _images()
    strided = [np.asfortranarray(array) for array in arrays]
    assert RawImages(*strided).checksum() == RawImages(*arrays).checksum()


def test_any_changed_array_changes_it() -> None:
    sums = {RawImages(*_images()).checksum()}
    for which in range(4):
        arrays = _images()
        arrays[which].flat[-1] ^= 1
        sums.add(RawImages(*arrays).checksum())
    assert len(sums) == 5
