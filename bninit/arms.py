"""Arms: from what a user names to runs, and their figures in one table."""

from __future__ import annotations

import contextlib
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

import numpy as np

from bninit.config import (
    Config,
    Override,
    arm_dict,
    arm_id,
    config_from_dict,
    leaf_values,
    load_config,
)
from bninit.errors import ConfigError, StoreError, UserError
from bninit.fields import nearest
from bninit.metrics import METRICS
from bninit.stats import Floats, ReachedCurve, Spread, median_of_censored, reached_curve, spread
from bninit.store import Run, find_runs, load_runs

if TYPE_CHECKING:
    import pandas as pd

Setting: TypeAlias = str | int | float | bool | list[int] | list[float]
"""The value of one key of a config."""

Named: TypeAlias = Config | Mapping[str, object] | str | os.PathLike[str]
"""A config, its dict or file; a folder of runs; a run's id; an arm's name, id, or both."""

FINISHED = ("done", "diverged")
"""Statuses of runs that have figures."""

TIMES = ("epochs_to_accuracy", "steps_to_accuracy", "seconds_to_accuracy")
"""Metrics with a median for each arm and target."""

T = TypeVar("T")


def leaves(
    values: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of nested sections with its path, in order."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


# -- arms and their figures --------------------------------------------------------------------


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
        return {".".join(path): value for path, value in leaves(arm_dict(self.config))}


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


def arm_labels(arms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The shortest labels that are unique: the name, with the id where names are equal.

    Args:
        arms: (name, content id) of each, all different.
    """
    num_of_name = Counter(name for name, _ in arms)
    return {
        (name, arm): name if num_of_name[name] == 1 else f"{name}-{arm[:8]}" for name, arm in arms
    }


def labels_of(arms: Sequence[Arm]) -> list[str]:
    """The shortest unique labels of arms; see `arm_labels`."""
    labels = arm_labels([(arm.name, arm.id) for arm in arms])
    return [labels[arm.name, arm.id] for arm in arms]


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetSummary:
    """How soon the runs of an arm reached one validation accuracy.

    Attributes:
        target: The validation accuracy, in (0, 1].
        times: By metric in `TIMES`, for each run; NaN where it never reached the target. Epoch 0
            is before training.
        watched_epochs: Epochs that the runs had to reach it, the fewest if they differ; at least
            those that the slowest one took where all reached it.
    """

    target: float
    times: Mapping[str, Floats]
    watched_epochs: int

    @property
    def num_runs(self) -> int:
        """All runs of the arm."""
        return len(self.times[TIMES[0]])

    @property
    def num_reached(self) -> int:
        """Those that reached it."""
        return int((~np.isnan(self.times[TIMES[0]])).sum())

    @property
    def medians(self) -> dict[str, float | None]:
        """Over all runs, those that never reached it being later than all others.

        None where half of them or more never did.
        """
        return {name: median_of_censored(each.tolist()) for name, each in self.times.items()}

    @property
    def means(self) -> dict[str, Spread | None]:
        """None unless all runs reached it."""
        all_reached = self.num_reached == self.num_runs
        return {
            name: spread(each.tolist()) if all_reached else None
            for name, each in self.times.items()
        }

    @property
    def curve(self) -> ReachedCurve:
        """Share of runs that have reached it by each epoch."""
        return reached_curve(self.times[TIMES[0]], last_seen=self.watched_epochs)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmSummary:
    """The finished runs of one arm: what the tables of train, compare and study show.

    Attributes:
        label: Its name, with its id where another arm has the same name.
        name: Of its config.
        id: Its content id.
        seeds: Of its runs, rising.
        num_diverged: Runs that diverged. They have no test figures.
        num_parameters: Numbers that one network trains.
        figures: By metric, over the runs that have it; None when none has.
        targets: Rising.
        median_seconds_per_epoch: Of training, over all runs; None when no epoch was finished.
        placement: Where batch norm stands; empty where only summaries are at hand.
        settings: Its values of the settings that vary between the arms, in comparisons.
    """

    label: str
    name: str
    id: str
    seeds: tuple[int, ...]
    num_diverged: int
    num_parameters: int | None
    figures: dict[str, Spread | None]
    targets: tuple[TargetSummary, ...]
    median_seconds_per_epoch: float | None = None
    placement: str = ""
    settings: dict[str, Setting | None] = field(default_factory=dict)

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        return len(self.seeds)


def summarise_arms(summaries: Iterable[Mapping[str, Any]]) -> list[ArmSummary]:
    """Summarise the runs of each arm from what ``summary.json`` holds of them.

    Args:
        summaries: In any order.

    Returns:
        One for each name and arm id, in the order of first appearance.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for summary in summaries:
        groups.setdefault((summary["name"], summary["arm"]), []).append(summary)
    labels = arm_labels(list(groups))
    found = []
    for (name, arm), runs in groups.items():
        runs.sort(key=lambda run: int(run["seed"]))
        seconds = [s for run in runs if (s := run.get("seconds_per_epoch")) is not None]
        by_target: dict[float, list[Mapping[str, Any]]] = {}
        for run in runs:
            for entry in run.get("targets") or ():
                by_target.setdefault(entry["target"], []).append(entry)
        found.append(
            ArmSummary(
                label=labels[name, arm],
                name=name,
                id=arm,
                seeds=tuple(run["seed"] for run in runs),
                num_diverged=sum(run["status"] == "diverged" for run in runs),
                num_parameters=runs[0].get("num_parameters"),
                figures={
                    figure: spread(run.get(figure) for run in runs)
                    for figure in ("test_accuracy", "generalization_gap")
                },
                median_seconds_per_epoch=statistics.median(seconds) if seconds else None,
                targets=tuple(_target(each, by_target[each]) for each in sorted(by_target)),
            )
        )
    return found


def _target(target: float, entries: Sequence[Mapping[str, Any]]) -> TargetSummary:
    """From the entries of ``summary.json`` on one target, a run each."""
    watched = [entry["censored_at_epochs"] for entry in entries if not entry["reached"]]
    return TargetSummary(
        target=target,
        times={
            name: np.array([entry[name.partition("_")[0]] for entry in entries], dtype=np.float64)
            for name in TIMES
        },
        watched_epochs=min(watched) if watched else max(entry["epochs"] for entry in entries),
    )


# -- runs as one table -------------------------------------------------------------------------


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
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = load_runs(*runs)
    return rows, [StoreError(str(each.message)) for each in caught]


def column_of(metric: str, target: float | None) -> str:
    """The column of a metric in `runs_frame`: ``epochs_to_accuracy_0.97``."""
    return metric if target is None else f"{metric}_{target:g}"


def runs_frame(
    arms: Sequence[Arm],
    *,
    metrics: Sequence[str],
    targets: Sequence[float],
) -> pd.DataFrame:
    """One row for each run.

    Args:
        arms: With finished runs only.
        metrics: Names in `bninit.metrics.METRICS`.
        targets: Validation accuracies, for the metrics that take one.

    Returns:
        label, name, arm, seed, status, epochs, stack_size; a column for each metric (and
        target, see `column_of`), NaN where a run has none; and for each key of the configs its
        value under the dotted key, None where the key plays no part.

    Raises:
        StoreError: The metrics of a run are missing or damaged.
    """
    import pandas as pd

    wanted = [
        (METRICS[name], target)
        for name in metrics
        for target in (targets if METRICS[name].needs_target else (None,))
    ]
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    rows = []
    for arm, label in zip(arms, labels_of(arms), strict=True):
        settings = {key: arm.settings.get(key) for key in keys}
        for run in arm.runs:
            about = {"label": label, "name": run.name, "arm": arm.id, "seed": run.seed}
            summary = run.summary or {}
            kept = {key: summary.get(key) for key in ("status", "epochs", "stack_size")}
            figures = {
                column_of(m.name, target): m.value(run, target or 0.0) for m, target in wanted
            }
            rows.append({**about, **kept, **figures, **settings})
    return pd.DataFrame(rows)


# -- from what a user names to runs ------------------------------------------------------------


@dataclass(kw_only=True, eq=False)
class ArmRequest:
    """One arm that a user named.

    Attributes:
        texts: How it was named.
        config: Its config, with the name under which missing runs are trained.
        id: Its content id.
        seeds: Those wanted, rising.
        home: The folder of all runs in which missing ones are trained.
        is_whole: Whether the arm was named, and not single runs of it.
        finished: Its finished runs by seed, of the seeds wanted.
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
        """Seeds that are wanted and not finished."""
        return tuple(seed for seed in self.seeds if seed not in self.finished)


def resolve_runs(named: Iterable[Named | Run], *, runs_dir: str | os.PathLike[str]) -> list[Run]:
    """The runs that a user names, in the order named.

    A file, or a text that ends like a YAML file, is a config: its finished and begun runs are
    meant. Else the first of these that exists: a folder of runs; the run
    ``<name>-<arm id>/seed-<n>``; the arm ``<name>-<arm id>``; arms with this name; arms whose id
    begins with this.

    Args:
        named: Runs among them are taken as they are.
        runs_dir: The folder of all runs.

    Raises:
        ConfigError: All faults of a config at once.
        StoreError: There is no such run.
    """
    kept = _kept(Path(runs_dir))
    found: list[Run] = []
    for one in named:
        if isinstance(one, Run):
            found.append(one)
            continue
        config = _config_of(one, ())
        if config is None:
            found += _runs_named(os.fspath(one), kept, Path(runs_dir))  # type: ignore[arg-type]
            continue
        runs = [run for run in _of_arm(kept, config) if run.seed in config.train.seeds]
        if not runs:
            raise StoreError(
                f"no runs of {config.name}-{arm_id(config)}",
                where=str(runs_dir),
                hint="train this config first: bninit train --config FILE",
            )
        found += runs
    return found


def resolve_arms(
    named: Iterable[Named],
    *,
    runs_dir: Path,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
) -> list[ArmRequest]:
    """The arms that a user names, and which of their runs are finished.

    Args:
        named: Configs and runs, mixed, as in `resolve_runs`. A folder may hold several arms.
        runs_dir: The folder of all runs.
        overrides: ``key=value`` for each config among them.
        seeds: Of every arm; by default those of a config, and those that there are of a run's.

    Raises:
        ConfigError: All faults of a config at once.
        UserError: Something that is neither a path nor in the runs folder, or an arm that is
            named twice.
    """
    kept = _kept(runs_dir)
    found: dict[str, ArmRequest] = {}
    num_configs = 0
    for one in named:
        config = _config_of(one, overrides)
        if config is None:
            new = _requests_of_runs(os.fspath(one), kept, runs_dir)  # type: ignore[arg-type]
        else:
            num_configs += 1
            request = ArmRequest(
                texts=[config.name if isinstance(one, Config | Mapping) else os.fspath(one)],
                config=config,
                id=arm_id(config),
                seeds=tuple(sorted(config.train.seeds)),
                home=runs_dir,
                is_whole=True,
            )
            new = [request]
        for arm in new:
            _add(found, arm)
    if overrides and not num_configs:
        first = overrides[0]
        raise UserError(
            "there is no config among the arms that it could change",
            where=f"--set {first if isinstance(first, str) else first.option}",
            hint="runs are what they are; name a config file to train it differently",
        )
    for arm in found.values():
        if seeds is not None:
            arm.seeds = tuple(sorted(seeds))
        for run in _of_arm(kept, arm.config):
            if run.seed not in arm.finished and run.answers(arm.config):
                arm.finished[run.seed] = run
        arm.finished = {seed: run for seed, run in arm.finished.items() if seed in arm.seeds}
    return list(found.values())


def find_baseline(
    text: str | None, arms: Sequence[ArmRequest], *, overrides: Sequence[str | Override] = ()
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
        config_id = arm_id(load_config(text, overrides=overrides))
        matching = [arm for arm in arms if arm.id == config_id]
    if len(matching) == 1:
        return matching[0].id
    known = ", ".join(f"{arm.config.name}-{arm.id}" for arm in arms)
    what = "could be several of the arms" if matching else "is none of the arms"
    raise UserError(f"{text!r} {what}", where="--baseline", hint=f"the arms are {known}")


def _kept(runs_dir: Path) -> list[Run]:
    return find_runs(runs_dir) if runs_dir.is_dir() else []


def _of_arm(kept: Sequence[Run], config: Config) -> list[Run]:
    """The runs of a config's arm, whatever their names, those of its own name first."""
    wanted = arm_id(config)
    runs = [run for run in kept if run.arm == wanted]
    return sorted(runs, key=lambda run: run.name != config.name)


def _config_of(one: Named, overrides: Sequence[str | Override]) -> Config | None:
    """The config that something is or names; None for runs."""
    if not isinstance(one, Config | Mapping):
        path = Path(one)
        if not path.is_file() and (path.suffix not in (".yaml", ".yml") or path.is_dir()):
            return None
    return resolve_config(one, overrides=overrides)


def resolve_config(one: Named, *, overrides: Sequence[str | Override] = ()) -> Config:
    """The config that something is, or that a file holds.

    Args:
        one: A config, a dict with the keys of a config file, or a file.
        overrides: ``key=value``, as after ``--set``.

    Raises:
        ConfigError: All faults of the config at once.
    """
    if isinstance(one, Config):
        if not overrides:
            return one
        one = one.model_dump(mode="json", exclude_none=True)
    if isinstance(one, Mapping):
        return config_from_dict(one, overrides=overrides)
    return load_config(one, overrides=overrides)


def _called(text: str, items: Sequence[T], called: Callable[[T], tuple[str, str]]) -> list[T]:
    """The items whose name and arm id a text means: both, the name, or the start of the id.

    The first of these that is there at all counts, so that an arm named ``a`` is found whatever
    the ids of the others begin with.
    """
    known = [(item, *called(item)) for item in items]
    is_id = re.fullmatch(r"[0-9a-f]{1,8}", text) is not None
    tiers = (
        [item for item, name, arm in known if text == f"{name}-{arm}"],
        [item for item, name, _ in known if text == name],
        [item for item, _, arm in known if is_id and arm.startswith(text)],
    )
    return next((tier for tier in tiers if tier), [])


def _runs_named(
    text: str, kept: Sequence[Run], runs_dir: Path, *, one_arm: bool = False
) -> list[Run]:
    """The runs that a text means, at least one; see `resolve_runs`."""
    wanted, is_folder = text.rstrip("/\\"), Path(text).is_dir()
    runs: list[Run] = []
    if wanted and is_folder:
        is_all = runs_dir.is_dir() and Path(text).samefile(runs_dir)
        runs = list(kept) if is_all else find_runs(text)
    if runs:
        return runs
    runs = [run for run in kept if run.id == wanted]
    runs = runs or _called(wanted, kept, lambda run: (run.name, run.arm))
    names = list(dict.fromkeys(f"{run.name}-{run.arm}" for run in runs or kept))
    if one_arm and runs and len(names) > 1:
        raise UserError(
            f"{text!r} could be {len(names)} arms",
            where=str(runs_dir),
            hint=f"name one: {', '.join(names)}",
        )
    if runs:
        return runs
    if wanted and is_folder:
        what = "there are no runs in this folder"
        hint = "name a run's folder, an arm's, or a config file"
        raise StoreError(what, where=text, hint=hint)
    near = nearest(text, [*names, *(run.name for run in kept)])
    if near:
        hint = f"did you mean {near}?"
    elif names:
        hint = f"the arms there are {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
    else:
        hint = "there are no runs in this folder; name a config file"
    what = f"unknown run, arm, folder or config file: {text!r}"
    raise StoreError(what, where=str(runs_dir), hint=hint)


def _requests_of_runs(text: str, kept: Sequence[Run], runs_dir: Path) -> list[ArmRequest]:
    """The arms of the runs that a text means."""
    runs = _runs_named(text, kept, runs_dir, one_arm=True)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.arm, []).append(run)
    requests = []
    for arm, each in groups.items():
        finished = [run for run in each if run.status in FINISHED]
        first = (finished or each)[0]
        requests.append(
            ArmRequest(
                texts=[text],
                # A run's config has the one seed, and is another's for all but its name and arm.
                config=first.config,
                id=arm,
                seeds=tuple(sorted({run.seed for run in each})),
                home=first.folder.parent.parent,
                is_whole=len(runs) > 1 or Path(text).name != first.folder.name,
                finished={run.seed: run for run in finished},
            )
        )
    return requests


def _add(found: dict[str, ArmRequest], arm: ArmRequest) -> None:
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


# -- settings ----------------------------------------------------------------------------------


def non_default_settings(config: Config) -> dict[str, object]:
    """Settings that differ from the defaults, by dotted key, in the order of the file.

    A setting is a default one when the config without it, or without the section around it, is
    the same config. So a learning rate is held against the default of its optimiser.
    """

    def without(values: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
        first, *rest = key
        if rest:
            return {**values, first: without(values[first], tuple(rest))}
        return {name: value for name, value in values.items() if name != first}

    values = leaf_values(config)
    changed: dict[str, object] = {}
    for key, value in leaves(values):
        # Every file has these, and a run its own.
        if key in (("schema_version",), ("name",), ("train", "seeds")):
            continue
        for length in range(len(key), 0, -1):
            # A key that has to be given can only go with its section.
            with contextlib.suppress(ConfigError):
                if config_from_dict(without(values, key[:length])) == config:
                    break
        else:
            changed[".".join(key)] = value
    return changed
