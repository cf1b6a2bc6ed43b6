"""A scripted training: what an engine would hand to the store, made of simple arithmetic."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bninit.config import Config
from bninit.nets.reference import build_sequential
from bninit.store import RunWriter
from bninit.store.networks import architecture_of
from bninit.training.probing import rows_of
from bninit.training.records import Checkpoint, EpochMetrics, EvalResult, FinalRecord

ENVIRONMENT = {"device": "cpu", "stack_size": 3}
STEPS_PER_EPOCH = 5
LAYER_KEYS = [(1, "linear", "sd", -1), (-1, "network", "loss_ema", -1)]


def make_config(**changes: Any) -> Config:
    """A config of a tiny network; keyword arguments replace whole sections."""
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {"hidden": [2], "norm": {"placement": "post"}},
        "train": {"epochs": 3},
        "targets": [0.1, 0.5, 0.99],
    }
    return Config.model_validate({**values, **changes})


@dataclass
class Story:
    """A training whose every epoch follows from the one before, as a real one's does."""

    config: Config
    seed: int = 0
    every: int = 1
    diverges: bool = False
    network: dict[str, torch.Tensor] = field(init=False)
    probes: dict[str, torch.Tensor] = field(init=False)
    optimiser: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        state = build_sequential(architecture_of(self.config)).state_dict()
        self.network = {name: tensor.clone() for name, tensor in state.items()}
        self.optimiser = {"momentum.0.weight": torch.zeros_like(self.network["0.weight"])}
        self.probes = {}
        if self.config.probes.enabled:
            keys = np.frombuffer(json.dumps(LAYER_KEYS).encode(), dtype=np.uint8)
            self.probes = {"rows/keys": torch.from_numpy(keys.copy())} | {
                f"rows/{name}": torch.zeros(0, dtype=dtype)
                for name, dtype in (
                    ("step", torch.int64),
                    ("epoch", torch.int32),
                    ("key", torch.int32),
                    ("value", torch.float32),
                )
            }

    def epoch(self, number: int) -> tuple[EpochMetrics, np.ndarray, Checkpoint | None]:
        """Trains an epoch; 0 is before training."""
        if number:
            momentum = self.optimiser["momentum.0.weight"]
            momentum.mul_(0.9).add_(self.network["0.weight"])
            self.network["0.weight"].sub_(momentum, alpha=0.01)
        weight = float(self.network["0.weight"].double().sum())
        self.probe(number, weight)
        losses = np.array(
            [weight / (step + 1) for step in range(STEPS_PER_EPOCH if number else 0)],
            dtype=np.float32 if number else np.float64,
        )
        last = self.diverges and number == self.config.train.epochs - 1
        metrics = EpochMetrics(
            epoch=number,
            step=number * STEPS_PER_EPOCH,
            learning_rate=0.1,
            batch_loss=float(losses.mean(dtype=np.float64)) if number else None,
            train_loss=float("nan") if last else weight,
            train_accuracy=1 - 0.9 / (number + 1),
            val_loss=float("inf") if last else weight * 1.1,
            val_accuracy=1 - 0.95 / (number + 1),
            seconds=number / 3,
        )
        return metrics, losses, self.checkpoint(number) if number % self.every == 0 else None

    def probe(self, number: int, weight: float) -> None:
        """Reads two numbers at each epoch, if the config asks for it."""
        if not self.config.probes.enabled:
            return
        new = {
            "step": [number * STEPS_PER_EPOCH] * 2,
            "epoch": [number] * 2,
            "key": [0, 1],
            "value": [weight, float("nan")],
        }
        for name, values in new.items():
            column = self.probes[f"rows/{name}"]
            self.probes[f"rows/{name}"] = torch.cat([column, torch.tensor(values).to(column)])

    def checkpoint(self, number: int) -> Checkpoint:
        """Copies the state."""
        return Checkpoint(
            epoch=number,
            step=number * STEPS_PER_EPOCH,
            seconds=number / 3,
            network={name: tensor.clone() for name, tensor in self.network.items()},
            optimiser={name: tensor.clone() for name, tensor in self.optimiser.items()},
            probes={name: tensor.clone() for name, tensor in self.probes.items()},
        )

    def play(self, runs_dir: Path, *, until: int | None = None, fresh: bool = False) -> list[str]:
        """Trains as an engine does, from where the store says; returns the store's notes."""
        with RunWriter.open(
            runs_dir, self.config, self.seed, environment=ENVIRONMENT, fresh=fresh
        ) as writer:
            if writer.status == "finished":
                return writer.notes
            self.__post_init__()
            checkpoint = writer.resume()
            begin = 0
            if checkpoint is not None:
                self.network = checkpoint.network
                self.optimiser = checkpoint.optimiser
                self.probes = checkpoint.probes
                begin = checkpoint.epoch + 1
            last = self.config.train.epochs - (1 if self.diverges else 0)
            for number in range(begin, last + 1):
                if until is not None and number > until:
                    return writer.notes
                metrics, losses, kept = self.epoch(number)
                writer.epoch(metrics, losses, None if self.diverges and number == last else kept)
            if until is not None:
                return writer.notes
            layers = rows_of(self.probes) if self.probes else None
            if self.diverges:
                writer.finish(self.network, None, last * STEPS_PER_EPOCH - 1, layers=layers)
            else:
                products = {"2x2": "each"}
                writer.finish(self.network, self.final(), None, products=products, layers=layers)
            return writer.notes

    def final(self) -> FinalRecord:
        """The figures at the end."""
        return FinalRecord(
            replica=0,
            train=EvalResult(loss=0.25, accuracy=0.875),
            test=EvalResult(loss=0.5, accuracy=0.75),
        )


def read_results(folder: Path) -> dict[str, bytes]:
    """All files but the environment, which tells of interruptions."""
    names = ["config.yaml", "metrics.csv", "steps.npy", "final.safetensors", "summary.json"]
    if (folder / "layers.safetensors").exists():
        names.append("layers.safetensors")
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def config() -> Config:
    return make_config()


@pytest.fixture
def configure() -> Callable[..., Config]:
    return make_config


@pytest.fixture
def tell() -> type[Story]:
    return Story


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def seed_dir(runs_dir: Path, config: Config) -> Path:
    """Where the run of seed 0 will be."""
    from bninit.store import run_folder

    return run_folder(runs_dir, config, 0)


@pytest.fixture
def finished(runs_dir: Path, config: Config, seed_dir: Path) -> Path:
    """The folder of a finished run."""
    Story(config).play(runs_dir)
    return seed_dir


@pytest.fixture
def half(runs_dir: Path, config: Config, seed_dir: Path) -> Path:
    """The folder of a run that was left after its first epoch."""
    Story(config).play(runs_dir, until=1)
    return seed_dir


@pytest.fixture
def results() -> Callable[[Path], dict[str, bytes]]:
    """What a run has to give bit-identically, however often it was interrupted."""
    return read_results


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing has disturbed."""
    from bninit.store import run_folder

    runs_dir, config = tmp_path_factory.mktemp("undisturbed"), make_config()
    Story(config).play(runs_dir)
    return read_results(run_folder(runs_dir, config, 0))


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged() -> Callable[[], Any]:
    """A context in which permissions count, for root, too."""

    @contextmanager
    def drop() -> Iterator[None]:
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield
        finally:
            if is_root:
                os.seteuid(0)

    return drop
