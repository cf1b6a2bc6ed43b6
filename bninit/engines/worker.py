"""Executing stacks in another process: what goes there, what comes back, and who does the work.

Nothing here knows how the processes are started or talk to each other.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.catalog import Scale
from bninit.data.load import Data
from bninit.engines.local import execute
from bninit.engines.plan import LAST, DataKey, Ended, Failed, Message, Recorded, StackTask
from bninit.errors import UserError
from bninit.training.records import Checkpoint, CutRecord, EpochRecord

_TENSORS = ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y")


@dataclass(frozen=True, eq=False)
class DataArrays:
    """A data set on its way: as `Data`, with arrays that several processes can share.

    Attributes:
        arrays: Its tensors, by name.
        num_classes: As in `Data`, as are the following.
    """

    arrays: dict[str, npt.NDArray[np.generic]]
    num_classes: int
    checksum: str
    name: str
    scale: Scale
    shift: float
    divisor: float

    @classmethod
    def of(cls, data: Data) -> DataArrays:
        """The arrays of a data set that lies on the CPU; they share its memory."""
        return cls(
            arrays={name: getattr(data, name).numpy() for name in _TENSORS},
            num_classes=data.num_classes,
            checksum=data.checksum,
            name=data.name,
            scale=data.scale,
            shift=data.shift,
            divisor=data.divisor,
        )

    def on(self, device: torch.device) -> Data:
        """The data set on a device; on the CPU it shares the arrays' memory."""
        return Data(
            **{name: _tensor(array).to(device) for name, array in self.arrays.items()},
            num_classes=self.num_classes,
            checksum=self.checksum,
            name=self.name,
            scale=self.scale,
            shift=self.shift,
            divisor=self.divisor,
        )


class StackWorker:
    """Executes one stack at a time, a message for each call.

    `stop` may be called from another thread than the other methods.
    """

    def __init__(self) -> None:
        self._messages: Iterator[Message] = iter(())
        self._stop = threading.Event()
        self._data: tuple[DataKey, Data] | None = None

    def begin(
        self, task: StackTask, arrays: DataArrays, *, device: str, num_threads: int
    ) -> Message:
        """Begins a stack; whatever was executing is left.

        Args:
            task: What to do.
            arrays: The data of the task.
            device: ``cpu`` or ``cuda``.
            num_threads: Threads of a computation on the CPU.

        Returns:
            The first message.
        """
        torch.set_num_threads(num_threads)
        self._stop.clear()
        on = torch.device("cpu" if device == "cpu" else "cuda:0")

        def load(key: DataKey) -> Data:
            if self._data is None or self._data[0] != key:
                # One at a time, and the former one first.
                self._data = None
                self._data = key, arrays.on(on)
            return self._data[1]

        self._messages = execute(task, device=on, load=load, stop=self._stop.is_set)
        return self.next()

    def next(self) -> Message:
        """Goes on to the next message."""
        message = next(self._messages, Ended())
        if isinstance(message, LAST):
            self._messages = iter(())
        return portable(message)

    def stop(self) -> None:
        """Ends the stack after the step that it is at."""
        self._stop.set()


@dataclass(frozen=True)
class _Kept:
    """A checkpoint that was taken; called, it gives it."""

    checkpoint: Checkpoint

    def __call__(self) -> Checkpoint:
        return self.checkpoint


def portable(message: Message) -> Message:
    """The message with nothing in it that stays behind: checkpoints are taken, on the CPU."""
    match message:
        case Recorded(record=EpochRecord() as record):
            replicas = tuple(
                replace(one, checkpoint=_take(one.checkpoint)) for one in record.replicas
            )
            return replace(message, record=replace(record, replicas=replicas))
        case Recorded(record=CutRecord() as record):
            checkpoints = {place: _take(take) for place, take in record.checkpoints.items()}
            return replace(message, record=replace(record, checkpoints=checkpoints))
        case Failed(error=error) if not isinstance(error, UserError):
            # Errors of libraries may not survive the way, or may not be known there.
            text = str(error) or type(error).__name__
            return replace(message, error=RuntimeError(text))
    return message


def _take(checkpoint_of: Callable[[], Checkpoint]) -> _Kept:
    checkpoint = checkpoint_of()
    return _Kept(
        replace(
            checkpoint,
            network=_on_cpu(checkpoint.network),
            optimiser=_on_cpu(checkpoint.optimiser),
            probes=_on_cpu(checkpoint.probes),
        )
    )


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A tensor that shares an array's memory, which may be read-only: nothing writes in it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
