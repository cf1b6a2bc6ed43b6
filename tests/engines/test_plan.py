"""Which networks train together."""

from __future__ import annotations

import pytest
import torch

from bninit.config import Config, config_from_dict
from bninit.engines.interface import Job
from bninit.engines.plan import (
    MOST_ON_CPU,
    bytes_per_network,
    largest_stack,
    plan_stacks,
    resolve_device,
    stack_key,
    stacks_per_gpu,
)
from bninit.errors import DeviceError


def config_of(**sections: object) -> Config:
    return config_from_dict({"name": "x", **sections})


def on_cpu(config: Config) -> int:
    return largest_stack(config, device=torch.device("cpu"))


def _jobs(num_seeds: int, **model: object) -> list[Job]:
    config = config_of(model={"hidden": [20], **model})
    return [Job(config, seed) for seed in range(num_seeds)]


def test_seeds_and_schemes_share_a_stack_and_placements_do_not() -> None:
    he, zeros = _jobs(2), _jobs(2, init={"scheme": "zeros"})
    pre = _jobs(2, norm={"placement": "pre"})
    assert plan_stacks([*he, *pre, *zeros], largest=on_cpu) == [[*he, *zeros], pre]


@pytest.mark.parametrize("num_jobs", [1, MOST_ON_CPU, MOST_ON_CPU + 1, 3 * MOST_ON_CPU - 1])
def test_every_job_once_in_stacks_of_even_size(num_jobs: int) -> None:
    jobs = _jobs(num_jobs)
    stacks = plan_stacks(jobs, largest=on_cpu)
    assert [job for stack in stacks for job in stack] == jobs
    sizes = [len(stack) for stack in stacks]
    assert max(sizes) <= MOST_ON_CPU
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-num_jobs // MOST_ON_CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"scale": "raw"}},
        {"optim": {"lr": 0.2}},
        {"optim": {"name": "adam"}},
        {"train": {"batch_size": 64}},
        {"train": {"epochs": 3}},
        {"train": {"precision": "float64"}},
        {"train": {"precision": "bf16"}},
        {"model": {"activation": "tanh"}},
        {"model": {"hidden": [20, 20]}},
        {"probes": True},
    ],
)
def test_what_decides_a_step_decides_the_stack(change: dict[str, object]) -> None:
    assert stack_key(config_of()) != stack_key(config_of(**change))


def test_names_seeds_and_devices_do_not() -> None:
    one = config_of(train={"seeds": 3, "device": "cpu"})
    assert stack_key(one) == stack_key(config_from_dict({"name": "y"}))


def test_tf32_is_refused_on_a_cpu_before_anything_is_trained() -> None:
    with pytest.raises(DeviceError, match=r"x: train\.precision.*tf32"):
        plan_stacks([Job(config_of(train={"precision": "tf32"}), 0)], largest=on_cpu)


def test_memory_bounds_stacks_and_stacks_on_a_gpu() -> None:
    small, large = config_of(), config_of(model={"hidden": [4096] * 8})
    weights = 784 * 256 + 2 * 256 * 256 + 256 * 10
    assert bytes_per_network(small) > 4 * (5 * weights + 128 * (784 + 3 * 256 + 10))
    assert on_cpu(large) < on_cpu(small)
    gpu = torch.device("cuda")
    most = largest_stack(large, device=gpu, free_bytes=16 << 30)
    assert 1 < most < largest_stack(small, device=gpu, free_bytes=16 << 30)
    assert stacks_per_gpu(small, num_networks=2, gpu_bytes=16 << 30) == 8
    assert stacks_per_gpu(large, num_networks=most, gpu_bytes=16 << 30) == 1
    assert stacks_per_gpu(large, num_networks=most // 2, gpu_bytes=16 << 30) >= 2


def test_a_name_that_is_no_device_is_refused() -> None:
    with pytest.raises(DeviceError, match="device tpu: unknown device"):
        resolve_device("tpu")
    assert resolve_device("cpu").type == "cpu"
