"""Which networks train together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from bninit.config import Config, arm_dict, leaf_values
from bninit.errors import DeviceError
from bninit.nets.architecture import Architecture
from bninit.nets.products import TF32
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.loop import TrainSettings

MOST_ON_CPU = 16
"""Networks in a stack on the CPU: beyond this, more of them bring little and leave the caches."""

MOST_ON_CUDA = 512

_CPU_BYTES = 2 << 30
_CUDA_SHARE = 0.5

_MOST_PER_GPU = 8
"""Each process on a GPU takes some hundred megabytes of it for itself."""


@dataclass(frozen=True)
class Job:
    """One network to be trained: an arm and a seed.

    Attributes:
        config: The arm's config; its own seeds are not looked at.
        seed: The seed.
    """

    config: Config
    seed: int


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
    needed = bytes_per_network(
        architecture_of(config),
        batch_size=config.train.batch_size,
        itemsize=dtype_of(config).itemsize,
    )
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0] if free_bytes is None else free_bytes
        return max(1, min(MOST_ON_CUDA, int(free * _CUDA_SHARE) // needed))
    return max(1, min(MOST_ON_CPU, _CPU_BYTES // needed))


def stacks_per_gpu(settings: TrainSettings, *, num_networks: int, gpu_bytes: int) -> int:
    """How many stacks may share a GPU, 1 to 8.

    Args:
        settings: Of the stacks.
        num_networks: In each of them.
        gpu_bytes: Memory of the GPU.
    """
    needed = num_networks * bytes_per_network(
        settings.architecture,
        batch_size=settings.batch_size,
        itemsize=settings.dtype.itemsize,
    )
    return max(1, min(_MOST_PER_GPU, int(gpu_bytes * _CUDA_SHARE) // needed))


def bytes_per_network(architecture: Architecture, *, batch_size: int, itemsize: int) -> int:
    """An upper estimate of the memory that one network of a stack takes in training.

    Args:
        architecture: Its shape.
        batch_size: Examples of a step; an evaluation takes 500 at least.
        itemsize: Bytes of a number.
    """
    weights = sum(fan_in * fan_out for fan_in, fan_out in architecture.fans())
    # Value, gradient, two moments, and a copy for a checkpoint; then each signal, its gradient
    # and what batch norm and activation make of it.
    signals = 6 * sum(architecture.widths) * max(batch_size, 500)
    return itemsize * (5 * weights + signals)
