"""The local engine: trains stacks in this process, one at a time."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import torch

from bninit.config import Config
from bninit.data.load import Data
from bninit.engines.interface import (
    LAST,
    Began,
    Ended,
    EngineChoice,
    Failed,
    Message,
    Recorded,
    StackTask,
)
from bninit.engines.plan import (
    DataKey,
    data_key,
    largest_stack,
    load_data,
    resolve_device,
    stack_plan,
)
from bninit.nets.products import forget_use, product_kernels
from bninit.store.environment import machine
from bninit.training.loop import never, train_stack
from bninit.training.steps import launch_mode

_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
)
"""In the texts of RuntimeErrors of torch and its libraries when memory is short."""


def execute(
    task: StackTask, *, device: torch.device, data: Callable[[], Data], stop: Callable[[], bool]
) -> Iterator[Message]:
    """Trains a stack, whatever the engine; yields its messages, between which nothing runs."""
    try:
        loaded = data()
        forget_use()
        yield Began(machine=machine(str(device)), data_checksum=loaded.checksum)
        plan = stack_plan(task.config, device=device)
        for record in train_stack(plan, task.replicas, loaded, stop=stop):
            yield Recorded(record=record, products=product_kernels() | launch_mode())
    except Exception as error:
        failed = Failed(error=error, out_of_memory=is_out_of_memory(error))
    else:
        yield Ended()
        return
    if failed.out_of_memory:
        free_memory(failed.error)
    yield failed


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short, on the CPU or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def free_memory(error: Exception) -> None:
    """Frees what a failed training holds: the variables of its frames, and torch's caches."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    gc.collect()
    # Does nothing where CUDA was not used.
    torch.cuda.empty_cache()


class LocalEngine:
    """Executes one stack at a time, on one device of this machine; see `Engine`.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_dir: Folder searched first for data sets.

    Raises:
        DeviceError: The device does not exist.
    """

    def __init__(self, *, device: str = "auto", data_dir: Path | None = None) -> None:
        self._device = resolve_device(device)
        self._data_dir = data_dir
        self._data: tuple[DataKey, Data] | None = None
        self._stop: Callable[[], bool] = never
        self._running: tuple[int, Iterator[Message]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running = self._data = None

    def largest_stack(self, config: Config) -> int:
        """As much as the device's memory holds."""
        return largest_stack(config, device=self._device)

    def prepare(self, config: Config) -> None:
        """Loads the data set onto the device."""
        key = data_key(config)
        if self._data is None or self._data[0] != key:
            # One at a time: a study over scales does not hold them all.
            self._data = None
            self._data = key, load_data(config, data_dir=self._data_dir, device=self._device)

    def has_room(self) -> bool:
        """Whether nothing is executing."""
        return self._running is None

    def submit(self, number: int, task: StackTask) -> None:
        """Begins a stack; it proceeds while it is waited for."""
        assert self._data is not None, "its data is prepared"
        _, data = self._data
        self._running = (
            number,
            execute(task, device=self._device, data=lambda: data, stop=self._asks_to_stop),
        )

    def wait(self, *, stop: Callable[[], bool]) -> Iterator[tuple[int, Message]]:
        """Executes up to the next message."""
        if self._running is None:
            return
        self._stop = stop
        number, messages = self._running
        message = next(messages)
        if isinstance(message, LAST):
            self._running = None
        yield number, message

    def _asks_to_stop(self) -> bool:
        return self._stop()

    def cancel(self, number: int) -> None:
        """Ends the stack."""
        if self._running is not None and self._running[0] == number:
            self._running = None


def open_engine(choice: EngineChoice, *, device: str, data_dir: Path | None) -> LocalEngine:
    """For `bninit.engines.interface.ENGINES`."""
    del choice
    return LocalEngine(device=device, data_dir=data_dir)
