"""``summary.json``: the results of a run; written last, so that where it is, everything is.

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
from bninit.store.epochs import Row
from bninit.store.files import crc, damaged, plain, read_json
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    from torch import Tensor

    from bninit.config import Config
    from bninit.training.records import FinalRecord

SUMMARY_VERSION = 1
"""Raised when the meaning of a key changes."""

DONE = "done"
DIVERGED = "diverged"

_CHECKED = "crc32"
_FIGURE = int | float | None
_FINAL = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
_KEYS: dict[str, Any] = {
    **dict.fromkeys(("name", "arm", "status"), str),
    **dict.fromkeys(("seed", "epochs", "steps", "num_parameters", "num_tracked"), int),
    **dict.fromkeys(("distinct_units", "targets"), list),
    **dict.fromkeys(("diverged_epoch", "diverged_step"), int | None),
    **dict.fromkeys(("final", "best", _CHECKED), dict),
    **dict.fromkeys(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), _FIGURE),
    **dict.fromkeys(("generalization_gap", "seconds", "seconds_per_epoch"), _FIGURE),
    "stack_size": int,
}
_TARGET_KEYS: dict[str, Any] = {
    "target": int | float,
    **dict.fromkeys(("reached", "censored"), bool),
    **dict.fromkeys(("epochs", "steps", "censored_at_epochs"), int | None),
    "seconds": _FIGURE,
}


def summarise(
    rows: Sequence[Row],
    final: FinalRecord | None,
    diverged_step: int | None,
    *,
    config: Config,
    seed: int,
    state: Mapping[str, Tensor],
    stack_size: int,
) -> dict[str, Any]:
    """Put together the results of a run."""
    from bninit.config import arm_id
    from bninit.nets.signals import distinct_units

    last = rows[-1]
    accurate = [row for row in rows if not math.isnan(row.val_accuracy)]
    best = max(accurate, key=lambda row: row.val_accuracy, default=None)
    finite_losses = [row.val_loss for row in rows if math.isfinite(row.val_loss)]
    num_parameters, num_tracked = count_numbers(state)
    summary = {
        "schema_version": SUMMARY_VERSION,
        "name": config.name,
        "arm": arm_id(config),
        "seed": seed,
        "status": DONE if diverged_step is None else DIVERGED,
        "epochs": last.epoch,
        "steps": last.step,
        "num_parameters": num_parameters,
        "num_tracked": num_tracked,
        "distinct_units": distinct_units(state),
        "diverged_epoch": None if diverged_step is None else last.epoch,
        "diverged_step": diverged_step,
        "final": {key: getattr(last, key) for key in _FINAL},
        "best": {
            "epoch": None if best is None else best.epoch,
            "val_loss": min(finite_losses, default=None),
            "val_accuracy": None if best is None else best.val_accuracy,
        },
        "train_loss": None if final is None else final.train.loss,
        "train_accuracy": None if final is None else final.train.accuracy,
        "test_loss": None if final is None else final.test.loss,
        "test_accuracy": None if final is None else final.test.accuracy,
        "generalization_gap": None if final is None else final.train.accuracy - final.test.accuracy,
        "seconds": last.seconds,
        "seconds_per_epoch": last.seconds / last.epoch if last.epoch else None,
        "stack_size": stack_size,
        # A diverged run would not reach them in the epochs that it was spared, either.
        "targets": targets_of(rows, config.targets, watched_epochs=config.train.epochs),
    }
    finite: dict[str, Any] = plain(summary)
    return finite


def targets_of(
    rows: Sequence[Row], targets: Iterable[float], *, watched_epochs: int | None = None
) -> list[dict[str, Any]]:
    """When each target was first reached; one that was not is censored, not left out."""
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
    """Count what is trained (weights, biases, gammas, betas) and tracked (running statistics)."""
    num_trained = num_tracked = 0
    for name, tensor in state.items():
        kind = name.rpartition(".")[2]
        if kind in ("running_mean", "running_var"):
            num_tracked += tensor.numel()
        elif kind != "num_batches_tracked":
            num_trained += tensor.numel()
    return num_trained, num_tracked


def with_check_sums(summary: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """A summary with the CRC-32 of the run's other files, by name, and of itself."""
    bare = {key: value for key, value in summary.items() if key != _CHECKED}
    own = _crc_of({**bare, _CHECKED: dict(files)})
    return {**bare, _CHECKED: {**files, names.SUMMARY: own}}


def read_summary(path: Path, *, arm: str, seed: int) -> dict[str, Any] | None:
    """Read the summary of an arm's run; None when there is none, and the run is not finished."""
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
    if not fault and (summary["arm"], summary["seed"]) != (arm, seed):
        fault = f"of another run: arm {summary['arm']}, seed {summary['seed']}"
    if fault:
        raise damaged(path, fault)
    return summary


def _fault_of(summary: dict[str, Any]) -> str | None:
    if summary.get("schema_version") != SUMMARY_VERSION:
        return f"not a summary of version {SUMMARY_VERSION}"
    fault = _misfit(summary, _KEYS)
    if fault:
        return fault
    if summary["status"] not in (DONE, DIVERGED):
        return f"unknown status: {summary['status']!r}"
    files: dict[str, Any] = summary[_CHECKED]
    if not all(isinstance(value, str) for value in files.values()):
        return f"{_CHECKED} holds something other than check sums"
    for entry in summary["targets"]:
        fault = _misfit(entry, _TARGET_KEYS) if isinstance(entry, dict) else "not an entry"
        if fault:
            return f"targets: {fault}"
    others = {name: value for name, value in files.items() if name != names.SUMMARY}
    if files.get(names.SUMMARY) != _crc_of({**summary, _CHECKED: others}):
        return "the check sum does not match: the content was changed"
    return None


def _misfit(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> str | None:
    for key, kind in kinds.items():
        if key not in values:
            return f"{key} is missing"
        value = values[key]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            return f"invalid {key}: {str(value)[:40]!r}"
    return None


def _crc_of(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return crc(text.encode())
