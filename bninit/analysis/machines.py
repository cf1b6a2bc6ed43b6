"""What runs were trained on, from their ``environment.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bninit.errors import StoreError

if TYPE_CHECKING:
    from bninit.store import Run


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
