"""The engine of this machine: trains stacks one after another, and keeps their runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from bninit.config import Config
from bninit.data.load import Data, load
from bninit.engines.plan import Job, plan_stacks
from bninit.engines.settings import initialisation_of, train_settings_of
from bninit.engines.stopping import stopping
from bninit.engines.watcher import Watcher
from bninit.errors import UserError
from bninit.nets.products import routes
from bninit.store import EventWriter, RunWriter, is_finished
from bninit.store.environment import environment
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.loop import ReplicaPlan, train_stack
from bninit.training.probing import rows_of
from bninit.training.records import Checkpoint, CutRecord, EpochRecord, FinalRecord, ReplicaEpoch


@dataclass(frozen=True)
class Failure:
    """A stack that could not be trained.

    Attributes:
        jobs: Its networks.
        why: The error's text.
    """

    jobs: tuple[Job, ...]
    why: str


class _Clock:
    """Tells how long the stacks to come will take, from how long those before took."""

    def __init__(self, stacks: Sequence[Sequence[Job]]) -> None:
        self._began = time.monotonic()
        self._work = [_work(stack) for stack in stacks]

    def time_left(self, num_done: int) -> str:
        """In words, for a line that goes on; empty at the beginning."""
        if num_done == 0:
            return ""
        done, rest = sum(self._work[:num_done]), sum(self._work[num_done:])
        seconds = (time.monotonic() - self._began) * rest / done
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        return f", about {seconds / 60:.0f} min left"


def _work(stack: Sequence[Job]) -> float:
    """Multiplications of a stack's training, up to a factor, with something for each step."""
    config = stack[0].config
    weights = sum(fan_in * fan_out for fan_in, fan_out in architecture_of(config).fans())
    steps = config.train.epochs * config.iterations_per_epoch
    return steps * (len(stack) * weights * config.train.batch_size + 5_000_000.0)


class LocalEngine:
    """Trains jobs on one device of this machine.

    Args:
        runs_dir: The folder of all runs.
        device: Where to train.
        data_dir: Folder searched first for data sets.
        watcher: Told what happens.
    """

    def __init__(
        self,
        *,
        runs_dir: Path,
        device: torch.device,
        data_dir: Path | None,
        watcher: Watcher,
    ) -> None:
        self._runs_dir = runs_dir
        self._device = device
        self._data_dir = data_dir
        self._watcher = watcher
        self._data: dict[tuple[object, ...], Data] = {}

    def run(
        self, jobs: Sequence[Job], *, fresh: bool = False, keep_going: bool = False
    ) -> list[Failure]:
        """Trains what is not finished, and goes on where it was interrupted.

        Args:
            jobs: Any number of networks.
            fresh: Whether to start over what is there.
            keep_going: Whether the other stacks are trained when one fails.

        Returns:
            The stacks that failed; none unless told to keep going.

        Raises:
            StoreError: Another process is training one of them, or files cannot be written.
            DataError: The data set is not to be had.
        """
        pending = [
            job for job in jobs if fresh or not is_finished(self._runs_dir, job.config, job.seed)
        ]
        stacks = plan_stacks(pending, device=self._device)
        failures: list[Failure] = []
        clock = _Clock(stacks)
        for number, stack in enumerate(stacks, start=1):
            if len(stacks) > 1:
                networks = "1 network" if len(stack) == 1 else f"{len(stack)} networks"
                self._watcher.note(
                    f"stack {number} of {len(stacks)}: {networks}{clock.time_left(number - 1)}"
                )
            try:
                self._train(stack, fresh=fresh)
            except (UserError, RuntimeError, MemoryError) as error:
                if not keep_going:
                    raise
                failures.append(Failure(tuple(stack), str(error)))
                self._watcher.note(f"failed, and left out: {error}")
        return failures

    def _train(self, jobs: list[Job], *, fresh: bool) -> None:
        data = self._load(jobs[0].config)
        about = environment(
            device=str(self._device), data_checksum=data.checksum, stack_size=len(jobs)
        )
        with ExitStack() as held:
            by_place: dict[tuple[int, int], list[tuple[Job, RunWriter, Checkpoint | None]]] = {}
            for job in jobs:
                writer = held.enter_context(
                    RunWriter.open(
                        self._runs_dir, job.config, job.seed, environment=about, fresh=fresh
                    )
                )
                if writer.status == "finished":
                    continue
                checkpoint = writer.resume()
                for note in writer.notes:
                    self._watcher.note(note)
                place = (0, 0) if checkpoint is None else checkpoint.place
                by_place.setdefault(place, []).append((job, writer, checkpoint))
            for (epoch, _), members in sorted(by_place.items()):
                self._train_from(epoch, members, data)

    def _train_from(
        self, epoch: int, members: list[tuple[Job, RunWriter, Checkpoint | None]], data: Data
    ) -> None:
        config = members[0][0].config
        self._watcher.start(
            labels=[job.config.name for job, _, _ in members],
            num_epochs=config.train.epochs,
            first_epoch=epoch,
            steps_per_epoch=config.iterations_per_epoch,
        )
        plans = [
            ReplicaPlan(
                seed=job.seed,
                initialisation=initialisation_of(job.config),
                checkpoint=checkpoint,
            )
            for job, _, checkpoint in members
        ]
        settings = train_settings_of(config, device=self._device)
        with ExitStack() as held, stopping() as stop:
            keepers = [
                _Keeper(
                    writer,
                    held,
                    tensorboard=job.config.train.tensorboard,
                    probed=job.config.probes.enabled,
                )
                for job, writer, _ in members
            ]
            for record in train_stack(settings, plans, data, stop=stop):
                if isinstance(record, EpochRecord):
                    for one in record.replicas:
                        keepers[one.replica].epoch(one)
                    self._watcher.epoch(record)
                elif isinstance(record, CutRecord):
                    for replica, checkpoint_of in record.checkpoints.items():
                        keepers[replica].cut(checkpoint_of())
                    self._watcher.note(
                        f"saved after step {record.steps} of epoch {record.epoch + 1}"
                    )
                else:
                    keepers[record.replica].finish(record)
            stop.check()

    def _load(self, config: Config) -> Data:
        data, dtype = config.data, dtype_of(config)
        key = (data.name, data.val_size, data.scale, dtype)
        if key not in self._data:
            # One at a time: a study over scales does not hold them all.
            self._data = {
                key: load(
                    data.name,
                    data_dir=self._data_dir,
                    val_size=data.val_size,
                    scale=data.scale,
                    device=self._device,
                    dtype=dtype,
                )
            }
        return self._data[key]


class _Keeper:
    """Keeps what one network of a stack does: its run, and its event files if they are wanted."""

    def __init__(
        self, writer: RunWriter, held: ExitStack, *, tensorboard: bool, probed: bool
    ) -> None:
        self._writer = writer
        self._last = writer.resume()
        self._probed = probed
        self._events = (
            held.enter_context(EventWriter(writer.folder, rows=writer.rows))
            if tensorboard
            else None
        )

    def epoch(self, record: ReplicaEpoch) -> None:
        """Keeps an epoch; of a diverged network, the end."""
        self._last = record.checkpoint()
        diverged = record.diverged_step is not None
        # Killed between the two writes, a diverged network goes back an epoch and diverges again.
        self._writer.epoch(record.metrics, record.step_losses, None if diverged else self._last)
        if self._events is not None:
            self._events.epoch(record.metrics)
        if diverged:
            self._finish(None, record.diverged_step)

    def cut(self, checkpoint: Checkpoint) -> None:
        """Keeps what is done of an epoch that is left before its end."""
        self._writer.cut(checkpoint)

    def finish(self, record: FinalRecord) -> None:
        """Keeps the end."""
        self._finish(record, None)

    def _finish(self, final: FinalRecord | None, diverged_step: int | None) -> None:
        last = self._last
        assert last is not None, "an epoch or a checkpoint comes before the end"
        self._writer.finish(
            last.network,
            final,
            diverged_step,
            products=routes(),
            layers=rows_of(last.probes) if self._probed else None,
        )
