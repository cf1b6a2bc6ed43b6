"""Pixels and labels as they lie in the files, and the checksum of what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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
