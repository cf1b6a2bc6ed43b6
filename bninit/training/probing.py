"""Take probes of a stack while it trains: dense early, then sparser."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bninit.data.load import Data
from bninit.nets.stack import StackedMLP
from bninit.training.probes import PROBES
from bninit.training.readings import ProbeContext
from bninit.training.records import LayerRows, RowKey
from bninit.training.running_averages import RunningAverages
from bninit.training.settings import ProbeSettings, TrainSettings
from bninit.training.steps import num_steps

EVERY_EPOCH = 100
"""Up to this epoch each one is probed; later ones at intervals that grow with the epoch."""

_GROWTH = 1.05


def probed_steps(steps_per_doubling: int, *, num_steps: int) -> frozenset[int]:
    """The steps after which probes are taken, between epochs or not: dense early, then sparser.

    They are 2^(i / n), rounded, for n steps per doubling: 1, 2, 4, 8, ... for 1. They do not
    depend on the length of the training, but for ending with it.
    """
    if steps_per_doubling == 0 or num_steps < 1:
        return frozenset()
    last = math.floor(math.log2(num_steps) * steps_per_doubling)
    return frozenset(round(2 ** (i / steps_per_doubling)) for i in range(last + 1))


def is_probed_epoch(epoch: int, *, num_epochs: int) -> bool:
    """Whether probes are taken at the end of an epoch.

    At 0 (before the training), at each up to `EVERY_EPOCH`, at the last one, and between at
    intervals that grow by 5 %: no more than 243 in the longest training that a config allows.
    """
    if epoch <= EVERY_EPOCH or epoch == num_epochs:
        return True
    i = round(math.log(epoch / EVERY_EPOCH, _GROWTH))
    return any(round(EVERY_EPOCH * _GROWTH**j) == epoch for j in (i - 1, i, i + 1))


_MEMORY, _SHADOW, _ROWS = "memory/", "shadow/", "rows/"


class Unprobed:
    """Stands in for a `Prober` where no probes are taken."""

    def before_step(self, step: int, *, next_batch: Tensor, learning_rate: float) -> None:
        """Nothing."""

    def at_epoch(
        self, epoch: int, *, next_batch: Callable[[], Tensor], learning_rate: float
    ) -> None:
        """Nothing."""

    def keep(self, network: StackedMLP, which: Sequence[int]) -> None:
        """Nothing."""

    def state(self, replica: int) -> dict[str, Tensor]:
        """Nothing is to be known."""
        del replica
        return {}

    def spent(self) -> float:
        """No time at all."""
        return 0.0


@dataclass(frozen=True, eq=False)
class _Taken:
    """What was found at one moment: what the numbers are, (row,), and they, (replica, row)."""

    step: int
    epoch: int
    keys: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]


class Prober:
    """Takes probes of a stack in training.

    Args:
        settings: What is read, and when.
        train: Epochs and batches of the training.
        network: The stack, before its first step or with what its checkpoint holds.
        data: What it is trained on.
        states: What each network's checkpoint holds; none for the beginning.

    Raises:
        ValueError: The checkpoints are of other probes, or of none.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        *,
        train: TrainSettings,
        network: StackedMLP,
        data: Data,
        states: Sequence[Mapping[str, Tensor]],
    ) -> None:
        self._seconds = 0.0
        self._settings = settings
        self._data = data
        self._train = train
        self._steps_per_epoch = num_steps(data.train_x.size(0), train)
        self._steps = probed_steps(
            settings.steps_per_doubling, num_steps=train.epochs * self._steps_per_epoch
        )
        self._network = network
        self._averages = RunningAverages(network, batch_size=self._train.batch_size)
        self._memory: dict[str, Tensor] = {}
        self._keys: dict[RowKey, int] = {}
        self._taken: list[_Taken] = []
        if states:
            self._load(states)

    def before_step(self, step: int, *, next_batch: Tensor, learning_rate: float) -> None:
        """Takes probes within an epoch, when it is time."""
        epoch, steps = divmod(step, self._steps_per_epoch)
        if not steps or step not in self._steps:
            return
        if self._network.device.type == "cuda":
            torch.cuda.synchronize(self._network.device)
        began = time.perf_counter()
        self._take(step, epoch, at_epoch=False, next_batch=lambda: next_batch, lr=learning_rate)
        self._seconds += time.perf_counter() - began

    def at_epoch(
        self, epoch: int, *, next_batch: Callable[[], Tensor], learning_rate: float
    ) -> None:
        """Takes probes before the training or at an epoch's end, when it is time."""
        if is_probed_epoch(epoch, num_epochs=self._train.epochs):
            step = epoch * self._steps_per_epoch
            self._take(step, epoch, at_epoch=True, next_batch=next_batch, lr=learning_rate)

    def keep(self, network: StackedMLP, which: Sequence[int]) -> None:
        """Goes on with some of the networks."""
        states = [self.state(replica) for replica in which]
        self._network = network
        self._averages = RunningAverages(network, batch_size=self._train.batch_size)
        self._load(states)

    def state(self, replica: int) -> dict[str, Tensor]:
        """All that is to be known of a network to go on, copied; for a checkpoint."""
        rows = self._rows(replica)
        named = {_SHADOW + name: t[replica].clone() for name, t in self._averages.tensors().items()}
        named |= {_MEMORY + name: t[replica].clone() for name, t in self._memory.items()}
        for name in ("step", "epoch", "key", "value"):
            named[_ROWS + name] = torch.from_numpy(getattr(rows, name).copy())
        keys = json.dumps(rows.keys).encode()
        named[f"{_ROWS}keys"] = torch.from_numpy(np.frombuffer(keys, dtype=np.uint8).copy())
        return named

    def spent(self) -> float:
        """Wall-clock seconds that probes between steps have taken since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _load(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        for name, tensor in self._averages.tensors().items():
            for replica, state in enumerate(states):
                kept = state.get(_SHADOW + name)
                if kept is None or kept.shape != tensor.shape[1:]:
                    raise ValueError(f"{_SHADOW}{name} is missing or of another shape")
                tensor[replica].copy_(kept)
        device = self._network.device
        names = [name for name in states[0] if name.startswith(_MEMORY)]
        self._memory = {
            name.removeprefix(_MEMORY): torch.stack([state[name] for state in states]).to(device)
            for name in names
        }
        tables = [rows_of(state) for state in states]
        first = tables[0]
        if any(
            table.keys != first.keys or not np.array_equal(table.key, first.key) for table in tables
        ):
            raise ValueError("the networks of a stack have been probed differently")
        self._keys = {key: i for i, key in enumerate(first.keys)}
        values = np.stack([table.value for table in tables])
        cuts = np.flatnonzero(np.diff(first.step)) + 1
        self._taken = [
            _Taken(int(steps[0]), int(epochs[0]), keys, part)
            for steps, epochs, keys, part in zip(
                np.split(first.step, cuts),
                np.split(first.epoch, cuts),
                np.split(first.key, cuts),
                np.split(values, cuts, axis=1),
                strict=True,
            )
            if steps.size
        ]

    def _take(
        self, step: int, epoch: int, *, at_epoch: bool, next_batch: Callable[[], Tensor], lr: float
    ) -> None:
        with torch.no_grad():
            context = ProbeContext(
                step=step,
                epoch=epoch,
                at_epoch=at_epoch,
                network=self._network.select(range(self._network.num_replicas)),
                running=self._averages.statistics(num_steps=step),
                data=self._data,
                batch_size=self._train.batch_size,
                probe_size=min(self._settings.batch_size, self._data.train_x.size(0)),
                num_units=self._settings.units,
                next_batch=next_batch,
                learning_rate=lr,
                memory=self._memory,
            )
            readings = [r for group in self._settings.groups for r in PROBES[group](context)]
            values = torch.stack([r.values.to(context.network.device) for r in readings], dim=1)
        keys = [(r.layer, r.place, r.quantity, r.unit) for r in readings]
        codes = [self._keys.setdefault(key, len(self._keys)) for key in keys]
        self._taken.append(
            _Taken(step, epoch, np.array(codes, dtype=np.int32), values.float().cpu().numpy())
        )

    def _rows(self, replica: int) -> LayerRows:
        sizes = [one.keys.size for one in self._taken]
        no_keys, no_values = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        return LayerRows(
            step=np.repeat(np.array([one.step for one in self._taken], dtype=np.int64), sizes),
            epoch=np.repeat(np.array([one.epoch for one in self._taken], dtype=np.int32), sizes),
            key=np.concatenate([no_keys, *(one.keys for one in self._taken)]),
            value=np.concatenate([no_values, *(one.values[replica] for one in self._taken)]),
            keys=tuple(self._keys),
        )


def rows_of(state: Mapping[str, Tensor]) -> LayerRows:
    """All rows of a network, from what its checkpoint holds of probes.

    Raises:
        ValueError: There are none.
    """
    try:
        step, epoch, key, value, keys = (
            state[_ROWS + name].numpy() for name in ("step", "epoch", "key", "value", "keys")
        )
    except KeyError as error:
        what = f"the checkpoint has no {error.args[0]}: it is of no probed run"
        raise ValueError(what) from None
    named = json.loads(keys.tobytes())
    return LayerRows(
        step=step,
        epoch=epoch,
        key=key,
        value=value,
        keys=tuple((layer, place, quantity, unit) for layer, place, quantity, unit in named),
    )
