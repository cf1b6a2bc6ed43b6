"""The same training with Lightning, a ``TensorDataset`` and a ``DataLoader``."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from bninit.verbs.bench.baselines import LEARNING_RATE, MOMENTUM, Case, Losses


class LightningFit:
    """One network.

    ``fit`` makes a new optimiser for each pass, so that momentum starts anew; times do not depend
    on it.

    Args:
        case: What is trained.
    """

    def __init__(self, case: Case) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        self.name = "Lightning"
        self.num_networks = 1
        self._batch_size = case.batch_size
        self._module = _Module(case)
        self._dataset = TensorDataset(case.data.train_x.cpu(), case.data.train_y.cpu())
        self._order: list[int] | None = case.order(0).tolist()
        self._trainer = lightning.Trainer(
            max_epochs=0,
            accelerator="gpu" if case.device.type == "cuda" else "cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def train(self) -> Losses:
        """See `Loop.train`."""
        how: dict[str, Any] = {"shuffle": True} if self._order is None else {"sampler": self._order}
        self._order = None
        loader = DataLoader(self._dataset, batch_size=self._batch_size, **how)
        self._module.losses.clear()
        self._trainer.fit_loop.max_epochs += 1
        with warnings.catch_warnings():
            # It recommends workers, which take longer to start than an epoch to train.
            warnings.simplefilter("ignore")
            self._trainer.fit(self._module, loader)
        return np.asarray(torch.stack(self._module.losses).cpu().numpy())[None]


class _Module(lightning.LightningModule):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.network = case.network(0)
        self.losses: list[Tensor] = []

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.network(x), y)
        self.losses.append(loss.detach())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
