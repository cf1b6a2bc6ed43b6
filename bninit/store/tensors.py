"""Tensors in safetensors files, with a check sum over names, shapes, numbers and metadata.

No pickle is read or written: https://huggingface.co/docs/safetensors. The files are loaded by
``safetensors.torch.load_file``, too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bninit.store.files import damaged

if TYPE_CHECKING:
    from torch import Tensor

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_ENTRY = "bninit"
"""The one entry of the header's metadata, a JSON object: several entries would be written in any
order, and the same tensors are to give the same bytes."""

_CHECK = "crc32"
_NAMES = "names"
"""The tensors' names in their order, which the format does not keep."""


def encode(tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str]) -> bytes:
    """A whole safetensors file.

    Args:
        tensors: By name, on any device.
        metadata: What else is to be known, all text.
    """
    arrays = {name: array_of(tensor) for name, tensor in tensors.items()}
    return encode_arrays(arrays, metadata=metadata)


def encode_arrays(arrays: Arrays, *, metadata: Mapping[str, str]) -> bytes:
    """As `encode`, of arrays."""
    from safetensors.numpy import save

    checked = {**metadata, _CHECK: _check_sum(arrays, metadata), _NAMES: list(arrays)}
    data: bytes = save(arrays, metadata={_ENTRY: json.dumps(checked, sort_keys=True)})
    return data


def decode(data: bytes, *, path: Path) -> tuple[Arrays, dict[str, str]]:
    """Take the content of a file apart.

    Args:
        data: The content.
        path: Where it was read, for messages.

    Returns:
        The arrays by name, read-only, in the order in which they were given, and the metadata.

    Raises:
        DamagedFileError: It is not what `encode` made, down to the last bit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not data:
        raise damaged(path, "this file is empty")
    try:
        unordered: Arrays = load(data)
        metadata = _metadata(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged(path, f"these are not whole safetensors: {error}") from None
    expected, order = metadata.pop(_CHECK, None), metadata.pop(_NAMES, None)
    if not isinstance(expected, str) or not isinstance(order, list):
        raise damaged(path, "these safetensors are another program's: they have no check sum")
    arrays = {name: unordered[name] for name in map(str, order) if name in unordered}
    if len(arrays) != len(unordered) or expected != _check_sum(arrays, metadata):
        raise damaged(path, "the check sum does not fit: some of it was changed")
    return arrays, metadata


def to_torch(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays as tensors on the CPU, copied."""
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def array_of(tensor: Tensor) -> npt.NDArray[Any]:
    """A tensor, on whatever device, as an array."""
    array: npt.NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array


def _metadata(data: bytes) -> dict[str, Any]:
    # The format: 8 bytes with the header's length, little-endian, then the header in JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = json.loads(header.get("__metadata__", {}).get(_ENTRY, "{}"))
    if not isinstance(metadata, dict):
        raise TypeError("the metadata is no object")
    return metadata


def _check_sum(arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> str:
    found = zlib.crc32(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, value in arrays.items():
        array = np.ascontiguousarray(value)
        found = zlib.crc32(f"{name} {value.dtype.name} {value.shape}".encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"
