"""Where runs come from: what they were trained with, all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bninit.config import StudyArm
from bninit.errors import StoreError
from bninit.store import Run


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What some runs were trained with. Where they differ, every value is there.

    Attributes:
        versions: Of each package, by name.
        commits: Git commits, "with changes" after those with uncommitted ones.
        devices: As torch names them, with the name of the hardware.
        cpus: Names of the processors.
        platforms: Operating systems.
        threads: Threads that torch used.
        checksums: SHA-256 of the data sets, by name.
        first: When the earliest training began, ISO 8601 in UTC; None if unknown.
        last: When the latest one began.
        num_runs: Runs.
        num_diverged: Those that diverged.
        num_unknown: Runs whose environment cannot be read.
        train_seconds: Time of all training steps, each stack counted once.
    """

    versions: Mapping[str, tuple[str, ...]]
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    cpus: tuple[str, ...]
    platforms: tuple[str, ...]
    threads: tuple[str, ...]
    checksums: Mapping[str, tuple[str, ...]]
    first: str | None
    last: str | None
    num_runs: int
    num_diverged: int
    num_unknown: int
    train_seconds: float


def provenance(runs: Mapping[tuple[str, int], Run], *, arms: Sequence[StudyArm]) -> Provenance:
    """Puts together what a study's finished runs were trained with.

    Args:
        runs: By arm id and seed.
        arms: The study's arms.
    """
    known: list[tuple[str, Mapping[str, Any]]] = []
    for (arm, _), run in runs.items():
        try:
            known.append((arm, run.environment))
        except StoreError:
            continue
    found = [environment for _, environment in known]
    data_of = {arm.id: arm.config.data.name for arm in arms}
    names = dict.fromkeys(name for each in found for name in each.get("versions") or {})
    data_sets: dict[str, list[Any]] = {}
    for arm, environment in known:
        data_sets.setdefault(data_of[arm], []).append(environment.get("data_checksum"))
    started = sorted(str(each["started"]) for each in found if each.get("started"))
    summaries = [run.summary for run in runs.values() if run.summary is not None]
    return Provenance(
        versions={
            name: versions
            for name in names
            if (versions := _distinct((each.get("versions") or {}).get(name) for each in found))
        },
        commits=_distinct(_commit(each.get("git")) for each in found),
        devices=_distinct(_device(each) for each in found),
        cpus=_distinct(each.get("cpu") for each in found),
        platforms=_distinct(each.get("platform") for each in found),
        threads=_distinct(each.get("threads") for each in found),
        checksums={name: _distinct(values) for name, values in data_sets.items()},
        first=started[0] if started else None,
        last=started[-1] if started else None,
        num_runs=len(runs),
        num_diverged=sum(summary["status"] == "diverged" for summary in summaries),
        num_unknown=len(runs) - len(known),
        train_seconds=sum(summary["seconds"] or 0.0 for summary in summaries),
    )


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value is not None))


def _commit(git: Any) -> str | None:
    if not isinstance(git, Mapping) or not git.get("commit"):
        return None
    return f"{git['commit']}{' with changes' if git.get('dirty') else ''}"


def _device(environment: Mapping[str, Any]) -> str | None:
    device, name = environment.get("device"), environment.get("device_name")
    return f"{device} ({name})" if device and name else device
