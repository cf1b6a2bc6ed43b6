"""``summary.json``: what came out of a run; written last, so that where it is, all is.

A figure that is not finite is null, as JSON has neither NaN nor infinity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bninit.errors import StoreError
from bninit.store import names
from bninit.store.files import crc, damaged, read_json
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    from torch import Tensor

    from bninit.config import Config
    from bninit.training.records import EpochMetrics, FinalRecord

SUMMARY_VERSION = 1
"""Raised when the meaning of a key changes."""

DONE = "done"
DIVERGED = "diverged"

_CHECKED = "crc32"
_WHOLE = int
_PERHAPS_WHOLE = int | None
_FIGURE = int | float | None
_KEYS: dict[str, Any] = {
    "name": str,
    "arm": str,
    "seed": _WHOLE,
    "status": str,
    "epochs": _WHOLE,
    "steps": _WHOLE,
    "num_parameters": _WHOLE,
    "num_tracked": _WHOLE,
    "distinct_units": list,
    "diverged_epoch": _PERHAPS_WHOLE,
    "diverged_step": _PERHAPS_WHOLE,
    "final": dict,
    "best": dict,
    "train_loss": _FIGURE,
    "train_accuracy": _FIGURE,
    "test_loss": _FIGURE,
    "test_accuracy": _FIGURE,
    "generalization_gap": _FIGURE,
    "seconds": _FIGURE,
    "seconds_per_epoch": _FIGURE,
    "stack_size": _WHOLE,
    "targets": list,
    _CHECKED: dict,
}
_TARGET_KEYS: dict[str, Any] = {
    "target": int | float,
    "reached": bool,
    "epochs": _PERHAPS_WHOLE,
    "steps": _PERHAPS_WHOLE,
    "seconds": _FIGURE,
    "censored": bool,
    "censored_at_epochs": _PERHAPS_WHOLE,
}


def summarise(
    rows: Sequence[EpochMetrics],
    final: FinalRecord | None,
    diverged_step: int | None,
    *,
    config: Config,
    seed: int,
    num_parameters: int,
    num_tracked: int,
    stack_size: int,
    distinct_units: Sequence[int] = (),
) -> dict[str, Any]:
    """Put together what came out of a run.

    Args:
        rows: Its epochs from 0, at least that one.
        final: Its figures on the whole training set and on the test set; None if it diverged.
        diverged_step: The first step whose loss was not finite; None if all went well.
        config: The run's config.
        seed: Its seed.
        num_parameters: Numbers that are trained.
        num_tracked: Running statistics.
        stack_size: Networks that were trained together with it, itself included.
        distinct_units: Of each hidden layer at the end; see `bninit.nets.signals`.

    Returns:
        The content of ``summary.json`` but for the check sums.
    """
    from bninit.config import arm_id

    last = rows[-1]
    best = max(
        (row for row in rows if not math.isnan(row.val_accuracy)),
        key=lambda row: row.val_accuracy,
        default=None,
    )
    finite_losses = [row.val_loss for row in rows if math.isfinite(row.val_loss)]
    gap = None if final is None else final.train.accuracy - final.test.accuracy
    return {
        "schema_version": SUMMARY_VERSION,
        "name": config.name,
        "arm": arm_id(config),
        "seed": seed,
        "status": DONE if diverged_step is None else DIVERGED,
        "epochs": last.epoch,
        "steps": last.step,
        "num_parameters": num_parameters,
        "num_tracked": num_tracked,
        "distinct_units": list(distinct_units),
        "diverged_epoch": None if diverged_step is None else last.epoch,
        "diverged_step": diverged_step,
        "final": {
            "train_loss": _finite(last.train_loss),
            "train_accuracy": _finite(last.train_accuracy),
            "val_loss": _finite(last.val_loss),
            "val_accuracy": _finite(last.val_accuracy),
        },
        "best": {
            "epoch": None if best is None else best.epoch,
            "val_loss": min(finite_losses, default=None),
            "val_accuracy": None if best is None else best.val_accuracy,
        },
        "train_loss": None if final is None else _finite(final.train.loss),
        "train_accuracy": None if final is None else _finite(final.train.accuracy),
        "test_loss": None if final is None else _finite(final.test.loss),
        "test_accuracy": None if final is None else _finite(final.test.accuracy),
        "generalization_gap": _finite(gap),
        "seconds": last.seconds,
        "seconds_per_epoch": last.seconds / last.epoch if last.epoch else None,
        "stack_size": stack_size,
        # A diverged run would not reach them in what was left of its epochs, either.
        "targets": targets_of(rows, config.targets, watched_epochs=config.train.epochs),
    }


def targets_of(
    rows: Sequence[EpochMetrics],
    targets: Iterable[float],
    *,
    watched_epochs: int | None = None,
) -> list[dict[str, Any]]:
    """When each target was reached; what was not is censored, not left out.

    Args:
        rows: A run's epochs from 0.
        targets: Validation accuracies in (0, 1].
        watched_epochs: For how many epochs those that were not reached were watched: all that
            were planned, for a finished run. None for as many as there are rows of.

    Returns:
        One entry for each target, as in ``summary.json``.
    """
    accuracies = [row.val_accuracy for row in rows]
    if watched_epochs is None:
        watched_epochs = max(len(rows) - 1, 0)
    found = []
    for target in targets:
        index = first_reached(accuracies, target)
        at = None if index is None else rows[index]
        found.append(
            {
                "target": target,
                "reached": at is not None,
                "epochs": None if at is None else at.epoch,
                "steps": None if at is None else at.step,
                "seconds": None if at is None else at.seconds,
                "censored": at is None,
                "censored_at_epochs": watched_epochs if at is None else None,
            }
        )
    return found


def count_numbers(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """The numbers in a network that are trained, and those that are tracked.

    Args:
        state: By name, as ``nn.Sequential`` names them.

    Returns:
        Weights, biases, gammas and betas; running means and variances.
    """
    num_trained = num_tracked = 0
    for name, tensor in state.items():
        kind = name.rpartition(".")[2]
        if kind in ("running_mean", "running_var"):
            num_tracked += tensor.numel()
        elif kind != "num_batches_tracked":
            num_trained += tensor.numel()
    return num_trained, num_tracked


def with_check_sums(summary: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """A summary with the CRC-32 of the run's other files, and of itself.

    Args:
        summary: With or without check sums, which are replaced.
        files: CRC-32 by file name.
    """
    plain = {key: value for key, value in summary.items() if key != _CHECKED}
    checked = {**plain, _CHECKED: dict(files)}
    return {**plain, _CHECKED: {**files, names.SUMMARY: _crc_of(checked)}}


def read_summary(path: Path) -> dict[str, Any] | None:
    """Read a summary.

    Returns:
        Its content; None when there is none, and the run is not finished.

    Raises:
        DamagedFileError: It is not what was written.
        StoreError: A newer bninit wrote it, or it cannot be read.
    """
    summary = read_json(path)
    if summary is None:
        return None
    version = summary.get("schema_version")
    if isinstance(version, int) and version > SUMMARY_VERSION:
        raise StoreError(
            f"a newer bninit wrote this (version {version}; this one reads {SUMMARY_VERSION})",
            where=str(path),
            hint="install that bninit, choose another --runs-dir, or start over with --fresh",
        )
    fault = _fault_of(summary)
    if fault:
        raise damaged(path, fault)
    return summary


def check_owner(path: Path, summary: dict[str, Any], *, arm: str, seed: int) -> None:
    """Make sure that a summary is of the run in whose folder it lies.

    Raises:
        DamagedFileError: It is another's.
    """
    if (summary["arm"], summary["seed"]) != (arm, seed):
        what = f"it is of arm {summary['arm']}, seed {summary['seed']}: another run's"
        raise damaged(path, what)


def _fault_of(summary: dict[str, Any]) -> str | None:
    if summary.get("schema_version") != SUMMARY_VERSION:
        return f"this is not a summary of version {SUMMARY_VERSION}"
    fault = _misfit(summary, _KEYS)
    if fault:
        return fault
    if summary["status"] not in (DONE, DIVERGED):
        return f"the status {summary['status']!r} is none"
    files: dict[str, Any] = summary[_CHECKED]
    if not all(isinstance(value, str) for value in files.values()):
        return f"{_CHECKED} holds something other than check sums"
    for entry in summary["targets"]:
        fault = _misfit(entry, _TARGET_KEYS) if isinstance(entry, dict) else "no entry"
        if fault:
            return f"targets: {fault}"
    others = {name: value for name, value in files.items() if name != names.SUMMARY}
    if files.get(names.SUMMARY) != _crc_of({**summary, _CHECKED: others}):
        return "the check sum does not fit: some of it was changed"
    return None


def _misfit(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> str | None:
    for key, kind in kinds.items():
        if key not in values:
            return f"{key} is missing"
        value = values[key]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            return f"{key} is {str(value)[:40]!r}"
    return None


def _crc_of(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return crc(text.encode())


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
