"""Finding runs in their folders.

Listing reads one small file of each run, and never stumbles over a damaged one: it is listed as
such, with what is wrong.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bninit.errors import ConfigError, StoreError
from bninit.store import names
from bninit.store.files import check_is_file, damaged, is_locked, read_checked, read_json
from bninit.store.metrics import COLUMNS, Row, parse_rows, records_of
from bninit.store.summary import check_owner, read_summary, targets_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from bninit.config import Config
    from bninit.store.layers import StoredLayers
    from bninit.store.steps import Losses
    from bninit.training.records import EpochMetrics

_SHORTEST_ID = 4
"""Digits of an arm id from which on it is taken for one."""


def find_runs(*places: Folder) -> list[Run]:
    """All runs in some folders, by name, arm and seed. Other files and folders are passed over.

    Args:
        places: Each a folder of all runs, an arm's, or a run's; ``runs`` by default.

    Raises:
        StoreError: One of them is no folder, or cannot be read.
    """
    found = {run.folder: run for place in places or ("runs",) for run in _runs_in(Path(place))}
    return sorted(found.values(), key=lambda run: (run.name, run.arm, run.seed))


def match_runs(text: str, *, runs_dir: Folder = "runs") -> list[Run]:
    """The runs that a user means.

    Args:
        text: A run's or an arm's folder, ``<name>-<arm id>/seed-<n>``, ``<name>-<arm id>``, a
            name, or at least 4 digits of an arm id's beginning.
        runs_dir: The folder of all runs.

    Returns:
        At least one run.

    Raises:
        StoreError: There is none.
    """
    wanted = text.rstrip("/\\")
    runs = find_runs(runs_dir) if Path(runs_dir).is_dir() else []
    asked = [
        run
        for run in runs
        if wanted in (run.id, run.id.partition("/")[0], run.name)
        or (len(wanted) >= _SHORTEST_ID and run.arm.startswith(wanted))
    ]
    if not asked and Path(text).is_dir():
        asked = find_runs(text)
    if asked:
        return asked
    known = ", ".join(dict.fromkeys(run.id.partition("/")[0] for run in runs[:20]))
    raise StoreError(
        f"there is no run {text!r}",
        where=str(runs_dir),
        hint=f"there are: {known}" if known else "there are no runs in this folder",
    )


def _runs_in(place: Path) -> Iterator[Run]:
    path = Path(os.path.abspath(place))  # noqa: PTH100 (resolve would follow links)
    if names.parse_run_folder(path.name) is not None and names.parse_arm_folder(path.parent.name):
        if not place.is_dir():
            raise _no_folder(place)
        yield Run(place)
        return
    folders = _folders(place)
    if names.parse_arm_folder(path.name) is not None:
        found = [name for name in folders if names.parse_run_folder(name) is not None]
        if found:
            yield from (Run(place / name) for name in found)
            return
    for name in folders:
        if names.parse_arm_folder(name) is None:
            continue
        try:
            within = _folders(place / name)
        except StoreError:
            continue  # removed meanwhile, or another user's
        yield from (
            Run(place / name / seed) for seed in within if names.parse_run_folder(seed) is not None
        )


def _folders(place: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        raise _no_folder(place) from None
    except OSError as error:
        raise StoreError(f"it cannot be read: {error.strerror}", where=str(place)) from error


def _no_folder(place: Path) -> StoreError:
    return StoreError(
        "there is no such folder",
        where=str(place),
        hint="runs are kept in the folder after --runs-dir, ./runs by default",
    )


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


def load_runs(*places: Folder | Run) -> pd.DataFrame:
    """The metrics of all runs as a tidy table: one row for each run and epoch.

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
    for run in _runs(places):
        try:
            own = run.plain_rows()
        except StoreError as error:
            if run.status not in ("partial", "running"):
                warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        rows += own
        owners += [(run.name, run.arm, run.seed, run.status)] * len(own)
    kinds = {"name": "str", "arm": "str", "seed": "int64", "status": "str"}
    about = pd.DataFrame.from_records(owners, columns=list(kinds)).astype(kinds)
    return pd.concat([about, table_of(rows)], axis=1)


def load_layers(*places: Folder | Run) -> pd.DataFrame:
    """What probes found inside runs as a tidy table: a row for each number.

    Runs without probes are passed over; one whose file is damaged is left out, with a warning.

    Args:
        places: Runs, or folders as in `find_runs`; ``runs`` by default.

    Returns:
        name, arm, seed, status, and the columns of `Run.layers`.

    Raises:
        StoreError: One of the folders is none, or cannot be read.
    """
    import pandas as pd

    from bninit.store.layers import COLUMNS as LAYER_COLUMNS

    tables = []
    for run in _runs(places):
        if not run.has_layers:
            continue
        try:
            table = run.layers()
        except StoreError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        about: dict[str, Any] = {
            "name": run.name,
            "arm": run.arm,
            "seed": run.seed,
            "status": run.status,
        }
        tables.append(table.assign(**about)[[*_OWNER, *LAYER_COLUMNS]])
    if not tables:
        return pd.DataFrame({name: [] for name in (*_OWNER, *LAYER_COLUMNS)})
    return pd.concat(tables, ignore_index=True)


def _runs(places: Sequence[Folder | Run]) -> Iterator[Run]:
    for place in places or ("runs",):
        yield from [place] if isinstance(place, Run) else find_runs(place)


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table, with the columns of ``metrics.csv``; a missing value is NaN.

    Args:
        rows: Epochs, of one run or of several.
    """
    import pandas as pd

    table = pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
    return table.astype({name: "int64" if name in _WHOLE else "float64" for name in COLUMNS})


_WHOLE = ("epoch", "step")
_OWNER = ("name", "arm", "seed", "status")
