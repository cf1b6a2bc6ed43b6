"""What is whole of a run: decided from the files alone, down to the last bit of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bninit.errors import ConfigError, StoreError
from bninit.store import names
from bninit.store.checkpoints import StoredCheckpoint, read_checkpoint
from bninit.store.files import (
    DamagedFileError,
    check_is_file,
    damaged,
    need_bytes,
    read_checked,
)
from bninit.store.layers import are_enough, decode_layers
from bninit.store.metrics import Row, parse_rows
from bninit.store.steps import decode as decode_steps
from bninit.store.summary import check_owner, read_summary
from bninit.store.tensors import decode as decode_tensors

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.store.steps import Losses

RunStatus: TypeAlias = Literal["absent", "partial", "finished"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is whole of a run.

    Attributes:
        status: ``finished``; ``partial``, to be gone on with or started over; or ``absent``.
        rows: Its epochs: all of a finished run, of a partial one those up to the checkpoint.
        losses: The loss of each step of these epochs, (step,); None when there are no epochs.
        checkpoint: Where a partial run goes on; None to start over.
        summary: Of a finished run.
        probes: What was probed, as the config's section, resolved; None for nothing.
        notes: What is not whole and what follows from it, a line each.
    """

    status: RunStatus
    rows: tuple[Row, ...] = ()
    losses: Losses | None = None
    checkpoint: StoredCheckpoint | None = None
    summary: dict[str, Any] | None = None
    probes: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def is_finished(runs_dir: str | os.PathLike[str], config: Config, seed: int) -> bool:
    """Tell whether nothing is left to do for a run.

    All its files are whole, its targets answered, and the probes taken that the config asks for.

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
    if check_config(folder, config, seed) is not None:
        return False
    found = inspect(folder, arm=arm_id(config), seed=seed)
    return (
        found.summary is not None
        and answers(found.summary, config)
        and are_enough(found.probes, config.probes)
    )


def answers(summary: dict[str, Any], config: Config) -> bool:
    """Tell whether a summary has the config's targets."""
    return [entry["target"] for entry in summary["targets"]] == list(config.targets)


def inspect(folder: Path, *, arm: str, seed: int) -> Found:
    """Find out what is whole of a run.

    Args:
        folder: The run's folder.
        arm: The id of its arm.
        seed: Its seed.

    Raises:
        StoreError: A file cannot be read, or a newer bninit wrote it.
    """
    notes: list[str] = []
    for look in (_finished, _partial):
        try:
            found = look(folder, arm=arm, seed=seed)
        except DamagedFileError as error:
            notes.append(f"{error.where}: {error.what}; this run is trained again")
            continue
        if found is not None:
            if notes and found.checkpoint is not None:
                notes[-1] = notes[-1].replace("trained again", "gone on with")
            return Found(**{**vars(found), "notes": tuple(notes)})
    left = any((folder / name).exists() for name in names.RESULTS)
    return Found(status="partial" if left else "absent", notes=tuple(notes))


def check_config(
    folder: Path, config: Config, seed: int, *, any_version: bool = False
) -> str | None:
    """Make sure that a folder is this run's.

    Args:
        folder: The run's folder.
        config: The arm's config.
        seed: The run's seed.
        any_version: Whether another schema version is as good as a damaged config.

    Returns:
        What is wrong with the folder's config where it can be written anew; None when nothing is.

    Raises:
        StoreError: It is another arm's or seed's, or of another schema version.
    """
    from bninit.config import arm_dict, load_config

    path = folder / names.CONFIG
    if not os.path.lexists(path):
        return None
    if _holds(path, config_text(config, seed)):
        return None
    try:
        check_is_file(path)
    except DamagedFileError as error:
        return f"{error.where}: {error.what}"
    try:
        there = load_config(path)
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


def config_text(config: Config, seed: int) -> str:
    """The content of a run's ``config.yaml``: the config with the one seed."""
    from bninit.config import config_to_yaml

    train = config.train.model_copy(update={"seeds": (seed,)})
    return config_to_yaml(config.model_copy(update={"train": train}))


def _holds(path: Path, text: str) -> bool:
    try:
        return need_bytes(path) == text.encode()
    except StoreError:
        return False


def _finished(folder: Path, *, arm: str, seed: int) -> Found | None:
    path = folder / names.SUMMARY
    summary = read_summary(path)
    if summary is None:
        return None
    check_owner(path, summary, arm=arm, seed=seed)
    rows = read_checked(folder / names.METRICS, summary, parse_rows)
    losses = read_checked(folder / names.STEPS, summary, decode_steps)
    read_checked(folder / names.FINAL, summary, decode_tensors)
    probes = None
    if names.LAYERS in summary["crc32"]:
        probes = read_checked(folder / names.LAYERS, summary, decode_layers).probes
    return Found(status="finished", rows=tuple(rows), losses=losses, summary=summary, probes=probes)


def _partial(folder: Path, *, arm: str, seed: int) -> Found | None:
    path = folder / names.CHECKPOINT
    checkpoint = read_checkpoint(path, arm=arm, seed=seed)
    if checkpoint is None:
        return None
    rows = tuple(parse_rows(need_bytes(folder / names.METRICS), path=folder / names.METRICS))
    losses = decode_steps(need_bytes(folder / names.STEPS), path=folder / names.STEPS)
    # Both are written before the checkpoint, and so may be ahead of it.
    rows, losses = rows[: checkpoint.epoch + 1], losses[: checkpoint.recorded_steps]
    if not checkpoint.fits(rows, losses):
        what = f"{names.METRICS} and {names.STEPS} are not those that it was written with"
        raise damaged(path, what)
    return Found(
        status="partial",
        rows=rows,
        losses=losses,
        checkpoint=checkpoint,
        probes=checkpoint.probes,
    )
