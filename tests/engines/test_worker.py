"""A worker without a cluster: what it sends is what a training here yields, and it can travel."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bninit.config import Config
from bninit.data.load import Data
from bninit.engines.interface import Began, Ended, Failed, Job, Message, Recorded, StackTask
from bninit.engines.local import execute
from bninit.engines.plan import load_data, replica_plan
from bninit.engines.worker import DataArrays, StackWorker
from bninit.errors import UserError
from bninit.training.records import EpochRecord, InterruptedEpoch

CPU = torch.device("cpu")


@pytest.fixture
def task(make_config: Callable[..., Config]) -> StackTask:
    config = make_config()
    return StackTask(
        config=config, replicas=tuple(replica_plan(Job(config, seed)) for seed in range(2))
    )


@pytest.fixture
def data(task: StackTask) -> Data:
    return load_data(task.config, data_dir=None)


def travelled(value: Any) -> Any:
    """What arrives, arrays that were large without a copy: read-only, as from an object store."""
    buffers: list[pickle.PickleBuffer] = []
    sent = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(sent, buffers=[bytes(buffer.raw()) for buffer in buffers])


def told(message: Message) -> Any:
    """A message as a value that is equal when every bit is, but for times."""
    if not isinstance(message, Recorded):
        return message
    record = message.record
    if not isinstance(record, EpochRecord):
        return record
    return [
        (
            repr(replace(one.metrics, seconds=0.0)),
            one.step_losses.tobytes(),
            [
                (name, tensor.numpy().tobytes())
                for state in (one.checkpoint().network, one.checkpoint().optimiser)
                for name, tensor in state.items()
            ],
        )
        for one in record.replicas
    ]


def begin(worker: StackWorker, task: StackTask, data: Data) -> Message:
    arrays = travelled(DataArrays.of(data))
    assert not arrays.arrays["train_x"].flags.writeable
    found: Message = travelled(worker.begin(travelled(task), arrays, device="cpu", num_threads=1))
    return found


def test_it_sends_what_a_training_here_yields(task: StackTask, data: Data) -> None:
    worker = StackWorker()
    messages = [begin(worker, task, data)]
    while not isinstance(messages[-1], Ended):
        messages.append(travelled(worker.next()))
    here = [
        told(message)
        for message in execute(task, device=CPU, data=lambda: data, stop=lambda: False)
    ]
    assert [told(message) for message in messages] == here
    assert isinstance(messages[0], Began)
    assert messages[0].data_checksum == data.checksum
    assert len(messages) == 1 + 3 + 2 + 1


def test_the_data_is_not_copied(data: Data) -> None:
    arrays = travelled(DataArrays.of(data))
    shared = arrays.on(CPU)
    assert shared.train_x.data_ptr() == arrays.arrays["train_x"].ctypes.data
    assert np.array_equal(shared.test_x, data.test_x)
    assert shared.train_y.dtype == torch.int64
    assert (shared.name, shared.checksum) == (data.name, data.checksum)


def test_told_to_stop_it_sends_where_it_stands(task: StackTask, data: Data) -> None:
    worker = StackWorker()
    begin(worker, task, data)
    travelled(worker.next())
    worker.stop()
    message = travelled(worker.next())
    assert isinstance(message, Recorded)
    assert isinstance(message.record, InterruptedEpoch)
    assert (message.record.epoch, message.record.steps) == (0, 1)
    (first, second) = (take() for take in message.record.checkpoints.values())
    assert first.step == second.step == 1
    assert travelled(worker.next()) == Ended()

    # From there it goes on, in another worker or in this one.
    plans = [
        replace(plan, checkpoint=checkpoint)
        for plan, checkpoint in zip(task.replicas, (first, second), strict=True)
    ]
    begin(worker, replace(task, replicas=tuple(plans)), data)
    message = travelled(worker.next())
    assert isinstance(message.record, EpochRecord)
    assert message.record.epoch == 1


def test_errors_travel(task: StackTask, data: Data) -> None:
    worker = StackWorker()
    few = replace(data, train_x=data.train_x[:2])
    begin(worker, task, few)
    message = travelled(worker.next())
    assert isinstance(message, Failed)
    assert "a batch of 500 is more than the training set" in str(message.error)
    assert not message.out_of_memory
    error = travelled(UserError("a", where="b", hint="c"))
    assert str(error) == "b: a\n  c"
