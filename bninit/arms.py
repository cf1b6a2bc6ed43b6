"""Arms in short: what the table at the end of a training says of each."""

from __future__ import annotations

import contextlib
import math
import os
import re
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from bninit.config import (
    Config,
    Override,
    arm_dict,
    arm_id,
    config_from_dict,
    load_config,
)
from bninit.config.identity import short_keys, value_label
from bninit.config.overlay import key_path
from bninit.errors import StoreError, UserError
from bninit.fields import nearest
from bninit.metrics import METRICS
from bninit.stats import Spread, median_of_censored, spread
from bninit.store import Run, find_runs, load_runs
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from bninit.store.layers import StoredLayers

Summary = Mapping[str, Any]
"""What ``summary.json`` holds of one run."""


@dataclass(frozen=True, kw_only=True)
class TargetSummary:
    """How soon the runs of an arm reached one validation accuracy.

    The medians are over all runs, and one that never reached it is later than all that did. They
    are None where half of the runs or more never did: there is no median then.

    Attributes:
        target: The validation accuracy, in (0, 1].
        num_runs: Runs that were watched for it.
        num_reached: Those that reached it.
        median_epochs: Epochs until then; 0 is before training.
        median_steps: Steps until then.
        median_seconds: Training seconds until then.
        watched_epochs: Epochs after which the runs that did not reach it were given up, the
            lowest if they differ; None when all reached it.
    """

    target: float
    num_runs: int
    num_reached: int
    median_epochs: float | None
    median_steps: float | None
    median_seconds: float | None
    watched_epochs: int | None


@dataclass(frozen=True, kw_only=True)
class ArmSummary:
    """The finished runs of one arm.

    Attributes:
        name: Of its config.
        arm: Its content id.
        label: The name, with the start of the id where another arm has the same name.
        seeds: Of its runs, rising.
        num_diverged: Runs that diverged. They have no test figures.
        test_accuracy: Over the runs that did not diverge; its ``n`` says how many.
        best_val_accuracy: Best epoch of each run, diverged runs included.
        generalization_gap: Training accuracy minus test accuracy, as ``test_accuracy``.
        median_seconds_per_epoch: Of training, over all runs; None when no epoch was finished.
        num_parameters: Numbers that one network trains.
        targets: Rising.
    """

    name: str
    arm: str
    label: str
    seeds: tuple[int, ...]
    num_diverged: int
    test_accuracy: Spread | None
    best_val_accuracy: Spread | None
    generalization_gap: Spread | None
    median_seconds_per_epoch: float | None
    num_parameters: int | None
    targets: tuple[TargetSummary, ...]

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        return len(self.seeds)


def summarise_arms(summaries: Iterable[Summary]) -> list[ArmSummary]:
    """Put the runs of each arm together.

    Args:
        summaries: As in ``summary.json``, in any order.

    Returns:
        One for each name and arm id, in the order of first appearance.
    """
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault((summary["name"], summary["arm"]), []).append(summary)
    labels = arm_labels(list(groups))
    return [_summarise(runs, label=labels[key]) for key, runs in groups.items()]


def arm_labels(arms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Name arms as briefly as tells them apart.

    Args:
        arms: (name, content id) of each, all different.
    """
    num_of_name = Counter(name for name, _ in arms)
    return {
        (name, arm): name if num_of_name[name] == 1 else f"{name}-{arm[:8]}" for name, arm in arms
    }


def _summarise(runs: list[Summary], *, label: str) -> ArmSummary:
    runs = sorted(runs, key=lambda run: run["seed"])
    seconds = [s for run in runs if (s := run.get("seconds_per_epoch")) is not None]
    return ArmSummary(
        name=runs[0]["name"],
        arm=runs[0]["arm"],
        label=label,
        seeds=tuple(run["seed"] for run in runs),
        num_diverged=sum(run["status"] == "diverged" for run in runs),
        test_accuracy=spread(run.get("test_accuracy") for run in runs),
        best_val_accuracy=spread((run.get("best") or {}).get("val_accuracy") for run in runs),
        generalization_gap=spread(run.get("generalization_gap") for run in runs),
        median_seconds_per_epoch=statistics.median(seconds) if seconds else None,
        num_parameters=runs[0].get("num_parameters"),
        targets=_targets(runs),
    )


def _targets(runs: list[Summary]) -> tuple[TargetSummary, ...]:
    by_target: dict[float, list[Mapping[str, Any]]] = {}
    for run in runs:
        for entry in run.get("targets") or ():
            by_target.setdefault(entry["target"], []).append(entry)
    return tuple(_target(target, by_target[target]) for target in sorted(by_target))


def _target(target: float, entries: list[Mapping[str, Any]]) -> TargetSummary:
    given_up = [entry["censored_at_epochs"] for entry in entries if not entry["reached"]]
    return TargetSummary(
        target=target,
        num_runs=len(entries),
        num_reached=len(entries) - len(given_up),
        median_epochs=median_of_censored([entry["epochs"] for entry in entries]),
        median_steps=median_of_censored([entry["steps"] for entry in entries]),
        median_seconds=median_of_censored([entry["seconds"] for entry in entries]),
        watched_epochs=min(given_up, default=None),
    )


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
        metrics: Names in `bninit.metrics.METRICS`.
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


Asked: TypeAlias = Config | Mapping[str, object] | str | os.PathLike[str]
"""A config, its dict or file; or a folder of runs, an arm's id, its name, or both."""

T = TypeVar("T")

_CONFIG_SUFFIXES = (".yaml", ".yml")
_ID = re.compile(r"[0-9a-f]{1,8}")


@dataclass(kw_only=True, eq=False)
class AskedArm:
    """One arm that was asked for.

    Attributes:
        texts: How it was named.
        config: Its config, with the name under which missing runs are trained.
        id: Its content id.
        seeds: Those asked for, rising.
        home: The folder of all runs in which missing ones are trained.
        is_whole: Whether the arm was named, and not single runs of it.
        finished: Its finished runs by seed, of the seeds asked for.
    """

    texts: list[str]
    config: Config
    id: str
    seeds: tuple[int, ...]
    home: Path
    is_whole: bool
    finished: dict[int, Run] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds that were asked for and are not finished."""
        return tuple(seed for seed in self.seeds if seed not in self.finished)

    def drop_unread(self, epochs: pd.DataFrame) -> None:
        """Count runs as missing whose metrics are not in a table of all that could be read."""
        read = set(zip(epochs["arm"].tolist(), epochs["seed"].tolist(), strict=True))
        for seed in [seed for seed in self.finished if (self.id, seed) not in read]:
            del self.finished[seed]


def asked_arms(
    arms: Iterable[Asked],
    *,
    runs_dir: Path,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
) -> list[AskedArm]:
    """Find out which arms are meant, and which of their runs are finished.

    Args:
        arms: Configs and runs, mixed. A folder may hold the runs of several arms.
        runs_dir: The folder of all runs.
        overrides: ``key=value`` for each config among them.
        seeds: Of every arm; by default those of a config, and those that there are of a run's.

    Raises:
        ConfigError: All faults of a config at once.
        UserError: Something that is neither there as a path nor in the runs folder, or an arm
            that is named twice.
    """
    kept = find_runs(runs_dir) if runs_dir.is_dir() else []
    found: dict[str, AskedArm] = {}
    num_configs = 0
    for one in arms:
        config = _config_of(one, overrides)
        if config is not None:
            num_configs += 1
            text = config.name if isinstance(one, Config | Mapping) else os.fspath(one)
            new = [_of_config(config, text, runs_dir)]
        else:
            assert not isinstance(one, Config | Mapping), "these are configs"
            new = _of_runs(os.fspath(one), kept, runs_dir)
        for arm in new:
            _add(found, arm)
    if overrides and not num_configs:
        raise UserError(
            "there is no config among the arms that it could change",
            where=f"--set {_first_of(overrides)}",
            hint="runs are what they are; name a config file to train it differently",
        )
    for arm in found.values():
        if seeds is not None:
            arm.seeds = tuple(sorted(seeds))
        _find_finished(arm, kept)
    return list(found.values())


def find_baseline(
    text: str | None, arms: Sequence[AskedArm], *, overrides: Sequence[str | Override] = ()
) -> str:
    """The id of the arm that a user means by the baseline; of the first one by default.

    Raises:
        ConfigError: It is a config file with faults.
        UserError: It is none of the arms, or could be several.
    """
    if text is None:
        return arms[0].id
    matching = [arm for arm in arms if text in arm.texts]
    matching = matching or _called(text, arms, lambda arm: (arm.config.name, arm.id))
    if not matching and Path(text).is_file():
        asked = arm_id(load_config(text, overrides=overrides))
        matching = [arm for arm in arms if arm.id == asked]
    if len(matching) == 1:
        return matching[0].id
    known = ", ".join(f"{arm.config.name}-{arm.id}" for arm in arms)
    what = "could be several of the arms" if matching else "is none of the arms"
    raise UserError(f"{text!r} {what}", where="--baseline", hint=f"the arms are {known}")


def _config_of(one: Asked, overrides: Sequence[str | Override]) -> Config | None:
    """The config that something is or names; None for runs."""
    if isinstance(one, Config):
        if not overrides:
            return one
        one = one.model_dump(mode="json", exclude_none=True)
    if isinstance(one, Mapping):
        return config_from_dict(one, overrides=overrides)
    path = Path(one)
    if path.is_file() or (path.suffix in _CONFIG_SUFFIXES and not path.is_dir()):
        return load_config(path, overrides=overrides)
    return None


def _of_config(config: Config, text: str, runs_dir: Path) -> AskedArm:
    return AskedArm(
        texts=[text],
        config=config,
        id=arm_id(config),
        seeds=tuple(sorted(config.train.seeds)),
        home=runs_dir,
        is_whole=True,
    )


def _of_runs(text: str, kept: Sequence[Run], runs_dir: Path) -> list[AskedArm]:
    """The arms of a folder, or of what is called so in the runs folder."""
    wanted = text.rstrip("/\\")
    if wanted and Path(text).is_dir():
        is_all = runs_dir.is_dir() and Path(text).samefile(runs_dir)
        runs = list(kept) if is_all else find_runs(text)
        if not runs:
            raise UserError(
                "there are no runs in this folder",
                where=text,
                hint="name a run's folder, an arm's, or a config file",
            )
    else:
        runs = [run for run in kept if run.id == wanted]
        runs = runs or _called(wanted, kept, lambda run: (run.name, run.arm))
        arms = {run.arm: run for run in runs}
        if len(arms) > 1:
            listed = ", ".join(f"{run.name}-{run.arm}" for run in arms.values())
            raise UserError(
                f"{text!r} could be {len(arms)} arms",
                where=str(runs_dir),
                hint=f"name one: {listed}",
            )
    if not runs:
        raise _nothing_called(text, kept, runs_dir)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.arm, []).append(run)
    is_one_run = len(runs) == 1 and _is_run(wanted, runs[0])
    return [_of_one_arm(part, text, is_whole=not is_one_run) for part in groups.values()]


def _of_one_arm(runs: Sequence[Run], text: str, *, is_whole: bool) -> AskedArm:
    first = next((run for run in runs if run.status in FINISHED), runs[0])
    seeds = {run.seed: run for run in runs}
    return AskedArm(
        texts=[text],
        # A run's config has the one seed, and is another's for all but its name and arm.
        config=first.config,
        id=first.arm,
        seeds=tuple(sorted(seeds)),
        home=first.folder.parent.parent,
        is_whole=is_whole,
        finished={run.seed: run for run in runs if run.status in FINISHED},
    )


def _add(found: dict[str, AskedArm], arm: AskedArm) -> None:
    """Runs of one arm come together; an arm that is named twice is a mistake."""
    there = found.setdefault(arm.id, arm)
    if there is arm:
        return
    if there.is_whole or arm.is_whole:
        raise UserError(
            f"{there.texts[0]} and {arm.texts[0]} are the same arm, {arm.id}",
            hint="an arm is all that decides the result; name, seeds, device and targets do not",
        )
    there.texts += arm.texts
    there.seeds = tuple(sorted({*there.seeds, *arm.seeds}))
    there.finished = {**arm.finished, **there.finished}


def _find_finished(arm: AskedArm, kept: Sequence[Run]) -> None:
    """Take finished runs of the arm from wherever they are, of its own name first."""
    others = [run for run in kept if run.arm == arm.id and run.seed in arm.seeds]
    others.sort(key=lambda run: run.name != arm.config.name)
    for run in others:
        if run.seed not in arm.finished and run.answers(arm.config):
            arm.finished[run.seed] = run
    arm.finished = {seed: run for seed, run in arm.finished.items() if seed in arm.seeds}


def _called(text: str, items: Sequence[T], name: Callable[[T], tuple[str, str]]) -> list[T]:
    """The items whose name and arm id a text means: both, the name, or the start of the id.

    The first of these that is there at all counts, so that an arm named ``a`` is found whatever
    the ids of the others begin with.
    """
    known = [(item, *name(item)) for item in items]
    is_id = _ID.fullmatch(text) is not None
    tiers = (
        [item for item, called, arm in known if text == f"{called}-{arm}"],
        [item for item, called, _ in known if text == called],
        [item for item, _, arm in known if is_id and arm.startswith(text)],
    )
    return next((tier for tier in tiers if tier), [])


def _is_run(text: str, run: Run) -> bool:
    return Path(text).name == run.folder.name


def _nothing_called(text: str, kept: Sequence[Run], runs_dir: Path) -> UserError:
    names = list(dict.fromkeys(f"{run.name}-{run.arm}" for run in kept))
    near = nearest(text, [*names, *(run.name for run in kept)])
    if near:
        hint = f"did you mean {near}?"
    elif names:
        more = ", ..." if len(names) > 10 else ""
        hint = f"the arms in {runs_dir} are {', '.join(names[:10])}{more}"
    else:
        hint = f"there are no runs in {runs_dir}; name config files, and they are trained"
    return UserError(
        f"there is no file or folder {text!r}, and no arm of that name or id in {runs_dir}",
        hint=hint,
    )


def _first_of(overrides: Sequence[str | Override]) -> str:
    first = overrides[0]
    return first if isinstance(first, str) else first.option


_NOUNS: Mapping[str, str] = {
    "data.name": "data set",
    "data.scale": "scaling of the pixels",
    "data.val_size": "size of the validation set",
    "optim.name": "optimiser",
    "optim.lr": "learning rate",
    "optim.schedule": "learning-rate schedule",
    "optim": "optimiser's settings",
    "train.batch_size": "batch size",
    "train.last_batch": "treatment of the last batch",
    "train.epochs": "number of epochs",
    "train.precision": "precision",
}
"""What is not the network, by the beginning of its keys; the first that fits names a key."""

_SAME_BATCHES = ("data.name", "data.val_size", "train.batch_size", "train.last_batch")
_MOST_NAMED = 4


def varied_settings(arms: Sequence[Arm]) -> dict[str, tuple[Setting | None, ...]]:
    """The settings in which arms differ, and no others.

    A key that plays no part in some arms (batch norm's momentum without batch norm) differs only
    if the others give it different values, or one that is not its default.

    Args:
        arms: At least one.

    Returns:
        By dotted key, in the order of a config file: the value of each arm, None where the key
        plays no part.
    """
    changed: dict[str, dict[str, object]] = {}
    varied: dict[str, tuple[Setting | None, ...]] = {}
    for key in _all_keys(arms):
        values = tuple(arm.settings.get(key) for arm in arms)
        there = [value for value in values if value is not None]
        differs = any(value != there[0] for value in there)
        if not differs and len(there) < len(values):
            one = next(arm for arm in arms if key in arm.settings)
            if one.id not in changed:
                changed[one.id] = changed_settings(one.config)
            differs = key in changed[one.id]
        if differs:
            varied[key] = values
    return varied


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Name dotted keys by as much of their end as tells them apart: ``placement``, ``lr``."""
    short = short_keys([key_path(key) for key in keys])
    return {key: short[key_path(key)] for key in keys}


def setting_text(value: Setting | None) -> str:
    """A setting as tables show it; a key that plays no part is a dash."""
    return "-" if value is None else value_label(value)  # type: ignore[arg-type]


def confounding(
    varied: Mapping[str, Sequence[Setting | None]], *, labels: Sequence[str], baseline: int
) -> list[str]:
    """Warn of arms that differ from the baseline in how they were trained, and in something else.

    One such difference alone is what is compared; the network's own settings may differ together.

    Args:
        varied: As `varied_settings` returns it.
        labels: Of the arms, in the same order.
        baseline: The place of the arm that the others are compared with.
    """
    differing = [
        [key for key, values in varied.items() if values[i] != values[baseline]]
        for i in range(len(labels))
    ]
    told: dict[str, list[int]] = {}
    for i, keys in enumerate(differing):
        groups = _groups(keys)
        for group in groups:
            if group in _NOUNS and len(groups) > 1:
                told.setdefault(group, []).append(i)
    return [_confounded(group, places, varied, labels, baseline) for group, places in told.items()]


def pairing_limits(
    varied: Mapping[str, Sequence[Setting | None]], *, labels: Sequence[str], baseline: int
) -> list[str]:
    """Warn where equal seeds do not mean equal batches or equal raw draws.

    Args:
        varied: As `varied_settings` returns it.
        labels: Of the arms, in the same order.
        baseline: The place of the arm that the others are compared with.
    """
    found = []
    batches = _unlike(varied, _SAME_BATCHES, baseline=baseline)
    if batches:
        found.append(
            f"{_named(batches, labels)} and {labels[baseline]} did not see the same batches, as "
            f"their data or batches differ: equal seeds share the starting weights only."
        )
    draws = _unlike(varied, ("model.hidden",), baseline=baseline)
    if draws:
        found.append(
            f"{_named(draws, labels)} and {labels[baseline]} do not start from the same raw draws "
            f"in every layer, as their layers differ in size: equal seeds share the batches."
        )
    images = _unlike(varied, ("data.name",), baseline=baseline)
    if images:
        found.append(
            f"{_named(images, labels)} and {labels[baseline]} are tested on different images: "
            f"their accuracies measure different tasks."
        )
    return found


def timing_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where training times cannot be compared.

    Args:
        runs: One row per run, with label, stack_size, and machine or None.
    """
    found = []
    for column, what, advice in (
        ("stack_size", "in stacks of different sizes", "a network in a larger stack takes less"),
        ("machine", "on different machines", "compare epochs or steps instead"),
    ):
        values = _values_by_arm(runs, column)
        if len({value for each in values.values() for value in each}) > 1:
            listing = _cut([f"{label}: {' and '.join(each)}" for label, each in values.items()])
            found.append(f"Seconds are not comparable: runs trained {what} ({listing}); {advice}.")
    return found


def data_limits(runs: pd.DataFrame) -> list[str]:
    """Warn where one data set had different contents.

    Args:
        runs: One row per run, with label, data.name, and data_checksum or None.
    """
    found = []
    for name, part in runs.groupby("data.name", sort=False):
        values = _values_by_arm(part, "data_checksum")
        if len({value for each in values.values() for value in each}) > 1:
            listing = [f"{label} {' and '.join(v[:8] for v in vs)}" for label, vs in values.items()]
            found.append(
                f"The files of {name!s} were not the same for all runs (check sums: "
                f"{_cut(listing)}): they saw different images."
            )
    return found


def _values_by_arm(runs: pd.DataFrame, column: str) -> dict[str, list[str]]:
    """The different values of each arm that are known, as texts."""
    import pandas as pd

    by_arm: dict[str, dict[str, None]] = {}
    for label, value in zip(runs["label"].tolist(), runs[column].tolist(), strict=True):
        values = by_arm.setdefault(label, {})
        if not pd.isna(value):
            values[str(value)] = None
    return {label: list(values) for label, values in by_arm.items() if values}


def _all_keys(arms: Sequence[Arm]) -> list[str]:
    """Every key of the arms, those of one section together."""
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    sections: dict[str, None] = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    return [key for section in sections for key in keys if key.rpartition(".")[0] == section]


def _groups(keys: Sequence[str]) -> list[str]:
    """What differs, each thing once: another optimiser brings its own learning rate along."""
    groups = list(dict.fromkeys(_group(key) for key in keys))
    if "optim.name" in groups:
        groups = [group for group in groups if group not in ("optim", "optim.lr")]
    if "data.name" in groups:
        groups = [group for group in groups if group != "data.val_size"]
    return groups


def _group(key: str) -> str:
    return next((start for start in _NOUNS if f"{key}.".startswith(f"{start}.")), key)


def _confounded(
    group: str,
    places: Sequence[int],
    varied: Mapping[str, Sequence[Setting | None]],
    labels: Sequence[str],
    baseline: int,
) -> str:
    keys = [key for key in varied if _group(key) == group]

    def said(i: int) -> str:
        values = [setting_text(varied[key][i]) for key in keys if varied[key][i] is not None]
        return f"{labels[i]} {', '.join(values) or 'none'}"

    listing = _cut([said(i) for i in (*places, baseline)])
    return (
        f"The {_NOUNS[group]} differs, too ({listing}): what sets these arms apart may come from "
        "it, and not from the rest."
    )


def _unlike(
    varied: Mapping[str, Sequence[Setting | None]], keys: Sequence[str], *, baseline: int
) -> list[int]:
    places = {
        i
        for key in keys
        for i, value in enumerate(varied.get(key, ()))
        if value != varied[key][baseline]
    }
    return sorted(places)


def _named(places: Sequence[int], labels: Sequence[str]) -> str:
    return _cut([labels[i] for i in places])


def _cut(items: Sequence[str]) -> str:
    if len(items) <= _MOST_NAMED:
        return ", ".join(items)
    return f"{', '.join(items[: _MOST_NAMED - 1])} and {len(items) - _MOST_NAMED + 1} more"


_NEVER = frozenset({("schema_version",), ("name",), ("train", "seeds")})
"""Not settings of a training: every file has them, and a run its own."""


def changed_settings(config: Config) -> dict[str, object]:
    """Settings that differ from the defaults, by dotted key, in the order of the file.

    A setting is a default one when the config without it, or without the section around it, is
    the same config. So a learning rate is held against the default of its optimiser.
    """
    from bninit.config import config_from_dict, leaf_values
    from bninit.errors import ConfigError

    values = leaf_values(config)
    changed: dict[str, object] = {}
    for key, value in _leaves_changes(values):
        if key in _NEVER:
            continue
        for length in range(len(key), 0, -1):
            # A key that has to be given can only go with its section.
            with contextlib.suppress(ConfigError):
                if config_from_dict(_without(values, key[:length])) == config:
                    break
        else:
            changed[".".join(key)] = value
    return changed


def _leaves_changes(
    values: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves_changes(value, (*above, name))
        else:
            yield (*above, name), value


def _without(values: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = key
    if not rest:
        return {name: value for name, value in values.items() if name != first}
    return {**values, first: _without(values[first], tuple(rest))}


def machines_of(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    """Tell on what, and on which images, each run was trained.

    Args:
        runs: In any order.

    Returns:
        ``machine``: the processor or GPU, and on a CPU the number of threads;
        ``data_checksum``: of the data set. None where it is not known.
    """
    told = [_environment(run) for run in runs]
    return {
        "machine": [_machine(each) for each in told],
        "data_checksum": [_text(each.get("data_checksum")) for each in told],
    }


def _environment(run: Run) -> Mapping[str, Any]:
    try:
        return run.environment
    except StoreError:
        return {}


def _machine(told: Mapping[str, Any]) -> str | None:
    device = _text(told.get("device"))
    if device is None:
        return None
    if not device.startswith("cpu"):
        return _text(told.get("device_name")) or device
    threads = told.get("threads")
    name = _text(told.get("cpu")) or "CPU"
    return f"{name} with {threads} thread{'' if threads == 1 else 's'}" if threads else name


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
