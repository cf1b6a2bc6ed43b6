"""Finding runs and reading their results.

Listing reads one small file per run, and never stumbles over a damaged one: it is listed as such,
with what is wrong.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from bninit.errors import ConfigError, StoreError
from bninit.store import names
from bninit.store.epochs import Row, decode_metrics, decode_steps, table_of
from bninit.store.files import check_is_file, damaged, is_locked, read_file, read_json
from bninit.store.summary import read_summary, targets_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from bninit.config import Config
    from bninit.store.epochs import Losses
    from bninit.store.layers import StoredLayers

T = TypeVar("T")
Folder: TypeAlias = str | os.PathLike[str]
Status: TypeAlias = Literal["done", "diverged", "running", "partial", "damaged"]
"""``running``: a process trains it now. ``partial``: begun, and left."""

_OWNER = {"name": "str", "arm": "str", "seed": "int64", "status": "str"}


def find_runs(*places: Folder) -> list[Run]:
    """Find all runs in some folders, by name, arm and seed; other files and folders are ignored.

    Args:
        places: Each a folder of all runs, an arm's, or a run's; ``runs`` by default.

    Raises:
        StoreError: One of them is not a folder, or cannot be read.
    """
    found = {run.folder: run for place in places or ("runs",) for run in _runs_in(Path(place))}
    return sorted(found.values(), key=lambda run: (run.name, run.arm, run.seed))


def _runs_in(place: Path) -> Iterator[Run]:
    path = _absolute(place)
    if names.parse_arm_folder(path.parent.name) and names.parse_run_folder(path.name) is not None:
        if not place.is_dir():
            raise _no_folder(place)
        yield Run(place)
        return
    within = _folders(place)
    seeds = [place / name for name in within if names.parse_run_folder(name) is not None]
    if names.parse_arm_folder(path.name) and seeds:
        yield from map(Run, seeds)
        return
    for name in filter(names.parse_arm_folder, within):
        try:
            seeds = [place / name / seed for seed in _folders(place / name)]
        except StoreError:
            continue  # removed meanwhile, or another user's
        yield from (Run(seed) for seed in seeds if names.parse_run_folder(seed.name) is not None)


def _folders(place: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        raise _no_folder(place) from None
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror}", where=str(place)) from error


def _no_folder(place: Path) -> StoreError:
    return StoreError(
        "folder not found",
        where=str(place),
        hint="runs are kept in the folder after --runs-dir, ./runs by default",
    )


def _absolute(place: Folder) -> Path:
    return Path(os.path.abspath(place))  # noqa: PTH100 (resolve would follow links)


class Run:
    """One run, read on demand; what was read once is not read again.

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
        path = _absolute(folder)
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
        """The content of ``summary.json``; None while it is not finished, or when it is damaged."""
        return self._summary[0]

    @property
    def problem(self) -> str | None:
        """What is wrong with a damaged run, with the file's name."""
        return self._summary[1]

    @cached_property
    def _summary(self) -> tuple[dict[str, Any] | None, str | None]:
        path = self.folder / names.SUMMARY
        try:
            return read_summary(path, arm=self.arm, seed=self.seed), None
        except StoreError as error:
            return None, f"{path.name}: {error.what}"

    @cached_property
    def config(self) -> Config:
        """The resolved config, with the run's seed only.

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
        """What it was trained with: versions, machine, command.

        Raises:
            StoreError: The file is missing or damaged.
        """
        path = self.folder / names.ENVIRONMENT
        found = read_json(path)
        if found is None:
            raise damaged(path, "this file is missing")
        return found

    def rows(self) -> list[Row]:
        """Its epochs from 0; the file of a run that is being trained grows.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return self._read(names.METRICS, decode_metrics) if self.summary is None else self._rows

    @cached_property
    def _rows(self) -> list[Row]:
        return self._read(names.METRICS, decode_metrics)

    def metrics(self) -> pd.DataFrame:
        """Its epochs from 0 as a table, one row each, with the columns of ``metrics.csv``.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return table_of(self.rows())

    def step_losses(self) -> Losses:
        """Training loss of each step in nats, (step,).

        Raises:
            StoreError: The file is missing or damaged.
        """
        return self._read(names.STEPS, decode_steps)

    def layers(self) -> pd.DataFrame:
        """Probe readings inside its network, one row per number, in the order of time.

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
        """What `layers` is made of, with the probes that were taken.

        Raises:
            StoreError: As for `layers`.
        """
        from bninit.store.layers import decode_layers

        if not self.has_layers:
            what = "this run is not finished" if self.summary is None else "it has no probes"
            config = self.folder / names.CONFIG
            hint = f"bninit train --config {config} --set probes=true --runs-dir ..."
            raise StoreError(what, where=str(self.folder), hint=hint)
        return self._read(names.LAYERS, decode_layers)

    @property
    def has_layers(self) -> bool:
        """Whether the run is finished and probes were taken."""
        return self.summary is not None and names.LAYERS in self.summary["crc32"]

    def answers(self, config: Config) -> bool:
        """Tell whether it is finished, with all the probes that a config of its arm requests.

        A damaged table of layers answers nothing.
        """
        if self.status not in ("done", "diverged"):
            return False
        if not config.probes.enabled:
            return True
        from bninit.store.layers import are_enough

        try:
            return self.has_layers and are_enough(self.stored_layers().probes, config.probes)
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
        from bninit.store.tensors import decode_tensors, to_torch

        arrays, _ = self._read(names.FINAL, decode_tensors)
        try:
            return load_sequential(
                self.config.architecture, to_torch(arrays), dtype=self.config.train.dtype
            )
        except RuntimeError as error:
            what = f"its tensors do not fit the config: {error}"
            raise damaged(self.folder / names.FINAL, what) from None

    def _read(self, name: str, decode: Callable[[bytes], T]) -> T:
        return read_file(self.folder / name, decode, summary=self.summary)


def load_runs(*places: Folder | Run) -> pd.DataFrame:
    """The metrics of all runs as a tidy table: one row per run and epoch.

    A run whose metrics are missing or damaged is left out, with a warning that names the file.

    Args:
        places: Runs, or folders as in `find_runs`; ``runs`` by default.

    Returns:
        name, arm, seed, status, and the columns of ``metrics.csv``.

    Raises:
        StoreError: One of the folders is none, or cannot be read.
    """
    import pandas as pd

    rows: list[Row] = []
    owners: list[tuple[str, str, int, str]] = []
    for run, own in _read_each(places, Run.rows):
        rows += own
        owners += [(run.name, run.arm, run.seed, run.status)] * len(own)
    about = pd.DataFrame.from_records(owners, columns=list(_OWNER)).astype(_OWNER)
    return pd.concat([about, table_of(rows)], axis=1)


def load_layers(*places: Folder | Run) -> pd.DataFrame:
    """Probe readings inside runs as a tidy table: one row per number.

    Runs without probes are ignored; one whose file is damaged is left out, with a warning.

    Args:
        places: Runs, or folders as in `find_runs`; ``runs`` by default.

    Returns:
        name, arm, seed, status, and the columns of `Run.layers`.

    Raises:
        StoreError: One of the folders is none, or cannot be read.
    """
    import pandas as pd

    from bninit.store.layers import COLUMNS

    tables = []
    for run, own in _read_each(places, lambda run: run.layers() if run.has_layers else None):
        if own is not None:
            about = {key: getattr(run, key) for key in _OWNER}
            tables.append(own.assign(**about)[[*_OWNER, *COLUMNS]])
    if not tables:
        return pd.DataFrame({name: [] for name in (*_OWNER, *COLUMNS)})
    return pd.concat(tables, ignore_index=True)


def _read_each(places: Sequence[Folder | Run], read: Callable[[Run], T]) -> Iterator[tuple[Run, T]]:
    """Runs and what is read of them; warns of those that ended and cannot be read."""
    for place in places or ("runs",):
        for run in [place] if isinstance(place, Run) else find_runs(place):
            try:
                found = read(run)
            except StoreError as error:
                if run.status not in ("partial", "running"):
                    warnings.warn(f"left out: {error}", stacklevel=3)
            else:
                yield run, found
