"""The arms that a user asks to have compared, however they are named, and what is there of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from bninit.analysis.frame import FINISHED
from bninit.config import Config, Override, arm_id, config_from_dict, load_config
from bninit.config.nearest import nearest
from bninit.errors import UserError
from bninit.store import Run, find_runs

if TYPE_CHECKING:
    import pandas as pd

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
