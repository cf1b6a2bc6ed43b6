"""Executing a stack: what every engine does where its stacks train."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from bninit.data.load import Data
from bninit.engines.interface import Began, DataKey, Ended, Failed, Message, Recorded, StackTask
from bninit.nets.products import forget_use, routes
from bninit.store.environment import machine
from bninit.training.loop import train_stack
from bninit.training.steps import ways

_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "ALLOC_FAILED",
)
"""In the texts of RuntimeErrors, by which torch and its libraries tell that memory is short."""


def execute(
    task: StackTask,
    *,
    device: torch.device,
    load: Callable[[DataKey], Data],
    stop: Callable[[], bool],
) -> Iterator[Message]:
    """Trains a stack.

    Args:
        task: What to do.
        device: Where.
        load: Gives the data on the device.
        stop: Asked after each step whether to end there.

    Yields:
        The messages of the stack; see `bninit.engines.interface.Engine.wait`. Between two of them
        nothing runs.
    """
    try:
        data = load(task.data)
        forget_use()
        yield Began(machine=machine(str(device)), data_checksum=data.checksum)
        settings = replace(task.settings, device=device)
        for record in train_stack(settings, task.plans, data, stop=stop):
            yield Recorded(record=record, products=routes() | ways())
    except Exception as error:
        failed = Failed(error=error, out_of_memory=is_out_of_memory(error))
    else:
        yield Ended()
        return
    if failed.out_of_memory:
        free_memory(failed.error)
    yield failed


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory is short, on the CPU or on a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def free_memory(error: Exception) -> None:
    """Give back what a failed training holds: the variables of its frames, and torch's caches."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    gc.collect()
    # Does nothing where CUDA was not used.
    torch.cuda.empty_cache()
