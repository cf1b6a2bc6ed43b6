"""``bninit explain``: what networks do before training, by theory and measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bninit.arms import Named, arm_labels, resolve_config
from bninit.config import Config, Override, arm_id, leaf_values
from bninit.errors import UserError
from bninit.store.files import json_text
from bninit.store.output import joined_name, keep_findings
from bninit.verbs.explain.measure import Explanation, explain_start
from bninit.verbs.explain.words import theory, verdict


def explain(
    configs: Named | Sequence[Named],
    *,
    overrides: Sequence[str | Override] = (),
    seeds: Sequence[int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> list[Explanation]:
    """Explain networks before training: signals, gradients and units, layer by layer.

    Nothing is trained and nothing is written.

    Args:
        configs: One config or several: configs, dicts with the keys of a config file, or files.
        overrides: ``key=value``, as after ``--set``, for each of them.
        seeds: One network is drawn for each; the config's first seed by default.
        data_dir: Folder searched first for data sets.

    Returns:
        One explanation per config, in order.

    Raises:
        ConfigError: All faults of a config at once.
        DataError: The data set is missing or damaged.
        UserError: No config, or the same one twice.
    """
    several = (
        [configs] if isinstance(configs, Config | Mapping | str | os.PathLike) else list(configs)
    )
    resolved = [resolve_config(config, overrides=overrides) for config in several]
    folder = None if data_dir is None else Path(data_dir)
    return [
        explain_start(config, seeds=seeds or config.train.seeds[:1], name=name, data_dir=folder)
        for config, name in zip(resolved, _names(resolved), strict=True)
    ]


def _names(configs: Sequence[Config]) -> list[str]:
    """The configs' names, with their ids where several have the same."""
    if not configs:
        raise UserError("no config is named", hint="name one or more config files")
    arms = [(config.name, arm_id(config)) for config in configs]
    labels = arm_labels(arms)
    for arm in arms:
        if arms.count(arm) > 1:
            raise UserError(f"{labels[arm]} is given twice", hint="name each config once")
    return [labels[arm] for arm in arms]


def explanations_json(found: Sequence[Explanation]) -> str:
    """The content of ``explain.json``."""
    return json_text(
        [
            {
                **vars(one),
                "config": leaf_values(one.config),
                "verdict": verdict(one),
                "theory": theory(one),
            }
            for one in found
        ]
    )


def keep_explanations(
    found: Sequence[Explanation],
    *,
    runs_dir: str | os.PathLike[str] = "runs",
    name: str | None = None,
) -> Path:
    """Write ``explain.png`` and ``explain.json``, replacing what is there.

    Args:
        found: At least one.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the configs' by default.

    Returns:
        The folder ``<runs_dir>/explain/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.show.charts import png
    from bninit.verbs.explain.pictures import explanations_chart

    if name is None:
        name = joined_name([one.name for one in found], ids=[arm_id(one.config) for one in found])
    return keep_findings(
        {"explain.png": png(explanations_chart(found)), "explain.json": explanations_json(found)},
        runs_dir=runs_dir,
        kind="explain",
        name=name,
    )
