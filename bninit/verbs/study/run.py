"""Studies: train what a study asks, decide its claims, and keep both."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bninit.data.load import load
from bninit.engines.driver import Failure, Outcome, train_jobs
from bninit.engines.interface import LOCAL, EngineChoice, Job, NoProgress, Progress, open_engine
from bninit.engines.plan import largest_stack, plan_stacks, replica_plan, resolve_device, stack_plan
from bninit.store import Run, files, find_runs
from bninit.training.loop import seconds_per_step
from bninit.verbs.study.contrast import Verdict
from bninit.verbs.study.decide import decide
from bninit.verbs.study.expand import StudyArm, expand
from bninit.verbs.study.load import load_study, study_to_yaml
from bninit.verbs.study.schema import StudyConfig
from bninit.verbs.study.sentence import sentence

STUDIES = "studies"
"""Folder in the runs folder for what studies find."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyResult:
    """What a study found.

    Attributes:
        study: What was asked.
        arms: Its arms, experiment by experiment.
        runs: The finished runs, by arm id and seed.
        claims: One verdict for each claim.
        failures: Stacks that could not be trained.
        folder: Where `study.yaml` and `verdicts.json` are.
        seconds: Wall-clock time of this call.
        num_trained: Networks that this call trained; the others were there.
    """

    study: StudyConfig
    arms: tuple[StudyArm, ...]
    runs: Mapping[tuple[str, int], Run]
    claims: tuple[Verdict, ...]
    failures: tuple[Failure, ...]
    folder: Path
    seconds: float
    num_trained: int

    @property
    def unmet(self) -> list[Verdict]:
        """Required claims that are not supported."""
        return [c for c in self.claims if c.claim.required and c.outcome != "supported"]


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study would train.

    Attributes:
        study: What was asked.
        arms: Its arms.
        stacks: The jobs that are not finished, by stack.
        num_networks: Networks of the whole study, each once.
    """

    study: StudyConfig
    arms: tuple[StudyArm, ...]
    stacks: tuple[tuple[Job, ...], ...]
    num_networks: int


def open_study(
    path: str | os.PathLike[str], *, overrides: Sequence[Any] = ()
) -> tuple[StudyConfig, tuple[StudyArm, ...]]:
    """Loads a study file and lays out its arms."""
    study = load_study(path, overrides=overrides)
    return study, tuple(expand(study))


def plan_study(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[Any] = (),
    runs_dir: str | os.PathLike[str] = "runs",
    device: str = "auto",
) -> StudyPlan:
    """Tells what a study would train, and trains nothing; arguments as `run_study`."""
    study, arms = open_study(path, overrides=overrides)
    jobs, finished = _jobs(study, arms), _finished(Path(runs_dir), arms)
    missing = [job for key, job in jobs.items() if key not in finished]
    on = resolve_device(device)
    stacks = plan_stacks(missing, largest=partial(largest_stack, device=on))
    return StudyPlan(
        study=study,
        arms=arms,
        stacks=tuple(tuple(stack) for stack in stacks),
        num_networks=len(jobs),
    )


def estimate_seconds(
    plan: StudyPlan,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> float:
    """How long a plan's training would take, from a few steps of each kind of stack.

    Evaluation and writing come on top, about a tenth.

    Args:
        plan: From `plan_study`.
        data_dir: Folder searched first for data sets.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DataError: The data set is missing or damaged.
        DeviceError: The device is not there.
    """
    measured: dict[tuple[object, ...], float] = {}
    total = 0.0
    on = resolve_device(device)
    for stack in plan.stacks:
        config = stack[0].config
        kind = (config.model.hidden, config.model.activation, config.model.norm, config.train)
        key = (*kind, config.optim.name, len(stack))
        if key not in measured:
            data = load(
                config.data.name,
                data_dir=data_dir,
                val_size=config.data.val_size,
                scale=config.data.scale,
                device=on,
                dtype=config.train.dtype,
            )
            settings = stack_plan(config, device=on)
            measured[key] = seconds_per_step(settings, [replica_plan(job) for job in stack], data)
        total += measured[key] * config.train.epochs * config.iterations_per_epoch
    return total


def run_study(
    path: str | os.PathLike[str],
    *,
    overrides: Sequence[Any] = (),
    runs_dir: str | os.PathLike[str] = "runs",
    data_dir: str | os.PathLike[str] | None = None,
    device: str = "auto",
    fail_fast: bool = False,
    only_read: bool = False,
    engine: EngineChoice = LOCAL,
    watcher: Progress | None = None,
) -> StudyResult:
    """Trains what is missing of a study, and decides its claims.

    Runs that a study or a training has finished before are used, whatever their name.

    Args:
        path: The study file.
        overrides: ``key=value``, as after ``--set``.
        runs_dir: The folder of all runs.
        data_dir: Folder searched first for data sets.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        fail_fast: Whether to stop at the first stack that fails; else the others go on.
        only_read: Whether to decide from the runs that are there, and train nothing.
        engine: Which engine trains.
        watcher: Told what happens.

    Raises:
        ConfigError: All faults of the file at once.
        DataError: The data set is missing or damaged (with `fail_fast`).
        DeviceError: The device is not there.
        StoreError: A folder cannot be written.
    """
    began = time.monotonic()
    study, arms = open_study(path, overrides=overrides)
    folder = Path(runs_dir)
    watcher = watcher or NoProgress()
    outcome = Outcome()
    jobs, runs = _jobs(study, arms), _finished(folder, arms)
    if not only_read:
        missing = [job for key, job in jobs.items() if key not in runs]
        try:
            with open_engine(
                engine, device=device, data_dir=None if data_dir is None else Path(data_dir)
            ) as opened:
                outcome = train_jobs(
                    missing,
                    engine=opened,
                    runs_dir=folder,
                    progress=watcher,
                    keep_going=not fail_fast,
                )
        finally:
            watcher.close()
        runs = _finished(folder, arms)
    result = StudyResult(
        study=study,
        arms=arms,
        runs={key: runs[key] for key in jobs if key in runs},
        claims=tuple(decide(study.claims, arms, runs)),
        failures=tuple(outcome.failures),
        folder=folder / STUDIES / study.name,
        seconds=time.monotonic() - began,
        num_trained=outcome.num_trained,
    )
    _keep(result)
    return result


def verdict_rows(result: StudyResult) -> list[dict[str, Any]]:
    """The verdicts as plain rows, for tables and files."""
    return [
        {
            "id": found.claim.id,
            "says": found.claim.says,
            "experiment": found.claim.experiment,
            "metric": found.claim.metric,
            "target": found.claim.target,
            "left": found.left.says,
            "right": found.right.says if found.right else found.claim.right,
            "expect": found.claim.expect,
            "required": found.claim.required,
            **{key: getattr(found, key) for key in _DECIDED},
            "sentence": sentence(found),
            "seeds": list(found.seeds),
        }
        for found in result.claims
    ]


_DECIDED = (
    "outcome", "effect", "low", "high", "level", "n", "num_lost", "p_value", "p_adjusted", "method",
)  # fmt: skip


def _keep(result: StudyResult) -> None:
    files.make_folder(result.folder)
    files.write_text(result.folder / "study.yaml", study_to_yaml(result.study))
    rows = files.json_text(verdict_rows(result), ascii_only=True)
    files.write_text(result.folder / "verdicts.json", rows)


def _finished(runs_dir: Path, arms: Sequence[StudyArm]) -> dict[tuple[str, int], Run]:
    """The finished runs of some arms that have the probes of their configs."""
    if not runs_dir.exists():
        return {}
    configs = {arm.id: arm.config for arm in arms}
    return {
        (run.arm, run.seed): run
        for run in find_runs(runs_dir)
        if run.arm in configs and run.answers(configs[run.arm])
    }


def _jobs(study: StudyConfig, arms: Sequence[StudyArm]) -> dict[tuple[str, int], Job]:
    """All networks of a study, each once, by arm id and seed."""
    return {(arm.id, seed): Job(arm.config, seed) for arm in arms for seed in study.seeds}
