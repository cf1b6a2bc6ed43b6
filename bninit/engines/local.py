"""The engine of this machine: trains stacks in this process, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from bninit.config import Config
from bninit.data.load import Data, load
from bninit.engines.choice import EngineChoice
from bninit.engines.execute import execute
from bninit.engines.interface import LAST, DataKey, Message, StackTask
from bninit.engines.plan import largest_stack
from bninit.engines.settings import resolve_device


class LocalEngine:
    """Executes one stack at a time, on one device of this machine.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_dir: Folder searched first for data sets.

    Raises:
        DeviceError: The device is not there.
    """

    def __init__(self, *, device: str = "auto", data_dir: Path | None = None) -> None:
        self._device = resolve_device(device)
        self._data_dir = data_dir
        self._data: dict[DataKey, Data] = {}
        self._running: tuple[int, Iterator[Message]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running = None
        self._data = {}

    def largest_stack(self, config: Config) -> int:
        """As much as the device's memory holds."""
        return largest_stack(config, device=self._device)

    def prepare(self, data: DataKey) -> None:
        """Loads the data set onto the device."""
        if data not in self._data:
            # One at a time: a study over scales does not hold them all.
            self._data = {}
            self._data[data] = load(
                data.name,
                data_dir=self._data_dir,
                val_size=data.val_size,
                scale=data.scale,
                device=self._device,
                dtype=data.dtype,
            )

    def has_room(self) -> bool:
        """Whether nothing is executing."""
        return self._running is None

    def submit(self, number: int, task: StackTask) -> None:
        """Begins a stack; it goes on while it is waited for."""
        self._running = (
            number,
            execute(
                task,
                device=self._device,
                load=self._data.__getitem__,
                stop=self._asks_to_stop,
            ),
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
        """What the one who waits says now."""
        return self._stop()

    def cancel(self, number: int) -> None:
        """Ends the stack."""
        if self._running is not None and self._running[0] == number:
            self._running = None


def open_engine(choice: EngineChoice, *, device: str, data_dir: Path | None) -> LocalEngine:
    """For `bninit.engines.choice.ENGINES`."""
    del choice
    return LocalEngine(device=device, data_dir=data_dir)
