"""A scripted training: what an engine would hand to the store, made of simple arithmetic."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bninit.config import Config
from bninit.nets.reference import build_sequential
from bninit.store import RunWriter
from bninit.training.probing import rows_of
from bninit.training.records import Checkpoint, EpochMetrics, EvalResult, FinalRecord

ABOUT = {"device": "cpu", "stack_size": 3}
STEPS_PER_EPOCH = 5
BEGUN = np.array([1.5, 1.25], dtype=np.float32)
FINAL = FinalRecord(
    replica=0, train=EvalResult(loss=0.25, accuracy=0.875), test=EvalResult(loss=0.5, accuracy=0.75)
)
RESULTS = ("config.yaml", "metrics.csv", "steps.npy", "final.safetensors", "summary.json")

_LAYER_KEYS = [(1, "linear", "sd", -1), (-1, "network", "loss_ema", -1)]
_COLUMNS = {
    "step": torch.int64,
    "epoch": torch.int32,
    "key": torch.int32,
    "value": torch.float32,
}


def make_config(**changes: Any) -> Config:
    """A config of a tiny network; keyword arguments replace whole sections."""
    values: dict[str, Any] = {
        "name": "tiny",
        "model": {"hidden": [2], "norm": {"placement": "post"}},
        "train": {"epochs": 3},
        "targets": [0.1, 0.5, 0.99],
    }
    return Config.model_validate({**values, **changes})


CONFIG = make_config()
PROBED = make_config(probes={"enabled": True})


@dataclass
class Story:
    """A training whose every epoch follows from the one before, as a real one's does."""

    config: Config = CONFIG
    seed: int = 0
    every: int = 1
    diverges: bool = False
    network: dict[str, torch.Tensor] = field(init=False)
    probes: dict[str, torch.Tensor] = field(init=False)
    optimiser: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        state = build_sequential(self.config.architecture).state_dict()
        self.network = {name: tensor.clone() for name, tensor in state.items()}
        self.optimiser = {"momentum.0.weight": torch.zeros_like(self.network["0.weight"])}
        self.probes = {}
        if self.config.probes.enabled:
            keys = np.frombuffer(json.dumps(_LAYER_KEYS).encode(), dtype=np.uint8)
            empty = {f"rows/{name}": torch.zeros(0, dtype=kind) for name, kind in _COLUMNS.items()}
            self.probes = {"rows/keys": torch.from_numpy(keys.copy()), **empty}

    def epoch(self, number: int) -> tuple[EpochMetrics, np.ndarray, Checkpoint | None]:
        """Trains an epoch; 0 is before training."""
        if number:
            momentum = self.optimiser["momentum.0.weight"]
            momentum.mul_(0.9).add_(self.network["0.weight"])
            self.network["0.weight"].sub_(momentum, alpha=0.01)
        weight = float(self.network["0.weight"].double().sum())
        self._probe(number, weight)
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

    def _probe(self, number: int, weight: float) -> None:
        new = {
            "step": [number * STEPS_PER_EPOCH] * 2,
            "epoch": [number] * 2,
            "key": [0, 1],
            "value": [weight, float("nan")],
        }
        for name, values in new.items() if self.probes else ():
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

    def cut(self, number: int) -> Checkpoint:
        """Two steps after an epoch."""
        checkpoint = self.checkpoint(number)
        return replace(checkpoint, step=checkpoint.step + BEGUN.size, begun=BEGUN)

    def play(self, runs_dir: Path, *, until: int | None = None, fresh: bool = False) -> list[str]:
        """Trains as an engine does, from where the store says; returns the store's notes."""
        with RunWriter(runs_dir, self.config, self.seed, fresh=fresh) as writer:
            if writer.status == "finished":
                return writer.notes
            writer.describe(ABOUT)
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
            if until is None:
                self.finish(writer, last)
            return writer.notes

    def finish(self, writer: RunWriter, last: int) -> None:
        """Ends the training after an epoch."""
        layers = rows_of(self.probes) if self.probes else None
        final, step = (None, last * STEPS_PER_EPOCH - 1) if self.diverges else (FINAL, None)
        writer.finish(self.network, final, step, products={"2x2": "each"}, layers=layers)


def results_of(folder: Path) -> dict[str, bytes]:
    """All files but the environment, which tells of interruptions."""
    found = {name: (folder / name).read_bytes() for name in RESULTS}
    if (folder / "layers.safetensors").exists():
        found["layers.safetensors"] = (folder / "layers.safetensors").read_bytes()
    return found
