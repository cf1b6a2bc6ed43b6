"""Reading one run: its status, its figures, its files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bninit.errors import ConfigError, StoreError
from bninit.store import names
from bninit.store.locks import is_locked
from bninit.store.metrics import Row, parse_rows, records_of
from bninit.store.reading import check_is_file, damaged, read_checked, read_json
from bninit.store.summary import check_owner, read_summary, targets_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from bninit.config import Config
    from bninit.store.layers import StoredLayers
    from bninit.store.steps import Losses
    from bninit.training.records import EpochMetrics

Status: TypeAlias = Literal["done", "diverged", "running", "partial", "damaged"]
"""``running``: a process trains it now. ``partial``: begun, and left."""

Folder: TypeAlias = str | os.PathLike[str]


class Run:
    """One run, read when asked; what was read once is not read again.

    Attributes:
        folder: Its folder.
        name: Its config's name.
        arm: The id of its arm, 8 hexadecimal digits.
        seed: Its seed.

    Args:
        folder: ``<name>-<arm id>/seed-<n>``, anywhere.

    Raises:
        StoreError: The folder is not named like that.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = Path(folder)
        path = Path(os.path.abspath(self.folder))  # noqa: PTH100 (resolve would follow links)
        arm, seed = names.parse_arm_folder(path.parent.name), names.parse_run_folder(path.name)
        if arm is None or seed is None:
            raise StoreError(
                "this is not a run's folder",
                where=str(folder),
                hint="a run's folder is <name>-<arm id>/seed-<n>",
            )
        self.name, self.arm = arm
        self.seed = seed

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def id(self) -> str:
        """``<name>-<arm id>/seed-<n>``."""
        return f"{self.name}-{self.arm}/seed-{self.seed}"

    @property
    def status(self) -> Status:
        """How far it got; ``damaged`` when its summary is not what was written."""
        if self.problem is not None:
            return "damaged"
        if self.summary is not None:
            status: Status = self.summary["status"]
            return status
        return "running" if is_locked(self.folder) else "partial"

    @property
    def summary(self) -> dict[str, Any] | None:
        """What ``summary.json`` holds; None while it is not finished, or when it is damaged."""
        return self._read[0]

    @property
    def problem(self) -> str | None:
        """What is wrong with a damaged run, with the file's name."""
        return self._read[1]

    @cached_property
    def config(self) -> Config:
        """The resolved config, its seeds the run's.

        Raises:
            StoreError: It is missing, damaged, or of another schema version.
        """
        from bninit.config import load_config

        path = self.folder / names.CONFIG
        check_is_file(path)
        try:
            return load_config(path)
        except ConfigError as error:
            raise StoreError(str(error)) from None

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What it was trained with.

        Raises:
            StoreError: The file is missing or damaged.
        """
        path = self.folder / names.ENVIRONMENT
        found = read_json(path)
        if found is None:
            raise damaged(path, "this file is missing")
        return found

    def rows(self) -> list[EpochMetrics]:
        """Its epochs from 0; the file of a run that is being trained grows.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return records_of(self.plain_rows())

    def metrics(self) -> pd.DataFrame:
        """Its epochs from 0 as a table, one row each, with the columns of ``metrics.csv``.

        Raises:
            StoreError: The file is missing or damaged.
        """
        from bninit.store.tidy import table_of

        return table_of(self.plain_rows())

    def step_losses(self) -> Losses:
        """Training loss of each step in nats, (step,).

        Raises:
            StoreError: The file is missing or damaged.
        """
        from bninit.store.steps import decode

        return read_checked(self.folder / names.STEPS, self.summary, decode)

    def layers(self) -> pd.DataFrame:
        """What probes found inside its network, a row for each number, in the order of time.

        Returns:
            step and epoch: finished ones; layer: the linear layer it belongs to, from 1, the
            output layer the last, 0 for batch norm on the input and -1 for the network as a
            whole; place: ``linear``, ``norm``, ``activation``, ``gradient``, ``weight`` or
            ``network``; quantity: its name, see `bninit.training.probes`; unit: from 0, or -1
            for all units together; value: NaN where there is none.

        Raises:
            StoreError: The run is not finished, no probes were taken, or the file is damaged.
        """
        return self.stored_layers().table()

    def stored_layers(self) -> StoredLayers:
        """What `layers` is made of, with what was probed.

        Raises:
            StoreError: As for `layers`.
        """
        from bninit.store.layers import decode_layers

        path = self.folder / names.LAYERS
        if not self.has_layers:
            what = "this run is not finished" if self.summary is None else "it has no probes"
            config = self.folder / names.CONFIG
            hint = f"bninit train --config {config} --set probes=true --runs-dir ..."
            raise StoreError(what, where=str(self.folder), hint=hint)
        return read_checked(path, self.summary, decode_layers)

    @property
    def has_layers(self) -> bool:
        """Whether the run is finished and probes were taken."""
        return self.summary is not None and names.LAYERS in self.summary["crc32"]

    def answers(self, config: Config) -> bool:
        """Tell whether it is finished, with all the probes that a config of its arm asks for.

        A table of layers that is damaged answers nothing.
        """
        if self.status not in ("done", "diverged"):
            return False
        if not config.probes.enabled:
            return True
        try:
            return self.has_layers and self.stored_layers().answer(config.probes)
        except StoreError:
            return False

    def targets(self, targets: Iterable[float]) -> list[dict[str, Any]]:
        """When validation accuracies were reached, whatever targets it was trained with.

        Args:
            targets: In (0, 1].

        Returns:
            Entries as in ``summary.json``.

        Raises:
            StoreError: The metrics, or the config of a finished run, are missing or damaged.
        """
        watched = None if self.summary is None else self.config.train.epochs
        return targets_of(self.rows(), targets, watched_epochs=watched)

    def load_network(self) -> nn.Sequential:
        """The trained network, in evaluation mode, on the CPU.

        Raises:
            StoreError: The run is not finished, or a file is missing or damaged.
        """
        from bninit.nets.reference import load_sequential
        from bninit.store.networks import architecture_of, dtype_of
        from bninit.store.tensors import decode, to_torch

        path = self.folder / names.FINAL
        arrays, _ = read_checked(path, self.summary, decode)
        try:
            return load_sequential(
                architecture_of(self.config), to_torch(arrays), dtype=dtype_of(self.config)
            )
        except RuntimeError as error:
            raise damaged(path, f"its tensors do not fit the config: {error}") from None

    def plain_rows(self) -> list[Row]:
        """Its epochs from 0 as plain numbers, in the order of ``metrics.csv``.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return read_checked(self.folder / names.METRICS, self.summary, parse_rows)

    @cached_property
    def _read(self) -> tuple[dict[str, Any] | None, str | None]:
        path = self.folder / names.SUMMARY
        try:
            summary = read_summary(path)
            if summary is not None:
                check_owner(path, summary, arm=self.arm, seed=self.seed)
        except StoreError as error:
            return None, f"{path.name}: {error.what}"
        return summary, None
