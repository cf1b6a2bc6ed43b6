"""Plan stacks: which networks train together, and how many fit into memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import torch

from bninit.config import Config, arm_dict, leaf_values
from bninit.data.load import Data, load
from bninit.data.settings import DataSettings
from bninit.engines.interface import Job
from bninit.errors import DeviceError
from bninit.nets.products import TF32
from bninit.training.evaluation import EVALUATION_BATCH
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.records import Checkpoint
from bninit.training.settings import DEVICE_PATTERN

CPU = torch.device("cpu")

DataKey: TypeAlias = tuple[DataSettings, torch.dtype]

MOST_ON_CPU = 16
"""Networks in a stack on the CPU: beyond this, more of them bring little and leave the caches."""

MOST_ON_CUDA = 512

_CPU_BYTES = 2 << 30
_CUDA_SHARE = 0.5

_MOST_PER_GPU = 8
"""Each process on a GPU takes some hundred megabytes of it for itself."""


def stack_key(config: Config) -> str:
    """Configs with equal keys can train in one stack: all but the initial values is the same."""
    arm = arm_dict(config)
    model = {key: value for key, value in arm["model"].items() if key != "init"}
    return json.dumps({**arm, "model": model, "probes": leaf_values(config.probes)}, sort_keys=True)


def plan_stacks(jobs: Sequence[Job], *, largest: Callable[[Config], int]) -> list[list[Job]]:
    """Groups jobs into stacks, in the order in which their first jobs come.

    Args:
        jobs: Any number of networks.
        largest: How many networks of a config may train together; see `largest_stack`.

    Returns:
        Every job once. Stacks of one group differ in size by at most one.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(stack_key(job.config), []).append(job)
    stacks = []
    for group in groups.values():
        most = largest(group[0].config)
        num_stacks = -(-len(group) // most)
        bounds = [len(group) * i // num_stacks for i in range(num_stacks + 1)]
        stacks += [group[i:j] for i, j in pairwise(bounds)]
    return stacks


def largest_stack(config: Config, *, device: torch.device, free_bytes: int | None = None) -> int:
    """How many networks of this config may train together on a device, at least 1.

    Args:
        config: The config.
        device: Where they train.
        free_bytes: Free memory of a GPU; found out by default.

    Raises:
        DeviceError: None can: the device has not the precision.
    """
    if config.train.precision == TF32 and device.type != "cuda":
        what = f"precision tf32 is of the tensor cores of a GPU, and this is {device.type}"
        hint = "allowed here: float32, float64, bf16; or train on a GPU with --device cuda"
        raise DeviceError(what, where=f"{config.name}: train.precision", hint=hint)
    needed = bytes_per_network(config)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] if free_bytes is None else free_bytes
        return max(1, min(MOST_ON_CUDA, int(free * _CUDA_SHARE) // needed))
    return max(1, min(MOST_ON_CPU, _CPU_BYTES // needed))


def stacks_per_gpu(config: Config, *, num_networks: int, gpu_bytes: int) -> int:
    """How many stacks of so many networks may share a GPU, 1 to 8."""
    needed = num_networks * bytes_per_network(config)
    return max(1, min(_MOST_PER_GPU, int(gpu_bytes * _CUDA_SHARE) // needed))


def bytes_per_network(config: Config) -> int:
    """An upper estimate of the memory that one network of a stack takes in training."""
    architecture = config.architecture
    weights = sum(fan_in * fan_out for fan_in, fan_out in architecture.fans())
    # Value, gradient, two moments, and a copy for a checkpoint; then each signal, its gradient
    # and what batch norm and activation make of it, for a step or an evaluation.
    signals = 6 * sum(architecture.widths) * max(config.train.batch_size, EVALUATION_BATCH)
    return config.train.dtype.itemsize * (5 * weights + signals)


def data_key(config: Config) -> DataKey:
    """Configs with equal keys are trained on the same tensors."""
    return config.data, config.train.dtype


def load_data(config: Config, *, data_dir: Path | None, device: torch.device = CPU) -> Data:
    """The config's data set on a device, in the config's precision."""
    data = config.data
    return load(
        data.name,
        data_dir=data_dir,
        val_size=data.val_size,
        scale=data.scale,
        device=device,
        dtype=config.train.dtype,
    )


def stack_plan(config: Config, *, device: torch.device = CPU) -> StackPlan:
    """What the config's networks have in common in training."""
    return StackPlan(
        architecture=config.architecture,
        optim=config.optim,
        train=config.train,
        probes=config.probes,
        device=device,
    )


def replica_plan(job: Job, *, checkpoint: Checkpoint | None = None) -> ReplicaPlan:
    """A network to be trained, from its beginning or from a checkpoint."""
    return ReplicaPlan(seed=job.seed, init=job.config.model.init, checkpoint=checkpoint)


def resolve_device(name: str) -> torch.device:
    """The device that a config's ``train.device`` means on this machine.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: The name is unknown, or there is no such CUDA device.
    """
    if not re.fullmatch(DEVICE_PATTERN, name):
        allowed = "allowed: auto, cpu, cuda, cuda:N"
        raise DeviceError("unknown device", where=f"device {name}", hint=allowed)
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    hint = "use device: cpu, or device: auto, which takes a GPU where there is one"
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; this torch is built without CUDA"
        raise DeviceError(f"no CUDA device is available{built}", where=f"device {name}", hint=hint)
    device = torch.device("cuda:0" if name == "cuda" else name)
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        last = f"cuda:{count - 1}"
        raise DeviceError(f"the last CUDA device is {last}", where=f"device {name}", hint=hint)
    return device
