"""``checkpoint.safetensors``: what an unfinished run needs to go on, and what it goes on from.

Beside the tensors it holds check sums of the metrics and step losses up to its epoch, so that what
is gone on from is what was written, or is not gone on from at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bninit.store.files import crc, damaged, read_bytes
from bninit.store.metrics import Row, format_rows
from bninit.store.steps import Losses
from bninit.store.steps import encode as encode_steps
from bninit.store.tensors import Arrays, array_of, decode, encode_arrays, to_torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from bninit.training.records import Checkpoint

_NETWORK = "network/"
_OPTIMISER = "optimiser/"
_PROBES = "probes/"
_BEGUN = "epoch/step_losses"
"""Only where an epoch has begun and is not finished."""


@dataclass(frozen=True, kw_only=True)
class StoredCheckpoint:
    """A checkpoint as it lies in its file, whole.

    Attributes:
        arm: Id of the run's arm.
        seed: Of the run.
        epoch: Finished epochs.
        step: Finished steps, those of an unfinished epoch included.
        seconds: Training time so far.
        metrics_crc32: Of ``metrics.csv`` as it was written with this epoch.
        steps_crc32: Of ``steps.npy`` as it was written with this epoch.
        arrays: The tensors, ``network/<name>``, ``optimiser/<name>`` and ``probes/<name>``, and
            the step losses of an epoch that has begun.
        probes: What is probed, as the config's section, resolved; None for nothing.
    """

    arm: str
    seed: int
    epoch: int
    step: int
    seconds: float
    metrics_crc32: str
    steps_crc32: str
    arrays: Arrays
    probes: dict[str, Any] | None = None

    @property
    def begun(self) -> Losses:
        """Losses of the finished steps of an unfinished epoch, (step,)."""
        nothing: Losses = np.empty(0)
        return self.arrays.get(_BEGUN, nothing)

    @property
    def recorded_steps(self) -> int:
        """Finished steps of finished epochs."""
        return self.step - self.begun.size

    def fits(self, rows: Sequence[Row], losses: Losses) -> bool:
        """Tell whether these rows and losses are those that were written up to its epoch."""
        return (
            len(rows) == self.epoch + 1
            and losses.size == self.recorded_steps
            and crc(format_rows(rows).encode()) == self.metrics_crc32
            and crc(encode_steps(losses)) == self.steps_crc32
        )

    def load(self) -> Checkpoint:
        """The checkpoint as the training takes it, on the CPU."""
        from bninit.training.records import Checkpoint

        tensors = to_torch(self.arrays)
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            seconds=self.seconds,
            network=_part(tensors, _NETWORK),
            optimiser=_part(tensors, _OPTIMISER),
            begun=np.array(self.begun),
            probes=_part(tensors, _PROBES),
        )


def encode_checkpoint(
    checkpoint: Checkpoint,
    *,
    arm: str,
    seed: int,
    metrics_crc32: str,
    steps_crc32: str,
    probes: Mapping[str, Any] | None = None,
) -> bytes:
    """The whole file.

    Args:
        checkpoint: What to keep.
        arm: Id of the run's arm.
        seed: Of the run.
        metrics_crc32: Of ``metrics.csv`` up to the checkpoint's epoch.
        steps_crc32: Of ``steps.npy`` up to the checkpoint's epoch.
        probes: As in `StoredCheckpoint`.
    """
    arrays = {_NETWORK + name: array_of(tensor) for name, tensor in checkpoint.network.items()}
    arrays |= {_OPTIMISER + name: array_of(t) for name, t in checkpoint.optimiser.items()}
    arrays |= {_PROBES + name: array_of(tensor) for name, tensor in checkpoint.probes.items()}
    if checkpoint.begun.size:
        arrays[_BEGUN] = checkpoint.begun
    probed = {} if probes is None else {"probes": json.dumps(probes, sort_keys=True)}
    return encode_arrays(
        arrays,
        metadata={
            "arm": arm,
            "seed": str(seed),
            "epoch": str(checkpoint.epoch),
            "step": str(checkpoint.step),
            "seconds": repr(float(checkpoint.seconds)),
            "metrics_crc32": metrics_crc32,
            "steps_crc32": steps_crc32,
            **probed,
        },
    )


def read_checkpoint(path: Path, *, arm: str, seed: int) -> StoredCheckpoint | None:
    """Read a checkpoint.

    Args:
        path: The file.
        arm: Whose it has to be.
        seed: Whose it has to be.

    Returns:
        The checkpoint; None when there is none.

    Raises:
        DamagedFileError: It is not what was written, or is of another run.
        StoreError: It cannot be read.
    """
    data = read_bytes(path)
    if data is None:
        return None
    arrays, metadata = decode(data, path=path)
    try:
        stored = StoredCheckpoint(
            arm=metadata["arm"],
            seed=int(metadata["seed"]),
            epoch=int(metadata["epoch"]),
            step=int(metadata["step"]),
            seconds=float(metadata["seconds"]),
            metrics_crc32=metadata["metrics_crc32"],
            steps_crc32=metadata["steps_crc32"],
            arrays=arrays,
            probes=dict(json.loads(metadata["probes"])) if "probes" in metadata else None,
        )
    except (KeyError, ValueError, TypeError, RecursionError):
        raise damaged(path, "these safetensors are no checkpoint") from None
    if (stored.arm, stored.seed) != (arm, seed):
        raise damaged(path, f"it is of arm {stored.arm}, seed {stored.seed}: another run's")
    return stored


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
