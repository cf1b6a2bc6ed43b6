"""A small data set made by hand, trainings of it, and what they recorded in a comparable form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from shapes import initial, planned, shape

from bninit.data.load import Data
from bninit.nets.settings import BiasSettings
from bninit.training.loop import train_stack
from bninit.training.plan import ReplicaPlan, StackPlan
from bninit.training.records import Checkpoint, EpochRecord


def _make_data(
    *,
    num_train: int = 150,
    num_val: int = 40,
    num_test: int = 30,
    num_features: int = 12,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Data:
    """Ten clouds of points; numbers of examples that no batch size divides."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(10, num_features, generator=generator, dtype=torch.float64)

    def part(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.randint(0, 10, (size,), generator=generator)
        noise = torch.randn(size, num_features, generator=generator, dtype=torch.float64)
        return (centres[y] + noise).to(dtype).to(device), y.to(device)

    (train_x, train_y), (val_x, val_y), (test_x, test_y) = map(part, (num_train, num_val, num_test))
    return Data(
        train_x=train_x,
        train_y=train_y,
        val_x=val_x,
        val_y=val_y,
        test_x=test_x,
        test_y=test_y,
        num_classes=10,
        checksum="",
        name="clouds",
        scale="raw",
        shift=0.0,
        divisor=1.0,
    )


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Data]:
    return _make_data


@pytest.fixture(scope="session")
def data() -> Data:
    return _make_data()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    name: str = request.param
    return name


@pytest.fixture
def settings() -> StackPlan:
    """Three steps an epoch with `data`, the last of 30 examples; vary it with `replace`."""
    return planned(
        architecture=shape(widths=(12, 17, 20, 10)),
        epochs=2,
        batch_size=60,
        last_batch="keep",
    )


@dataclasses.dataclass
class Told:
    """All that was recorded of one network, in a form that is equal when every bit is.

    Attributes:
        epochs: For each epoch, its metrics but for the seconds, its step losses, its divergence.
        checkpoints: The copy after each epoch.
        final: EvalResult at the end; None if there were none.
    """

    epochs: list[tuple[str, bytes, int | None]] = dataclasses.field(default_factory=list)
    checkpoints: list[Checkpoint] = dataclasses.field(default_factory=list)
    final: str | None = None

    @property
    def bits(self) -> tuple[Any, ...]:
        kept = [
            (name, tensor.numpy(force=True).tobytes())
            for checkpoint in self.checkpoints
            for state in (checkpoint.network, checkpoint.optimiser, checkpoint.probes)
            for name, tensor in state.items()
        ]
        return self.epochs, kept, self.final

    def since(self, epoch: int) -> Told:
        """What was recorded after an epoch, for a training from epoch 0."""
        return Told(self.epochs[epoch + 1 :], self.checkpoints[epoch + 1 :], self.final)


Tell = Callable[[StackPlan, Sequence[ReplicaPlan], Data], list[Told]]


@pytest.fixture(scope="session")
def tell() -> Tell:
    """Train, and tell for each network in order what was recorded."""

    def run(settings: StackPlan, plans: Sequence[ReplicaPlan], data: Data) -> list[Told]:
        told = [Told() for _ in plans]
        for record in train_stack(settings, plans, data):
            if isinstance(record, EpochRecord):
                for one in record.replicas:
                    # repr tells floats apart to the last bit, and NaN is like NaN.
                    metrics = repr(dataclasses.replace(one.metrics, seconds=0.0))
                    mine = told[one.replica]
                    mine.epochs.append((metrics, one.step_losses.tobytes(), one.diverged_step))
                    mine.checkpoints.append(one.checkpoint())
            else:
                told[record.replica].final = repr((record.train, record.test))
        return told

    return run


@pytest.fixture
def mixed_plans() -> list[ReplicaPlan]:
    """Ten networks, no two alike."""
    starts = [
        initial(),
        initial("xavier_uniform"),
        initial("torch_default", bias=BiasSettings(scheme="torch_default")),
        initial("orthogonal", gain=1.4),
        initial("normal", std=0.01),
        initial("normal", std=1.0),
        initial("lsuv"),
        initial("zeros"),
        initial("lecun_normal", truncated=True),
        initial(),
    ]
    return [ReplicaPlan(seed=seed, init=init) for seed, init in enumerate(starts)]
