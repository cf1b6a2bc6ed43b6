"""Trains stacks in another process: a worker, and what travels to it and back.

Nothing here depends on how the processes are started or talk to each other.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.engines.interface import LAST, Ended, Failed, Message, Recorded, StackTask
from bninit.engines.local import execute
from bninit.engines.plan import DataKey, data_key
from bninit.errors import UserError
from bninit.training.records import Checkpoint, EpochRecord, InterruptedEpoch


@dataclass(frozen=True, eq=False)
class DataArrays:
    """A data set on its way: its tensors as arrays that processes can share, and the rest."""

    arrays: dict[str, npt.NDArray[np.generic]]
    rest: dict[str, Any]

    @classmethod
    def of(cls, data: Data) -> DataArrays:
        """The arrays of a data set on the CPU; they share its memory."""
        values = {field.name: getattr(data, field.name) for field in fields(data)}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        return cls(
            arrays={name: tensor.numpy() for name, tensor in tensors.items()},
            rest={name: value for name, value in values.items() if name not in tensors},
        )

    def on(self, device: torch.device) -> Data:
        """The data set on a device; on the CPU it shares the arrays' memory."""
        with warnings.catch_warnings():
            # They may be read-only: nothing writes in them.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensors = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        values: dict[str, Any] = {name: t.to(device) for name, t in tensors.items()}
        return Data(**values, **self.rest)


class StackWorker:
    """Executes a stack, a message for each call; `stop` may come from another thread."""

    def __init__(self) -> None:
        self._messages: Iterator[Message] = iter(())
        self._stop = threading.Event()
        self._data: tuple[DataKey, Data] | None = None

    def begin(
        self, task: StackTask, arrays: DataArrays, *, device: str, num_threads: int
    ) -> Message:
        """Begins a stack, and drops what was executing."""
        torch.set_num_threads(num_threads)
        self._stop.clear()
        on = torch.device("cpu" if device == "cpu" else "cuda:0")
        key = data_key(task.config)

        def data() -> Data:
            if self._data is None or self._data[0] != key:
                # One at a time, and the former one first.
                self._data = None
                self._data = key, arrays.on(on)
            return self._data[1]

        self._messages = execute(task, device=on, data=data, stop=self._stop.is_set)
        return self.next()

    def next(self) -> Message:
        """Proceeds to the next message."""
        message = next(self._messages, Ended())
        if isinstance(message, LAST):
            self._messages = iter(())
        return portable(message)

    def stop(self) -> None:
        """Ends the stack after its current step."""
        self._stop.set()


@dataclass(frozen=True)
class _Kept:
    """A checkpoint that was taken; called, it gives it."""

    checkpoint: Checkpoint

    def __call__(self) -> Checkpoint:
        return self.checkpoint


def portable(message: Message) -> Message:
    """The message with its checkpoints taken, on the CPU, and errors of known types."""
    match message:
        case Recorded(record=EpochRecord() as record):
            replicas = tuple(
                replace(one, checkpoint=_take(one.checkpoint)) for one in record.replicas
            )
            return replace(message, record=replace(record, replicas=replicas))
        case Recorded(record=InterruptedEpoch() as record):
            checkpoints = {place: _take(take) for place, take in record.checkpoints.items()}
            return replace(message, record=replace(record, checkpoints=checkpoints))
        case Failed(error=error) if not isinstance(error, UserError):
            # Errors of libraries may not survive the way, or may not be known there.
            text = str(error) or type(error).__name__
            return replace(message, error=RuntimeError(text))
    return message


def _take(checkpoint_of: Callable[[], Checkpoint]) -> _Kept:
    checkpoint = checkpoint_of()
    states = (checkpoint.network, checkpoint.optimiser, checkpoint.probes)
    network, optimiser, probes = ({name: t.cpu() for name, t in state.items()} for state in states)
    return _Kept(replace(checkpoint, network=network, optimiser=optimiser, probes=probes))
