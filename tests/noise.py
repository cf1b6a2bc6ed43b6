"""Images that are noise, for tests of the benchmark."""

from __future__ import annotations

import torch

from bninit.data.load import Data


def noise_images() -> Data:
    """64 images of 6 x 6 pixels in three classes."""
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 256, (64, 36), generator=generator).float() / 255
    labels = torch.randint(0, 3, (64,), generator=generator)
    return Data(
        train_x=pixels,
        train_y=labels,
        val_x=pixels[:4],
        val_y=labels[:4],
        test_x=pixels[:4],
        test_y=labels[:4],
        num_classes=3,
        checksum="",
        name="noise",
        scale="unit",
        shift=0.0,
        divisor=255.0,
    )
