"""Every name in the runs folder: ``<runs>/<name>-<arm id>/seed-<n>/`` and the files in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bninit.errors import StoreError

if TYPE_CHECKING:
    from bninit.config import Config

CONFIG = "config.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.csv"
STEPS = "steps.npy"
CHECKPOINT = "checkpoint.safetensors"
FINAL = "final.safetensors"
LAYERS = "layers.safetensors"
SUMMARY = "summary.json"
LOCK = ".lock"
CURVES = "curves.png"
EVENTS_PREFIX = "events.out.tfevents."
"""What TensorBoard's event files begin with."""

RESULTS = (CHECKPOINT, SUMMARY, FINAL, LAYERS, METRICS, STEPS)
"""What training writes, in the order in which it is removed.

The checkpoint goes first: without it, what is left is taken for finished or for nothing, never
for a training that goes on.
"""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Files that are being written, or were when their process ended."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ARM_FOLDER = re.compile(rf"({_NAME})-([0-9a-f]{{8}})")
_RUN_FOLDER = re.compile(r"seed-(0|[1-9][0-9]{0,9})")


class ArmName(NamedTuple):
    """What an arm's folder is named after.

    Attributes:
        name: The config's name.
        arm: The arm id, 8 hexadecimal digits.
    """

    name: str
    arm: str


def arm_folder(runs_dir: str | os.PathLike[str], config: Config) -> Path:
    """The folder of an arm: ``<name>-<arm id>``.

    Args:
        runs_dir: The folder of all runs.
        config: The arm's config.

    Raises:
        StoreError: The config's name would lead elsewhere.
    """
    from bninit.config import arm_id

    if not re.fullmatch(_NAME, config.name):
        # A Config refuses such a name; one that was built without validation does not.
        raise StoreError(f"{config.name!r} cannot name a folder")
    return Path(runs_dir) / f"{config.name}-{arm_id(config)}"


def run_folder(runs_dir: str | os.PathLike[str], config: Config, seed: int) -> Path:
    """The folder of a run: ``<name>-<arm id>/seed-<n>``.

    Args:
        runs_dir: The folder of all runs.
        config: The arm's config; its own seeds are not looked at.
        seed: The seed, not negative.

    Raises:
        StoreError: The config's name would lead elsewhere.
    """
    return arm_folder(runs_dir, config) / f"seed-{int(seed)}"


def parse_arm_folder(folder_name: str) -> ArmName | None:
    """The name and the id in the name of an arm's folder; None when it is not one."""
    match = _ARM_FOLDER.fullmatch(folder_name)
    return ArmName(match[1], match[2]) if match else None


def parse_run_folder(folder_name: str) -> int | None:
    """The seed in the name of a run's folder; None when it is not one."""
    match = _RUN_FOLDER.fullmatch(folder_name)
    return int(match[1]) if match else None
