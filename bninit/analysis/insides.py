"""What probes found inside runs, as plain tables side by side: one for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bninit.analysis.frame import arms_of, labels_of
from bninit.analysis.inside_tables import (
    MAPS,
    MODES,
    MOST_LAYERS,
    STATISTICS,
    evenly,
    tables_of,
)
from bninit.errors import UserError
from bninit.store import Run

if TYPE_CHECKING:
    import pandas as pd

MOST_ARMS = 6
"""More of them side by side cannot be read."""


@dataclass(frozen=True, kw_only=True)
class InsideArm:
    """An arm that was looked into.

    Attributes:
        label: As briefly as it can be told from the others.
        id: Its content id.
        placement: Where batch norm stands.
        running: What it goes by in evaluation; None without batch norm.
        seeds: Of the runs that were looked into.
        num_hidden: Its hidden layers.
        num_diverged: Runs that diverged.
    """

    label: str
    id: str
    placement: str
    running: str | None
    seeds: tuple[int, ...]
    num_hidden: int
    num_diverged: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Insides:
    """What was found inside some runs: tidy tables, empty where nothing was read.

    All have the columns arm (its label), step and epoch (finished ones).

    Attributes:
        arms: In the order asked for.
        maps: map (a key of `MAPS`), layer, value: mean over seeds (of scales, the geometric one).
        ridges: layer, x, density; of the lowest seed, at `MOST_RIDGES` moments at most.
        units: layer, unit, and a column for each of `UNIT_PERCENTILES` (``p15``, ...), of what goes
            into the activation; of the lowest seed.
        modes: mode, accuracy, loss; mean over seeds.
        gaps: statistics, mean_gap: root mean square over layers, mean over seeds.
        drifts: layer, gamma_drift, beta_drift; mean over seeds.
    """

    arms: tuple[InsideArm, ...]
    maps: pd.DataFrame
    ridges: pd.DataFrame
    units: pd.DataFrame
    modes: pd.DataFrame
    gaps: pd.DataFrame
    drifts: pd.DataFrame


def look_inside(runs: Sequence[Run]) -> Insides:
    """Put what probes found in some runs side by side.

    Args:
        runs: Finished runs.

    Raises:
        StoreError: A file is damaged.
        UserError: A run is not finished, or no probes were taken in it; or these are of too many
            arms.
    """
    import pandas as pd

    for run in runs:
        check_probed(run)
    arms = arms_of(runs)
    if len(arms) > MOST_ARMS:
        raise UserError(
            f"these are {len(arms)} arms, and no more than {MOST_ARMS} can be seen side by side",
            hint="name fewer",
        )
    deepest = max(len(arm.config.model.hidden) for arm in arms)
    layers = [1 + i for i in evenly(deepest, MOST_LAYERS)]
    tables: dict[str, list[pd.DataFrame]] = {}
    for arm, label in zip(arms, labels_of(arms), strict=True):
        stored = [run.stored_layers() for run in arm.runs]
        for name, table in tables_of(arm, stored, layers=layers).items():
            tables.setdefault(name, []).append(table.assign(arm=label))
    return Insides(
        arms=tuple(
            InsideArm(
                label=label,
                id=arm.id,
                placement=arm.config.model.norm.placement,
                running=arm.config.model.norm.running if arm.config.model.has_norm else None,
                seeds=arm.seeds,
                num_hidden=len(arm.config.model.hidden),
                num_diverged=sum(run.status == "diverged" for run in arm.runs),
            )
            for arm, label in zip(arms, labels_of(arms), strict=True)
        ),
        **{
            name: pd.concat([each for each in parts if len(each)] or parts[:1], ignore_index=True)
            for name, parts in tables.items()
        },
    )


def check_probed(run: Run) -> None:
    """Make sure that probes were taken in a run.

    Raises:
        UserError: They were not, or it is not finished.
    """
    if run.has_layers:
        return
    where = str(run.folder)
    again = f"bninit train --config {run.folder / 'config.yaml'} --set probes=true"
    again += f" --runs-dir {run.folder.parent.parent}"
    if run.summary is None:
        raise UserError(f"this run is not finished ({run.status})", where=where, hint=again)
    raise UserError(
        "no probes were taken in this run",
        where=where,
        hint=f"they are with  {again}  which trains it again, to the same bits",
    )


def summary_rows(found: Insides) -> list[dict[str, Any]]:
    """Each arm and layer before the training and at its end: a row with each of `MAPS`.

    Returns:
        Dicts with arm, layer, and for each map ``<map>_start`` and ``<map>_end``; NaN where it
        was not read.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for name in MAPS:
        table = found.maps[found.maps["map"] == name].sort_values("step")
        keys = zip(table["arm"].tolist(), table["layer"].tolist(), strict=True)
        for arm, layer in dict.fromkeys(keys):
            part = table[(table["arm"] == arm) & (table["layer"] == layer)]
            row = rows.setdefault((arm, layer), {})
            values = part["value"].to_numpy()
            row[f"{name}_start"], row[f"{name}_end"] = float(values[0]), float(values[-1])
    order = {arm.label: i for i, arm in enumerate(found.arms)}
    empty = {f"{name}_{end}": np.nan for name in MAPS for end in ("start", "end")}
    return [
        {"arm": key[0], "layer": key[1], **empty, **rows[key]}
        for key in sorted(rows, key=lambda key: (order[key[0]], key[1]))
    ]


def mode_rows(found: Insides) -> list[dict[str, Any]]:
    """Each arm with batch norm at the end of its training.

    Returns:
        Dicts with arm, running, ``accuracy_<mode>`` for each of `MODES`, and ``gap_<statistics>``
        for each of `STATISTICS`.
    """
    rows = []
    for arm in found.arms:
        modes = found.modes[found.modes["arm"] == arm.label]
        gaps = found.gaps[found.gaps["arm"] == arm.label]
        if not len(modes):
            continue
        last = modes[modes["step"] == modes["step"].max()].set_index("mode")["accuracy"]
        final = gaps[gaps["step"] == gaps["step"].max()].set_index("statistics")["mean_gap"]
        rows.append(
            {
                "arm": arm.label,
                "running": arm.running,
                **{f"accuracy_{mode}": float(last[mode]) for mode in MODES},
                **{f"gap_{kind}": float(final[kind]) for kind in STATISTICS},
            }
        )
    return rows
