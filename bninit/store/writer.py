"""`RunWriter`: keeps one run while it is trained, so that nothing is lost whenever it ends.

An epoch is written in the order step losses, metrics, checkpoint, and the end in the order
weights, layers (where probes were taken), environment, summary, removal of the checkpoint. Each
file is replaced whole. So between any two writes the folder holds a checkpoint with everything up
to its epoch, what probes found included, or a summary with everything it tells of.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bninit.store import files as atomic
from bninit.store import names, steps, tensors
from bninit.store.checkpoints import StoredCheckpoint, encode_checkpoint
from bninit.store.environment import with_resumption
from bninit.store.files import DamagedFileError, RunLock, check_no_links, crc, read_json
from bninit.store.inspection import (
    Found,
    RunStatus,
    answers,
    check_config,
    config_text,
    inspect,
)
from bninit.store.layers import are_enough, asked_for, encode_layers
from bninit.store.metrics import Row, format_row, format_rows, records_of, row_of
from bninit.store.networks import number_of
from bninit.store.summary import count_numbers, summarise, targets_of, with_check_sums
from bninit.store.tensorboard import event_files

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from bninit.config import Config
    from bninit.store.steps import Losses
    from bninit.training.records import Checkpoint, EpochMetrics, FinalRecord, LayerRows


class RunWriter:
    """Keeps one run; a context manager that holds the run's lock. Made by `open`.

    Attributes:
        folder: The run's folder.
        status: What the folder holds: ``absent`` (nothing), ``partial`` or ``finished``.
        notes: What was not whole and what follows from it, a line each.
    """

    @classmethod
    def open(
        cls,
        runs_dir: str | os.PathLike[str],
        config: Config,
        seed: int,
        *,
        environment: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> Self:
        """Take a run's folder, and find out what is whole of it.

        What is of no use is removed. A finished run's summary gets the config's targets, derived
        from its metrics.

        Args:
            runs_dir: The folder of all runs.
            config: The arm's config; its own seeds are not looked at.
            seed: The run's seed.
            environment: What it is trained with, as for `describe`; None when that is told later.
            fresh: Whether to remove what there is and start over.

        Raises:
            StoreError: Another process holds the run; the folder is another run's, or of a newer
                version; it cannot be read or written.
        """
        folder = names.run_folder(runs_dir, config, seed)
        check_no_links(folder)
        atomic.make_folder(folder)
        lock = RunLock(folder)
        try:
            return cls(folder, lock, config, seed, environment, fresh=fresh)
        except BaseException:
            lock.release()
            raise

    def __init__(
        self,
        folder: Path,
        lock: RunLock,
        config: Config,
        seed: int,
        environment: Mapping[str, Any] | None,
        *,
        fresh: bool,
    ) -> None:
        from bninit.config import arm_id

        self.folder = folder
        self._lock = lock
        self._config = config
        self._seed = seed
        self._arm = arm_id(config)
        self._stack_size = 1
        self.notes: list[str] = []
        atomic.remove_leftovers(folder)
        fault = check_config(folder, config, seed, any_version=fresh)
        if fresh:
            self._clear()
        elif fault is not None:
            self.notes.append(f"{fault}; it is written anew")
        found = self._with_probes(inspect(folder, arm=self._arm, seed=seed))
        self.notes += found.notes
        self.status: RunStatus = found.status
        self._checkpoint: StoredCheckpoint | None = found.checkpoint
        self._rows: list[Row] = list(found.rows)
        self._text = format_rows(self._rows)
        nothing: Losses = np.empty(0, dtype=number_of(config))
        self._losses = nothing if found.losses is None else found.losses
        if found.summary is not None:
            self._settle(found.summary)
        else:
            if found.checkpoint is None:
                self._clear()
            self._write_config()
            if environment is not None:
                self.describe(environment)

    def describe(self, environment: Mapping[str, Any]) -> None:
        """Keep what the run is trained with from here on; once, and before the next epoch.

        Args:
            environment: As `bninit.store.environment` tells it; ``stack_size`` goes into the
                summary, too.
        """
        self._stack_size = int(environment.get("stack_size", 1))
        self._write_environment(environment)

    @property
    def rows(self) -> list[EpochMetrics]:
        """The epochs that are on record, from 0."""
        return records_of(self._rows)

    def resume(self) -> Checkpoint | None:
        """Where the training goes on, on the CPU; None for the beginning, or a finished run.

        From a checkpoint on, the next epoch to be kept is the one after it; of that, some steps
        may be done.
        """
        return None if self._checkpoint is None else self._checkpoint.load()

    def epoch(
        self,
        metrics: EpochMetrics,
        step_losses: npt.NDArray[np.floating],
        checkpoint: Checkpoint | None,
    ) -> None:
        """Keep an epoch.

        Args:
            metrics: Its row; epochs come one after another, from 0 or from the checkpoint.
            step_losses: Training loss of each of its steps in nats, (step,).
            checkpoint: What is needed to go on from here; None not to go on from this epoch but
                from an earlier one.

        Raises:
            StoreError: A file cannot be written; what was kept before still is.
            ValueError: The epoch is not the next one, or the run is finished.
        """
        row = row_of(metrics)
        if self.status == "finished" or row[0] != len(self._rows):
            raise ValueError(f"epoch {row[0]} is not the next of {self.folder}")
        if checkpoint is not None and (checkpoint.place, checkpoint.step) != ((row[0], 0), row[1]):
            raise ValueError(f"a checkpoint of epoch {checkpoint.epoch} is not one of {row[0]}")
        self._lock.check()
        losses = np.concatenate([self._losses, step_losses.astype(self._losses.dtype)])
        step_bytes = steps.encode(losses)
        text = self._text + format_row(row)
        atomic.write_bytes(self.folder / names.STEPS, step_bytes)
        atomic.write_text(self.folder / names.METRICS, text)
        if checkpoint is not None:
            self._write_checkpoint(checkpoint, text=text, step_bytes=step_bytes)
        self._rows.append(row)
        self._losses, self._text, self.status = losses, text, "partial"

    def cut(self, checkpoint: Checkpoint) -> None:
        """Keep what is done of an epoch that is left before its end.

        Args:
            checkpoint: Of the last epoch that is kept, and some steps after it.

        Raises:
            StoreError: It cannot be written; what was kept before still is.
            ValueError: It is of another epoch, or the run is finished.
        """
        place = (len(self._rows) - 1, self._losses.size + checkpoint.begun.size)
        if self.status == "finished" or (checkpoint.epoch, checkpoint.step) != place:
            raise ValueError(f"step {checkpoint.step} does not follow on what {self.folder} holds")
        self._lock.check()
        self._write_checkpoint(checkpoint, text=self._text, step_bytes=steps.encode(self._losses))

    def finish(
        self,
        state: Mapping[str, Tensor],
        final: FinalRecord | None,
        diverged_step: int | None,
        *,
        products: Mapping[str, str] | None = None,
        layers: LayerRows | None = None,
    ) -> None:
        """Keep what came out of the run, and mark it as finished.

        Args:
            state: Parameters and running statistics as ``nn.Sequential`` names them.
            final: Its figures on the whole training set and the test set; None if it diverged.
            diverged_step: The first step whose loss was not finite; None if all went well.
            products: How matrix products were computed, for ``environment.json``; see
                `bninit.nets.products.routes`.
            layers: All that probes found, which is kept if the config asks for it.

        Raises:
            StoreError: A file cannot be written; the run is not finished then.
            ValueError: Epochs are missing, or the run did neither end nor diverge.
        """
        if (final is None) == (diverged_step is None):
            raise ValueError("a run has final figures, or else it has diverged")
        if layers is None and self._config.probes.enabled:
            raise ValueError("probes are asked for, and there are none")
        num_epochs = len(self._rows) - 1
        if num_epochs < 0 or (final is not None and num_epochs != self._config.train.epochs):
            raise ValueError(f"{num_epochs} epochs are kept of {self._config.train.epochs}")
        self._lock.check()
        data = tensors.encode(state, metadata={"arm": self._arm, "seed": str(self._seed)})
        atomic.write_bytes(self.folder / names.FINAL, data, durable=True)
        files = {
            names.METRICS: crc(self._text.encode()),
            names.STEPS: crc(steps.encode(self._losses)),
            names.FINAL: crc(data),
        }
        if layers is not None and self._config.probes.enabled:
            files[names.LAYERS] = self._write_layers(layers)
        else:
            atomic.remove(self.folder / names.LAYERS)
        if products is not None:
            told = self._environment() or {}
            atomic.write_json(self.folder / names.ENVIRONMENT, {**told, "products": dict(products)})
        from bninit.nets.signals import distinct_units

        num_parameters, num_tracked = count_numbers(state)
        summary = summarise(
            self.rows,
            final,
            diverged_step,
            config=self._config,
            seed=self._seed,
            num_parameters=num_parameters,
            num_tracked=num_tracked,
            stack_size=self._stack_size,
            distinct_units=distinct_units(state),
        )
        # The summary vouches for these files, after a loss of power, too.
        for name in (names.METRICS, names.STEPS):
            atomic.make_durable(self.folder / name)
        atomic.write_json(
            self.folder / names.SUMMARY, with_check_sums(summary, files), durable=True
        )
        self.status = "finished"
        atomic.remove(self.folder / names.CHECKPOINT)

    def close(self) -> None:
        """Give the run free for other processes; once is enough."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _clear(self) -> None:
        for name in (*names.RESULTS, names.ENVIRONMENT):
            atomic.remove(self.folder / name)
        for path in event_files(self.folder):
            atomic.remove(path)

    def _settle(self, summary: dict[str, Any]) -> None:
        """Bring a finished run up to what the config asks, without training."""
        atomic.remove(self.folder / names.CHECKPOINT)
        has_answers = answers(summary, self._config)
        if not has_answers or self.notes or not (self.folder / names.CONFIG).exists():
            self._write_config()
        if has_answers:
            return
        targets = targets_of(
            self.rows, self._config.targets, watched_epochs=self._config.train.epochs
        )
        files = {name: found for name, found in summary["crc32"].items() if name != names.SUMMARY}
        settled = with_check_sums({**summary, "targets": targets}, files)
        atomic.write_json(self.folder / names.SUMMARY, settled, durable=True)

    def _with_probes(self, found: Found) -> Found:
        """What is there, or nothing where it lacks the probes that are asked for."""
        asked = self._config.probes
        is_there = found.summary is not None or found.checkpoint is not None
        if not is_there or are_enough(found.probes, asked):
            return found
        has = "no probes, and they are" if found.probes is None else "other probes than are"
        self.notes.append(
            f"{self.folder}: it has {has} asked for; it is trained again, to the same bits"
        )
        self._clear()
        return Found(status="absent", notes=found.notes)

    def _write_layers(self, layers: LayerRows) -> str:
        """Writes what probes found; returns the file's CRC-32."""
        data = encode_layers(layers, probes=self._config.probes, arm=self._arm, seed=self._seed)
        atomic.write_bytes(self.folder / names.LAYERS, data, durable=True)
        return crc(data)

    def _write_checkpoint(self, checkpoint: Checkpoint, *, text: str, step_bytes: bytes) -> None:
        data = encode_checkpoint(
            checkpoint,
            arm=self._arm,
            seed=self._seed,
            metrics_crc32=crc(text.encode()),
            steps_crc32=crc(step_bytes),
            probes=asked_for(self._config.probes) if self._config.probes.enabled else None,
        )
        atomic.write_bytes(self.folder / names.CHECKPOINT, data)

    def _write_config(self) -> None:
        text = config_text(self._config, self._seed)
        atomic.write_text(self.folder / names.CONFIG, text)

    def _write_environment(self, environment: Mapping[str, Any]) -> None:
        at, former = self._checkpoint, self._environment()
        if at is None:
            told = with_resumption(former, environment, epoch=None)
        else:
            told = with_resumption(former, environment, epoch=at.epoch, steps=at.begun.size)
            # A network that shared a clock for some of its epochs has a shared clock.
            before = told.get("stack_size")
            self._stack_size = max(self._stack_size, before if isinstance(before, int) else 1)
        atomic.write_json(self.folder / names.ENVIRONMENT, told)

    def _environment(self) -> dict[str, Any] | None:
        try:
            return read_json(self.folder / names.ENVIRONMENT)
        except DamagedFileError as error:
            self.notes.append(f"{error.where}: {error.what}; it is written anew")
            return None
