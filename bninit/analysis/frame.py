"""Runs as arms, and as one tidy table: a row for each run, with its settings and its figures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bninit.analysis.arms import arm_labels
from bninit.analysis.metrics import METRICS
from bninit.config import arm_dict
from bninit.errors import StoreError
from bninit.store import load_runs
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from bninit.config import Config
    from bninit.store import Run
    from bninit.store.layers import StoredLayers

Setting = str | int | float | bool | list[int] | list[float]
"""The value of one key of a config."""

FINISHED = ("done", "diverged")
"""Statuses of runs that have figures."""

_TIME_COLUMNS = {
    "epochs_to_accuracy": "epoch",
    "steps_to_accuracy": "step",
    "seconds_to_accuracy": "seconds",
}
"""Of these metrics a thousand runs have thousands; pandas would take a second for them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """The runs of one arm.

    Attributes:
        name: Of its config.
        id: Its content id.
        config: Resolved; its seeds, device and targets need not be those of all runs.
        runs: One for each seed, rising.
    """

    name: str
    id: str
    config: Config
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its runs, rising."""
        return tuple(run.seed for run in self.runs)

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """What decides its results, by dotted key."""
        return dict(_leaves(arm_dict(self.config)))


def arms_of(runs: Iterable[Run]) -> list[Arm]:
    """Group runs into arms, whatever names they have.

    Args:
        runs: Of one seed of one arm the first is taken.

    Returns:
        In the order of their first runs.

    Raises:
        StoreError: The config of an arm's first run is missing or damaged.
    """
    groups: dict[str, dict[int, Run]] = {}
    for run in runs:
        groups.setdefault(run.arm, {}).setdefault(run.seed, run)
    arms = []
    for arm, by_seed in groups.items():
        first = next(iter(by_seed.values()))
        in_order = tuple(by_seed[seed] for seed in sorted(by_seed))
        arms.append(Arm(name=first.name, id=arm, config=first.config, runs=in_order))
    return arms


def labels_of(arms: Sequence[Arm]) -> list[str]:
    """Name arms as briefly as tells them apart."""
    labels = arm_labels([(arm.name, arm.id) for arm in arms])
    return [labels[arm.name, arm.id] for arm in arms]


def epochs_of(runs: Sequence[Run]) -> tuple[pd.DataFrame, list[StoreError]]:
    """The metrics of runs as one tidy table, and what could not be read.

    Args:
        runs: Finished runs.

    Returns:
        The rows, as `bninit.store.load_runs` gives them, and an error for each run that is left
        out because its metrics are missing or damaged.
    """
    import pandas as pd

    if not runs:
        return pd.DataFrame({"arm": [], "seed": []}), []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rows = load_runs(*runs)
    return rows, [StoreError(str(one.message)) for one in told]


def column_of(metric: str, target: float | None) -> str:
    """The column of a metric in `runs_frame`: ``epochs_to_accuracy_0.97``."""
    return metric if target is None else f"{metric}_{target:g}"


def runs_frame(
    arms: Sequence[Arm],
    *,
    metrics: Sequence[str],
    targets: Sequence[float],
    epochs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Make one row of each run.

    Args:
        arms: With finished runs only.
        metrics: Names in `bninit.analysis.metrics.METRICS`.
        targets: Validation accuracies, for the metrics that take one.
        epochs: The metrics of all these runs, if they are at hand.

    Returns:
        label, name, arm, seed, status, epochs, stack_size; a column for each metric (and
        target, see `column_of`), NaN where a run has none; and for each key of the configs its
        value under the dotted key, None where the key plays no part.
    """
    import pandas as pd

    table = epochs_of([run for arm in arms for run in arm.runs])[0] if epochs is None else epochs
    parts = _parts(table)
    lists = {name: table[name].tolist() for name in ("val_accuracy", *_TIME_COLUMNS.values())}
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    rows = []
    for arm, label in zip(arms, labels_of(arms), strict=True):
        settings = {key: arm.settings.get(key) for key in keys}
        for run in arm.runs:
            place = parts.get((run.arm, run.seed))
            if run.summary is None or place is None:
                raise ValueError(f"{run.id} is not finished, or its epochs are missing")
            rows.append(
                {
                    "label": label,
                    "name": run.name,
                    "arm": arm.id,
                    "seed": run.seed,
                    "status": run.summary["status"],
                    "epochs": run.summary["epochs"],
                    "stack_size": run.summary["stack_size"],
                    **_figures(_Kept(arm.config, run, table, place), metrics, targets),
                    **_times({name: each[place] for name, each in lists.items()}, metrics, targets),
                    **settings,
                }
            )
    return pd.DataFrame(rows)


class _Kept:
    """A run whose metrics were read before, with those of others."""

    def __init__(self, config: Config, run: Run, table: pd.DataFrame, place: slice) -> None:
        self.config = config
        self.summary = run.summary
        self._run = run
        self._table, self._place = table, place

    def metrics(self) -> pd.DataFrame:
        return self._table.iloc[self._place]

    def step_losses(self) -> npt.NDArray[np.floating]:
        return self._run.step_losses()

    def stored_layers(self) -> StoredLayers:
        return self._run.stored_layers()


def _figures(run: _Kept, metrics: Sequence[str], targets: Sequence[float]) -> dict[str, float]:
    """Every metric that is not a time to a target."""
    found = {}
    for name in metrics:
        metric = METRICS[name]
        if name not in _TIME_COLUMNS:
            for target in targets if metric.needs_target else (None,):
                value = metric.value(run, math.nan if target is None else target)
                found[column_of(name, target)] = value
    return found


def _times(
    columns: Mapping[str, list[float]], metrics: Sequence[str], targets: Sequence[float]
) -> dict[str, float]:
    """Every metric that is a time to a target, from a run's rows by column."""
    found = {}
    for target in targets:
        at = first_reached(columns["val_accuracy"], target)
        for name in metrics:
            if name in _TIME_COLUMNS:
                times = columns[_TIME_COLUMNS[name]]
                found[column_of(name, target)] = math.nan if at is None else float(times[at])
    return found


def _parts(table: pd.DataFrame) -> dict[tuple[str, int], slice]:
    """Where the rows of each run are, which lie together."""
    parts: dict[tuple[str, int], slice] = {}
    keys = list(zip(table["arm"].tolist(), table["seed"].tolist(), strict=True))
    start = 0
    for place in range(1, len(keys) + 1):
        if place == len(keys) or keys[place] != keys[start]:
            parts[keys[start]] = slice(start, place)
            start = place
    return parts


def _leaves(values: Mapping[str, Any], *, above: str = "") -> Iterable[tuple[str, Setting]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, above=f"{above}{key}.")
        else:
            yield f"{above}{key}", value
