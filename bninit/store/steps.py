"""``steps.npy``: the training loss of every step in nats, one-dimensional, read by `numpy.load`."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bninit.store.files import damaged

Losses: TypeAlias = npt.NDArray[np.floating]

_BEGINNING = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"(\{'descr': '(<f[48])', 'fortran_order': False, 'shape': \((\d{1,15}),\), \} *\n)",
    re.DOTALL,
)


def encode(losses: Losses) -> bytes:
    """The whole file, in version 1.0 of numpy's format.

    Args:
        losses: (step,), float32 or float64.
    """
    stream = io.BytesIO()
    little_endian = losses.astype(losses.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(stream, little_endian, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def decode(data: bytes, *, path: Path) -> Losses:
    """Take the content of the file apart; nothing in it is ever evaluated or run.

    Args:
        data: The content.
        path: Where it was read, for messages.

    Returns:
        (step,), float32 or float64, writable.

    Raises:
        DamagedFileError: It is not what `encode` writes.
    """
    if not data:
        raise damaged(path, "this file is empty")
    # numpy's own reader parses the beginning as Python, and trips over some damage.
    match = _BEGINNING.match(data)
    if match is None or int.from_bytes(match[1], "little") != len(match[2]):
        raise damaged(path, "this is not an array of losses as numpy saves it")
    dtype, num_steps = np.dtype(match[3].decode()), int(match[4])
    content = data[match.end() :]
    if len(content) != num_steps * dtype.itemsize:
        raise damaged(path, f"it does not hold the {num_steps} losses that it announces")
    return np.frombuffer(content, dtype=dtype).astype(dtype.newbyteorder("="))
