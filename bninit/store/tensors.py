"""Tensors in safetensors files, with a check sum; the checkpoint of an unfinished run.

No pickle is read or written: https://huggingface.co/docs/safetensors.
``safetensors.torch.load_file`` loads the files, too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from bninit.training.records import Checkpoint

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_ENTRY = "bninit"
"""The only entry of the header's metadata, a JSON object: safetensors writes several entries in
any order, and equal tensors must give equal bytes."""

_CHECK = "crc32"
_NAMES = "names"
"""The tensors' names in their order, which the format does not keep."""

_PARTS = ("network", "optimiser", "probes")
_BEGUN = "epoch/step_losses"
"""Present only if an epoch has begun and is not finished."""


def encode_tensors(
    tensors: Mapping[str, Tensor | npt.NDArray[Any]], *, metadata: Mapping[str, str]
) -> bytes:
    """Format tensors, on any device, or arrays, by name."""
    from safetensors.numpy import save

    arrays = {name: _array_of(tensor) for name, tensor in tensors.items()}
    checked = {**metadata, _CHECK: _check_sum(arrays, metadata), _NAMES: list(arrays)}
    data: bytes = save(arrays, metadata={_ENTRY: json.dumps(checked, sort_keys=True)})
    return data


def decode_tensors(data: bytes) -> tuple[Arrays, dict[str, str]]:
    """Parse arrays by name, read-only, in the order in which they were given, and the metadata."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        unordered: Arrays = load(data)
        metadata = _metadata(data)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not valid safetensors: {error}") from None
    expected, order = metadata.pop(_CHECK, None), metadata.pop(_NAMES, None)
    if not isinstance(expected, str) or not isinstance(order, list):
        raise ValueError("safetensors of another program: there is no check sum")
    arrays = {name: unordered[name] for name in map(str, order) if name in unordered}
    if len(arrays) != len(unordered) or expected != _check_sum(arrays, metadata):
        raise ValueError("the check sum does not match: the content was changed")
    return arrays, metadata


def to_torch(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    """Arrays as tensors on the CPU, copied."""
    import torch

    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _array_of(tensor: Tensor | npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(tensor, np.ndarray):
        return tensor
    array: npt.NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array


def _metadata(data: bytes) -> dict[str, Any]:
    # The format: 8 bytes with the header's length, little-endian, then the header in JSON.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = json.loads(header.get("__metadata__", {}).get(_ENTRY, "{}"))
    if not isinstance(metadata, dict):
        raise TypeError("the metadata is not an object")
    return metadata


def _check_sum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    found = zlib.crc32(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, value in arrays.items():
        array = np.ascontiguousarray(value)
        found = zlib.crc32(f"{name} {value.dtype.name} {value.shape}".encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


@dataclass(frozen=True, kw_only=True)
class StoredCheckpoint:
    """A checkpoint with what it was written beside.

    Attributes:
        checkpoint: As training takes it, on the CPU.
        metrics_crc32: Of ``metrics.csv`` as it was written with this epoch.
        steps_crc32: Of ``steps.npy`` as it was written with this epoch.
        probes: The config's section of probes that are taken, resolved; None for no probes.
    """

    checkpoint: Checkpoint
    metrics_crc32: str
    steps_crc32: str
    probes: dict[str, Any] | None = None


def encode_checkpoint(stored: StoredCheckpoint, *, arm: str, seed: int) -> bytes:
    """Format ``checkpoint.safetensors`` of an arm's run."""
    checkpoint = stored.checkpoint
    tensors: dict[str, Tensor | npt.NDArray[Any]] = {
        f"{part}/{name}": tensor
        for part in _PARTS
        for name, tensor in getattr(checkpoint, part).items()
    }
    if checkpoint.begun.size:
        tensors[_BEGUN] = checkpoint.begun
    metadata = {
        "arm": arm,
        "seed": str(seed),
        "epoch": str(checkpoint.epoch),
        "step": str(checkpoint.step),
        "seconds": repr(float(checkpoint.seconds)),
        "metrics_crc32": stored.metrics_crc32,
        "steps_crc32": stored.steps_crc32,
    }
    if stored.probes is not None:
        metadata["probes"] = json.dumps(stored.probes, sort_keys=True)
    return encode_tensors(tensors, metadata=metadata)


def decode_checkpoint(data: bytes, *, arm: str, seed: int) -> StoredCheckpoint:
    """Parse ``checkpoint.safetensors``."""
    from bninit.training.records import Checkpoint

    arrays, metadata = decode_tensors(data)
    found = metadata["arm"], int(metadata["seed"])
    if found != (arm, seed):
        raise ValueError(f"of another run: arm {found[0]}, seed {found[1]}")
    parts: dict[str, Arrays] = {part: {} for part in _PARTS}
    for name, array in arrays.items():
        if name != _BEGUN:
            part, _, own = name.partition("/")
            parts[part][own] = array
    return StoredCheckpoint(
        checkpoint=Checkpoint(
            epoch=int(metadata["epoch"]),
            step=int(metadata["step"]),
            seconds=float(metadata["seconds"]),
            begun=np.array(arrays.get(_BEGUN, ())),
            **{part: to_torch(own) for part, own in parts.items()},
        ),
        metrics_crc32=metadata["metrics_crc32"],
        steps_crc32=metadata["steps_crc32"],
        probes=dict(json.loads(metadata["probes"])) if "probes" in metadata else None,
    )
