"""Names in the runs folder: ``<runs>/<name>-<arm id>/seed-<n>/`` and the files in it."""

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
"""Prefix of TensorBoard's event files."""

RESULTS = (CHECKPOINT, SUMMARY, FINAL, LAYERS, METRICS, STEPS)
"""What training writes, in the order in which it is removed.

The checkpoint goes first: without it, the rest is taken for finished or for nothing, never for a
run that can be resumed.
"""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
"""Files that are being written, or were when their process ended."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What configs and output folders may be named."""

_ARM_FOLDER = re.compile(rf"({NAME.pattern})-([0-9a-f]{{8}})")
_RUN_FOLDER = re.compile(r"seed-(0|[1-9][0-9]{0,9})")


class ArmName(NamedTuple):
    """The two parts of the name of an arm's folder: the config's name, and the arm id."""

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

    if not NAME.fullmatch(config.name):
        # A Config refuses such a name; one that was built without validation does not.
        raise StoreError(f"{config.name!r} cannot name a folder")
    return Path(runs_dir) / f"{config.name}-{arm_id(config)}"


def run_folder(runs_dir: str | os.PathLike[str], config: Config, seed: int) -> Path:
    """The folder of a run: ``<name>-<arm id>/seed-<n>``; see `arm_folder`.

    Args:
        runs_dir: The folder of all runs.
        config: The arm's config; its own seeds are ignored.
        seed: The seed, not negative.
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
