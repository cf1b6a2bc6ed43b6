"""Every config that is shipped loads, is built, and trains for a step."""

from pathlib import Path

import pytest
import torch

from bninit.config import arm_id, load_config
from bninit.data.load import Data
from bninit.engines.interface import Job
from bninit.engines.plan import replica_plan, stack_plan
from bninit.training.loop import train_stack
from bninit.training.records import EpochRecord

CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(
    path for path in CONFIGS.rglob("*.yaml") if "studies" not in path.relative_to(CONFIGS).parts
)


def _one_batch(size: int) -> Data:
    draws = torch.Generator().manual_seed(0)

    def x(n: int) -> torch.Tensor:
        return torch.rand(n, 784, generator=draws)

    def y(n: int) -> torch.Tensor:
        return torch.randint(0, 10, (n,), generator=draws)

    return Data(
        train_x=x(size),
        train_y=y(size),
        val_x=x(20),
        val_y=y(20),
        test_x=x(20),
        test_y=y(20),
        num_classes=10,
        checksum="",
        name="noise",
        scale="unit",
        shift=0.0,
        divisor=1.0,
    )


def test_there_is_one_for_each_placement_and_each_scheme_of_the_notes() -> None:
    configs = [load_config(path) for path in SHIPPED]
    assert {c.model.norm.placement for c in configs} == {"none", "pre", "post"}
    schemes = {c.model.init.scheme for c in configs}
    assert schemes >= {
        "zeros",
        "constant",
        "normal",
        "lecun_normal",
        "he_normal",
        "xavier_uniform",
        "he_uniform",
    }
    assert len({arm_id(c) for c in configs}) >= len(configs) - 2, "few are the same training"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_it_trains_for_a_step(path: Path) -> None:
    config = load_config(path, overrides=["train.epochs=1"])
    replicas = [replica_plan(Job(config, seed)) for seed in (0, 1)]
    before, after, *finals = train_stack(
        stack_plan(config), replicas, _one_batch(config.train.batch_size)
    )
    assert isinstance(before, EpochRecord)
    assert isinstance(after, EpochRecord)
    assert [one.metrics.step for one in after.replicas] == [1, 1]
    assert len(finals) == 2
