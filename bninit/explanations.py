"""Explanations: what a config's networks do before training, predicted beside measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bninit.analysis.explanation import Explanation
from bninit.api import describe, resolve
from bninit.config import Config, Override, arm_id
from bninit.errors import UserError
from bninit.store.findings import joined_name, keep_findings

EXPLANATIONS = "explain"
"""Folder in the runs folder for explanations."""

PICTURE = "explain.png"
TABLE = "explain.json"


def explain(
    configs: Config
    | Mapping[str, object]
    | str
    | os.PathLike[str]
    | Sequence[Config | Mapping[str, object] | str | os.PathLike[str]],
    *,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Explanation]:
    """Tell what networks do before any training: signals, gradients, units, layer by layer.

    Nothing is trained and nothing is written.

    Args:
        configs: One config or several: configs, dicts with the keys of a config file, or files.
        overrides: ``key=value``, as after ``--set``, for each of them.
        seeds: Of the networks that are drawn of each config; its first one by default.
        data_dir: Folder searched first for data sets.

    Returns:
        One explanation for each config, in their order.

    Raises:
        ConfigError: All faults of a config at once.
        DataError: The data set is missing or damaged.
        UserError: No config, or one that is given twice.
    """
    from bninit.analysis.explaining import explain_start
    from bninit.engines.start_signals import read_start

    several = (
        [configs] if isinstance(configs, Config | Mapping | str | os.PathLike) else list(configs)
    )
    asked = [resolve(config, overrides=overrides) for config in several]
    labels = _labels(asked)
    folder = None if data_dir is None else Path(data_dir)
    return [
        explain_start(
            config,
            read_start(config, seeds=seeds or config.train.seeds[:1], data_dir=folder),
            label=label,
            description=describe(config),
        )
        for config, label in zip(asked, labels, strict=True)
    ]


def keep_explanations(
    found: Sequence[Explanation],
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
) -> Path:
    """Write the picture of some explanations, with the figures beside it.

    Args:
        found: What to keep; what was there under the name is replaced.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the configs' by default.

    Returns:
        The folder ``<runs_dir>/explain/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.views.explanation_json import json_text
    from bninit.views.explanation_picture import explanations_png

    return keep_findings(
        {PICTURE: explanations_png(found), TABLE: json_text(found)},
        runs_dir=runs_dir,
        kind=EXPLANATIONS,
        name=default_name(found) if name is None else name,
    )


def default_name(found: Sequence[Explanation]) -> str:
    """A name made of the configs', the same for the same configs."""
    return joined_name([one.label for one in found], ids=[arm_id(one.config) for one in found])


def _labels(configs: Sequence[Config]) -> list[str]:
    """The configs' names, with their ids where names come twice.

    Raises:
        UserError: There is none, or two are the same arm under the same name.
    """
    if not configs:
        raise UserError("no config is named", hint="name one or more config files")
    names = [config.name for config in configs]
    labels = [
        name if names.count(name) == 1 else f"{name}-{arm_id(config)}"
        for name, config in zip(names, configs, strict=True)
    ]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{label} is given twice", hint="name each config once")
    return labels
