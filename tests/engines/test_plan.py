"""Which networks train together."""

from __future__ import annotations

import pytest
import torch

from bninit.config import Config, config_from_dict
from bninit.engines.plan import (
    MOST_ON_CPU,
    Job,
    bytes_per_network,
    largest_stack,
    plan_stacks,
    stack_key,
    train_settings_of,
)
from bninit.errors import DeviceError
from bninit.nets.architecture import Architecture


def on_cpu(config: Config) -> int:
    return largest_stack(config, device=torch.device("cpu"))


def _jobs(num_seeds: int, **model: object) -> list[Job]:
    config = config_from_dict({"name": "x", "model": {"hidden": [20], **model}})
    return [Job(config, seed) for seed in range(num_seeds)]


def test_seeds_of_one_arm_are_one_stack() -> None:
    jobs = _jobs(5)
    assert plan_stacks(jobs, largest=on_cpu) == [jobs]


def test_schemes_share_a_stack_and_placements_do_not() -> None:
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
    ],
)
def test_what_decides_a_step_decides_the_stack(change: dict[str, object]) -> None:
    assert stack_key(config_from_dict({"name": "x"})) != stack_key(
        config_from_dict({"name": "x", **change})
    )


def test_names_seeds_and_devices_do_not() -> None:
    one = config_from_dict({"name": "x", "train": {"seeds": 3, "device": "cpu"}})
    assert stack_key(one) == stack_key(config_from_dict({"name": "y"}))


def test_tf32_is_refused_on_a_cpu_before_anything_is_trained() -> None:
    config = config_from_dict({"name": "x", "train": {"precision": "tf32"}})
    with pytest.raises(DeviceError, match=r"x: train\.precision.*tf32"):
        plan_stacks([Job(config, 0)], largest=on_cpu)


@pytest.mark.parametrize(
    ("precision", "dtype", "products"),
    [
        ("float32", torch.float32, "full"),
        ("float64", torch.float64, "full"),
        ("bf16", torch.float32, "bf16"),
        ("tf32", torch.float32, "tf32"),
    ],
)
def test_a_precision_is_of_numbers_or_of_products(
    precision: str, dtype: torch.dtype, products: str
) -> None:
    config = config_from_dict({"name": "x", "train": {"precision": precision}})
    settings = train_settings_of(config)
    assert (settings.dtype, settings.precision) == (dtype, products)


def test_large_networks_train_in_small_stacks() -> None:
    jobs = _jobs(8, hidden=[4096] * 6)
    assert all(len(stack) < 8 for stack in plan_stacks(jobs, largest=on_cpu))


def test_the_estimate_of_memory_covers_weights_and_signals() -> None:
    shape = Architecture(widths=(784, 256, 10))
    weights = 784 * 256 + 256 * 10
    assert bytes_per_network(shape, batch_size=128, itemsize=4) > 4 * (5 * weights + 128 * 1050)
