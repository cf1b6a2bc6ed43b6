"""What a run is trained with: versions, git state, machine, device, and the command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("bninit", "torch", "numpy", "safetensors", "torchvision", "mlxtend")
_GIT_SECONDS = 5.0


def environment(
    *, device: str, data_checksum: str | None = None, stack_size: int = 1
) -> dict[str, Any]:
    """Describe what a stack is about to be trained with, in this process.

    Args:
        device: Where it trains, as torch names it.
        data_checksum: SHA-256 of the data set's content.
        stack_size: Networks that train together.

    Returns:
        Plain values for ``environment.json``; None for what is unknown.
    """
    return {
        **request(),
        **machine(device),
        "stack_size": stack_size,
        "data_checksum": data_checksum,
    }


def request() -> dict[str, Any]:
    """The part of `environment` about the command: when it started, its arguments, git state."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.argv),
        "git": git_state(Path()),
    }


def machine(device: str) -> dict[str, Any]:
    """The part of `environment` about the machine and the process that train on a device."""
    import torch

    return {
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "threads": torch.get_num_threads(),
        "device": device,
        "device_name": _device_name(device),
        "cuda": torch.version.cuda if device.startswith("cuda") else None,
    }


def with_resumption(
    former: Mapping[str, Any] | None, now: Mapping[str, Any], *, epoch: int, steps: int = 0
) -> dict[str, Any]:
    """What ``environment.json`` holds when training resumes."""
    if former is None:
        return dict(now)
    different = {key: value for key, value in now.items() if former.get(key) != value}
    resumed = former.get("resumed")
    times = resumed if isinstance(resumed, list) else []
    place = {"epoch": epoch, "steps": steps} if steps else {"epoch": epoch}
    return {**former, "resumed": [*times, {**place, **different}]}


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out in a folder, and whether tracked files differ from it."""
    try:
        done = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            cwd=folder,
            # Without it, git status may hold the lock on the index when the user commits.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    head, *others = done.stdout.splitlines()
    commit = head.removeprefix("# branch.oid ")
    if commit == "(initial)":
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in others)}


def _version(package: str) -> str | None:
    loaded = getattr(sys.modules.get(package), "__version__", None)
    if loaded is not None:
        return str(loaded)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str | None:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or None


def _device_name(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return str(torch.cuda.get_device_name(torch.device(device)))
