"""`RunWriter`: records one run during training, so that nothing is lost whenever it ends.

An epoch is written in the order step losses, metrics, checkpoint, and the end in the order
weights, layers (where probes were taken), environment, summary, removal of the checkpoint. Each
file is replaced whole. So between any two writes the folder holds a checkpoint with everything up
to its epoch, probe readings included, or a summary with everything it names. What is intact of a
run is decided from the files alone, to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from bninit.errors import ConfigError, StoreError
from bninit.store import epochs, files, names
from bninit.store.environment import with_resumption
from bninit.store.epochs import Row, encode_metrics, encode_steps
from bninit.store.files import DamagedFileError, crc, read_file
from bninit.store.layers import are_enough, decode_layers, encode_layers, section_of
from bninit.store.summary import read_summary, summarise, targets_of, with_check_sums
from bninit.store.tensorboard import event_files
from bninit.store.tensors import (
    StoredCheckpoint,
    decode_checkpoint,
    decode_tensors,
    encode_checkpoint,
    encode_tensors,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from bninit.config import Config
    from bninit.store.epochs import Losses
    from bninit.training.records import Checkpoint, EpochMetrics, FinalRecord, LayerRows


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is intact of a run: of a finished one all, of an unfinished one up to its checkpoint.

    Attributes:
        rows: Its epochs.
        losses: The loss of each step of these epochs, (step,); None when there are no epochs.
        checkpoint: Where an unfinished run resumes; None to start over.
        summary: Of a finished run.
        probes: The config's section of probes that were taken, resolved; None for no probes.
        notes: What is damaged and what follows from it, a line each.
    """

    rows: tuple[Row, ...] = ()
    losses: Losses | None = None
    checkpoint: StoredCheckpoint | None = None
    summary: dict[str, Any] | None = None
    probes: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def is_finished(runs_dir: str | os.PathLike[str], config: Config, seed: int) -> bool:
    """Tell whether nothing is left to do for a run.

    All its files are intact, its targets answered, and the probes that the config requests taken.

    Args:
        runs_dir: The folder of all runs.
        config: The arm's config.
        seed: The run's seed.

    Raises:
        StoreError: A file cannot be read, or a newer bninit wrote it.
    """
    from bninit.config import arm_id

    folder = names.run_folder(runs_dir, config, seed)
    if not all((folder / name).exists() for name in (names.SUMMARY, names.CONFIG)):
        return False
    if (folder / names.CHECKPOINT).exists():
        return False  # killed before it was removed, and only to be tidied up
    if _check_config(folder, config, seed) is not None:
        return False
    found = inspect(folder, arm=arm_id(config), seed=seed)
    return (
        found.summary is not None
        and _has_targets(found.summary, config)
        and are_enough(found.probes, config.probes)
    )


def _has_targets(summary: dict[str, Any], config: Config) -> bool:
    """Tell whether a summary answers the config's targets."""
    return [entry["target"] for entry in summary["targets"]] == list(config.targets)


def inspect(folder: Path, *, arm: str, seed: int) -> Found:
    """Find out what is intact of an arm's run in its folder.

    Raises:
        StoreError: A file cannot be read, or a newer bninit wrote it.
    """
    notes: list[str] = []
    for look in (_finished, _unfinished):
        try:
            found = look(folder, arm, seed)
        except DamagedFileError as error:
            notes.append(f"{error.where}: {error.what}; this run is trained again")
            continue
        if found is not None:
            if notes and found.checkpoint is not None:
                notes[-1] = notes[-1].replace("trained again", "resumed")
            return replace(found, notes=tuple(notes))
    return Found(notes=tuple(notes))


def _finished(folder: Path, arm: str, seed: int) -> Found | None:
    summary = read_summary(folder / names.SUMMARY, arm=arm, seed=seed)
    if summary is None:
        return None
    rows = read_file(folder / names.METRICS, epochs.decode_metrics, summary=summary)
    losses = read_file(folder / names.STEPS, epochs.decode_steps, summary=summary)
    read_file(folder / names.FINAL, decode_tensors, summary=summary)
    probes = None
    if names.LAYERS in summary["crc32"]:
        probes = read_file(folder / names.LAYERS, decode_layers, summary=summary).probes
    return Found(rows=tuple(rows), losses=losses, summary=summary, probes=probes)


def _unfinished(folder: Path, arm: str, seed: int) -> Found | None:
    path = folder / names.CHECKPOINT
    stored = files.find_file(path, partial(decode_checkpoint, arm=arm, seed=seed))
    if stored is None:
        return None
    rows = read_file(folder / names.METRICS, epochs.decode_metrics)
    losses = read_file(folder / names.STEPS, epochs.decode_steps)
    # Both are written before the checkpoint, and so may be ahead of it.
    kept = stored.checkpoint
    rows, losses = rows[: kept.epoch + 1], losses[: kept.step - kept.begun.size]
    fits = crc(encode_metrics(rows).encode()) == stored.metrics_crc32
    if not fits or crc(encode_steps(losses)) != stored.steps_crc32:
        raise files.damaged(
            path, f"{names.METRICS} and {names.STEPS} do not belong to this checkpoint"
        )
    return Found(rows=tuple(rows), losses=losses, checkpoint=stored, probes=stored.probes)


def _check_config(
    folder: Path, config: Config, seed: int, *, any_version: bool = False
) -> str | None:
    """Make sure that a folder is this run's."""
    from bninit.config import arm_dict, load_config

    path = folder / names.CONFIG
    if not os.path.lexists(path):
        return None
    if _holds(path, _config_text(config, seed)):
        return None
    try:
        files.check_is_file(path)
        there = load_config(path)
    except DamagedFileError as error:
        return f"{error.where}: {error.what}"
    except ConfigError as error:
        versions = [problem for problem in error.problems if problem.key == "schema_version"]
        if versions and not any_version:
            raise StoreError(
                versions[0].what,
                where=versions[0].where,
                hint="install that bninit, choose another --runs-dir, or start over with --fresh",
            ) from None
        return f"{error.problems[0]}".replace("\n  ", "; ")
    if arm_dict(there) != arm_dict(config) or there.train.seeds != (seed,):
        raise StoreError(
            "this folder holds another run, and is left as it is",
            where=str(path),
            hint="move it away, or choose another name or --runs-dir",
        )
    return None


def _config_text(config: Config, seed: int) -> str:
    """The content of a run's ``config.yaml``: the config with the one seed."""
    from bninit.config import config_to_yaml

    train = config.train.model_copy(update={"seeds": (seed,)})
    return config_to_yaml(config.model_copy(update={"train": train}))


def _holds(path: Path, text: str) -> bool:
    try:
        return files.read_bytes(path) == text.encode()
    except StoreError:
        return False


class RunWriter:
    """Records one run; a context manager that holds the run's lock.

    It takes the run's folder, finds out what is intact of it, and removes what is of no use. A
    finished run's summary gets the config's targets, derived from its metrics.

    Args:
        runs_dir: The folder of all runs.
        config: The arm's config; its own seeds are ignored.
        seed: The run's seed.
        fresh: Whether to remove what there is and start over.

    Attributes:
        folder: The run's folder.
        notes: What was damaged and what follows from it, a line each.

    Raises:
        StoreError: Another process holds the run; the folder is another run's, or of a newer
            version; it cannot be read or written.
    """

    def __init__(
        self,
        runs_dir: str | os.PathLike[str],
        config: Config,
        seed: int,
        *,
        fresh: bool = False,
    ) -> None:
        self.folder = names.run_folder(runs_dir, config, seed)
        self.notes: list[str] = []
        self._config = config
        self._seed = seed
        self._arm = self.folder.parent.name.rpartition("-")[2]
        self._stack_size = 1
        files.check_no_links(self.folder)
        files.make_folder(self.folder)
        self._lock = files.RunLock(self.folder)
        try:
            self._open(fresh=fresh)
        except BaseException:
            self.close()
            raise

    def _open(self, *, fresh: bool) -> None:
        files.remove_leftovers(self.folder)
        fault = _check_config(self.folder, self._config, self._seed, any_version=fresh)
        if fresh:
            self._clear()
        elif fault is not None:
            self.notes.append(f"{fault}; it is rewritten")
        found = self._with_probes(inspect(self.folder, arm=self._arm, seed=self._seed))
        self.notes += found.notes
        self._is_finished = found.summary is not None
        self._checkpoint = None if found.checkpoint is None else found.checkpoint.checkpoint
        self._rows = list(found.rows)
        self._text = encode_metrics(self._rows)
        dtype = self._config.train.number
        self._losses: Losses = np.empty(0, dtype) if found.losses is None else found.losses
        if found.summary is not None:
            self._settle(found.summary)
            return
        if found.checkpoint is None:
            self._clear()
        self._write_config()

    def describe(self, environment: Mapping[str, Any]) -> None:
        """Record what the run is trained with from here on; once, and before the next epoch.

        Args:
            environment: As `bninit.store.environment` gives it; ``stack_size`` goes into the
                summary, too.
        """
        self._stack_size = int(environment.get("stack_size", 1))
        at, former = self._checkpoint, self._environment()
        if at is None:
            now = dict(environment)
        else:
            now = with_resumption(former, environment, epoch=at.epoch, steps=at.begun.size)
            # A network that shared a clock for some of its epochs has a shared clock.
            before = now.get("stack_size")
            self._stack_size = max(self._stack_size, before if isinstance(before, int) else 1)
        files.write_json(self.folder / names.ENVIRONMENT, now)

    @property
    def status(self) -> Literal["finished", "partial"]:
        """Whether the run is finished, or training is to begin or to resume."""
        return "finished" if self._is_finished else "partial"

    @property
    def rows(self) -> list[Row]:
        """The recorded epochs, from 0."""
        return self._rows.copy()

    def resume(self) -> Checkpoint | None:
        """Where training resumes, on the CPU; None for the beginning, or a finished run.

        The next epoch to be recorded is the one after the checkpoint's; of that, some steps may be
        done.
        """
        return self._checkpoint

    def epoch(
        self,
        metrics: EpochMetrics,
        step_losses: npt.NDArray[np.floating],
        checkpoint: Checkpoint | None,
    ) -> None:
        """Record an epoch.

        Args:
            metrics: Its row; epochs follow one another, from 0 or from the checkpoint.
            step_losses: Training loss of each of its steps in nats, (step,).
            checkpoint: What is needed to resume from here; None to resume from an earlier epoch.

        Raises:
            StoreError: A file cannot be written; what was recorded before is kept.
            ValueError: The epoch is not the next one, or the run is finished.
        """
        row = epochs.row_of(metrics)
        if self._is_finished or row.epoch != len(self._rows):
            raise ValueError(f"epoch {row.epoch} is not the next of {self.folder}")
        if checkpoint is not None and (*checkpoint.place, checkpoint.step) != (
            row.epoch,
            0,
            row.step,
        ):
            raise ValueError(f"a checkpoint of epoch {checkpoint.epoch} is not one of {row.epoch}")
        self._lock.check()
        losses = np.concatenate([self._losses, step_losses.astype(self._losses.dtype)])
        text = self._text + epochs.encode_row(row)
        files.write_bytes(self.folder / names.STEPS, encode_steps(losses))
        files.write_text(self.folder / names.METRICS, text)
        if checkpoint is not None:
            self._write_checkpoint(checkpoint, text=text, losses=losses)
        self._rows.append(row)
        self._losses, self._text = losses, text

    def cut(self, checkpoint: Checkpoint) -> None:
        """Record the finished steps of an epoch that is left before its end.

        Args:
            checkpoint: Of the last recorded epoch, and some steps after it.

        Raises:
            StoreError: It cannot be written; what was recorded before is kept.
            ValueError: It is of another epoch, or the run is finished.
        """
        place = (len(self._rows) - 1, self._losses.size + checkpoint.begun.size)
        if self._is_finished or (checkpoint.epoch, checkpoint.step) != place:
            raise ValueError(f"step {checkpoint.step} does not follow on what {self.folder} holds")
        self._lock.check()
        self._write_checkpoint(checkpoint, text=self._text, losses=self._losses)

    def finish(
        self,
        state: Mapping[str, Tensor],
        final: FinalRecord | None,
        diverged_step: int | None,
        *,
        products: Mapping[str, str] | None = None,
        layers: LayerRows | None = None,
    ) -> None:
        """Record the results of the run, and mark it as finished.

        Args:
            state: Parameters and running statistics as ``nn.Sequential`` names them.
            final: Its figures on the whole training set and the test set; None if it diverged.
            diverged_step: The first step whose loss was not finite; None if all were finite.
            products: How matrix products were computed, for ``environment.json``; see
                `bninit.nets.products.product_kernels`.
            layers: All probe readings, which are kept if the config requests them.

        Raises:
            StoreError: A file cannot be written; the run is not finished then.
            ValueError: Epochs are missing, or the run did neither end nor diverge.
        """
        if (final is None) == (diverged_step is None):
            raise ValueError("a run has final figures, or else it has diverged")
        if layers is None and self._config.probes.enabled:
            raise ValueError("probes are requested, and there are no readings")
        num_epochs = len(self._rows) - 1
        if num_epochs < 0 or (final is not None and num_epochs != self._config.train.epochs):
            raise ValueError(f"{num_epochs} epochs are kept of {self._config.train.epochs}")
        self._lock.check()
        owner = {"arm": self._arm, "seed": str(self._seed)}
        weights = encode_tensors(state, metadata=owner)
        files.write_bytes(self.folder / names.FINAL, weights, durable=True)
        sums = {
            names.METRICS: crc(self._text.encode()),
            names.STEPS: crc(encode_steps(self._losses)),
            names.FINAL: crc(weights),
        }
        probes, path = self._config.probes, self.folder / names.LAYERS
        if layers is not None and probes.enabled:
            readings = encode_layers(layers, probes=probes, arm=self._arm, seed=self._seed)
            files.write_bytes(path, readings, durable=True)
            sums[names.LAYERS] = crc(readings)
        else:
            files.remove(path)
        if products is not None:
            about = {**(self._environment() or {}), "products": dict(products)}
            files.write_json(self.folder / names.ENVIRONMENT, about)
        summary = summarise(
            self._rows,
            final,
            diverged_step,
            config=self._config,
            seed=self._seed,
            state=state,
            stack_size=self._stack_size,
        )
        # The summary vouches for these files, after a loss of power, too.
        for name in (names.METRICS, names.STEPS):
            files.make_durable(self.folder / name)
        self._write_summary(summary, sums)
        self._is_finished = True
        files.remove(self.folder / names.CHECKPOINT)

    def close(self) -> None:
        """Release the run for other processes; once is enough."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _clear(self) -> None:
        for name in (*names.RESULTS, names.ENVIRONMENT):
            files.remove(self.folder / name)
        for path in event_files(self.folder):
            files.remove(path)

    def _settle(self, summary: dict[str, Any]) -> None:
        """Bring a finished run up to what the config requests, without training."""
        files.remove(self.folder / names.CHECKPOINT)
        is_answered = _has_targets(summary, self._config)
        if not is_answered or self.notes or not (self.folder / names.CONFIG).exists():
            self._write_config()
        if is_answered:
            return
        config, sums = self._config, dict(summary["crc32"])
        del sums[names.SUMMARY]
        targets = targets_of(self._rows, config.targets, watched_epochs=config.train.epochs)
        self._write_summary({**summary, "targets": targets}, sums)

    def _with_probes(self, found: Found) -> Found:
        """What is there, or nothing where it lacks the probes that are requested."""
        is_there = found.summary is not None or found.checkpoint is not None
        if not is_there or are_enough(found.probes, self._config.probes):
            return found
        has = "no probes, and they are" if found.probes is None else "other probes than are"
        note = f"{self.folder}: it has {has} requested; it is trained again, to the same bits"
        self._clear()
        return Found(notes=(note, *found.notes))

    def _write_checkpoint(self, checkpoint: Checkpoint, *, text: str, losses: Losses) -> None:
        probes = self._config.probes
        stored = StoredCheckpoint(
            checkpoint=checkpoint,
            metrics_crc32=crc(text.encode()),
            steps_crc32=crc(encode_steps(losses)),
            probes=section_of(probes) if probes.enabled else None,
        )
        data = encode_checkpoint(stored, arm=self._arm, seed=self._seed)
        files.write_bytes(self.folder / names.CHECKPOINT, data)

    def _write_config(self) -> None:
        files.write_text(self.folder / names.CONFIG, _config_text(self._config, self._seed))

    def _write_summary(self, summary: Mapping[str, Any], sums: Mapping[str, str]) -> None:
        checked = with_check_sums(summary, sums)
        files.write_json(self.folder / names.SUMMARY, checked, durable=True)

    def _environment(self) -> dict[str, Any] | None:
        try:
            return files.read_json(self.folder / names.ENVIRONMENT)
        except DamagedFileError as error:
            self.notes.append(f"{error.where}: {error.what}; it is rewritten")
            return None
