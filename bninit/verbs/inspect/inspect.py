"""From a few percentiles of a distribution to its density, for pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bninit.arms import Arm, Named, arms_of, labels_of, resolve_runs
from bninit.errors import UserError
from bninit.store import Run
from bninit.store.output import joined_name, keep_findings

if TYPE_CHECKING:
    import pandas as pd

    from bninit.store.layers import StoredLayers, Trace

Floats = npt.NDArray[np.float64]

NUM_POINTS = 121

_SMOOTHNESS = 0.3
"""Standard deviation of the kernel, as a share of the distribution's."""


def density(percents: Sequence[int], values: Floats) -> tuple[Floats, Floats]:
    """The density that belongs to some percentiles, smoothed.

    Numbers are laid along a monotone cubic through the percentiles (Fritsch & Carlson 1980, SIAM
    J. Numer. Anal. 17, 238), and each becomes a Gaussian. What lies beyond the outermost
    percentiles is not seen.

    Args:
        percents: Rising, within (0, 100).
        values: The percentiles, rising.

    Returns:
        Points x, and the density there, its largest value 1. Where all percentiles are equal, the
        one point where everything is, three times, with the heights 0, 1 and 0; nothing where
        they are not finite.
    """
    from scipy.interpolate import PchipInterpolator

    if not np.isfinite(values).all():
        return np.empty(0), np.empty(0)
    at = np.asarray(values, dtype=np.float64)
    if at[-1] <= at[0]:
        return np.repeat(at[:1], 3), np.array([0.0, 1.0, 0.0])
    shares = np.linspace(percents[0], percents[-1], 2 * NUM_POINTS)
    numbers = PchipInterpolator(percents, at)(shares)
    width = _SMOOTHNESS * float(numbers.std())
    x = np.linspace(at[0] - 3 * width, at[-1] + 3 * width, NUM_POINTS)
    height = np.exp(-0.5 * ((x[:, None] - numbers) / width) ** 2).sum(axis=1)
    return x, height / height.max()


MOST_RIDGES = 7
MOST_LAYERS = 5
"""Moments and hidden layers whose distributions are drawn, spread evenly."""

PERCENTILES = (1, 5, 15, 30, 50, 70, 85, 95, 99)
UNIT_PERCENTILES = (15, 50, 85)
MODES = ("train_mode", "ema", "cumulative", "population")
STATISTICS = ("ema", "cumulative", "batch")


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a map shows, for each hidden layer and moment.

    Attributes:
        place: Where it is read; ``output`` for what a hidden layer hands on, ``input`` for what
            goes into its activation.
        quantity: Its name.
        is_scale: Whether seeds are averaged in logarithms, and colours are logarithmic.
        with_output: Whether the output layer has it, too.
    """

    place: str
    quantity: str
    is_scale: bool = False
    with_output: bool = False


MAPS: dict[str, Quantity] = {
    "signals": Quantity(place="linear", quantity="sd", is_scale=True, with_output=True),
    "gradients": Quantity(place="gradient", quantity="sd", is_scale=True, with_output=True),
    "gradient_to_weight": Quantity(
        place="weight", quantity="gradient_to_weight", is_scale=True, with_output=True
    ),
    "shift": Quantity(place="output", quantity="shift", is_scale=True),
    "dead_units": Quantity(place="activation", quantity="dead_fraction"),
    "saturation": Quantity(place="activation", quantity="saturated_fraction"),
    "distinct_units": Quantity(place="weight", quantity="distinct_units"),
    "effective_rank": Quantity(place="output", quantity="effective_rank"),
}


def tables_of(
    arm: Arm, stored: Sequence[StoredLayers], *, layers: Sequence[int]
) -> dict[str, pd.DataFrame]:
    """The tables of `bninit.verbs.inspect.inspect.Insides`, without the column arm.

    Args:
        arm: The arm.
        stored: What probes found, of each of its runs.
        layers: The hidden layers whose distributions are wanted.
    """
    import pandas as pd

    placement = arm.config.model.norm.placement
    places = {
        "output": "norm" if placement == "post" else "activation",
        "input": "norm" if placement == "pre" else "linear",
    }
    num_hidden = len(arm.config.model.hidden)
    maps = []
    for name, each in MAPS.items():
        place = places.get(each.place, each.place)
        table = _mean(
            [one.trace(place, each.quantity) for one in stored],
            value="value",
            last_layer=num_hidden + each.with_output,
            is_scale=each.is_scale,
        )
        maps.append(table.assign(map=name))
    return {
        "maps": pd.concat(maps, ignore_index=True),
        "ridges": _ridges(
            stored[0], places["input"], [layer for layer in layers if layer <= num_hidden]
        ),
        "units": _units(stored[0], places["input"], num_hidden),
        "modes": _named(
            {
                mode: {
                    key: [one.trace("network", f"{key}_{mode}") for one in stored]
                    for key in ("accuracy", "loss")
                }
                for mode in MODES
            },
            name="mode",
        ).drop(columns="layer"),
        "gaps": _gaps(stored),
        "drifts": _join(
            {
                f"{key}_drift": [one.trace("norm", f"{key}_drift") for one in stored]
                for key in ("gamma", "beta")
            }
        ),
    }


def _frame(trace: Trace, *, value: str) -> pd.DataFrame:
    import pandas as pd

    num_moments, num_layers = trace.values.shape
    return pd.DataFrame(
        {
            "step": np.repeat(trace.steps, num_layers),
            "epoch": np.repeat(trace.epochs, num_layers),
            "layer": np.tile(trace.layers, num_moments),
            value: trace.values.ravel(),
        }
    )


def _mean(
    traces: Sequence[Trace], *, value: str, last_layer: int | None = None, is_scale: bool = False
) -> pd.DataFrame:
    """The mean over seeds of each layer and moment; seeds without a number there do not count."""
    import pandas as pd

    table = pd.concat([_frame(trace, value=value) for trace in traces], ignore_index=True)
    if last_layer is not None:
        table = table[(table["layer"] >= 1) & (table["layer"] <= last_layer)]
    if is_scale:
        with np.errstate(divide="ignore"):
            table = table.assign(**{value: np.log(table[value])})
    grouped = table.groupby(["layer", "step", "epoch"])[value].mean()
    found: pd.DataFrame = grouped.reset_index()
    return found.assign(**{value: np.exp(found[value])}) if is_scale else found


def _join(columns: Mapping[str, Sequence[Trace]]) -> pd.DataFrame:
    """Several quantities as columns of one table."""
    tables = [_mean(traces, value=name) for name, traces in columns.items()]
    joined = tables[0]
    for table in tables[1:]:
        joined = joined.merge(table, on=["layer", "step", "epoch"], how="outer")
    return joined


def _named(parts: Mapping[str, Mapping[str, Sequence[Trace]]], *, name: str) -> pd.DataFrame:
    """Tables of the same columns below each other, told apart by a column."""
    import pandas as pd

    tables = [_join(columns).assign(**{name: key}) for key, columns in parts.items()]
    return pd.concat(tables, ignore_index=True)


def _gaps(stored: Sequence[StoredLayers]) -> pd.DataFrame:
    table = _named(
        {
            kind: {"mean_gap": [one.trace("norm", f"mean_gap_{kind}") for one in stored]}
            for kind in STATISTICS
        },
        name="statistics",
    )
    squared = table.assign(mean_gap=table["mean_gap"] ** 2)
    keys = ["statistics", "step", "epoch"]
    found: pd.DataFrame = squared.groupby(keys, sort=False)["mean_gap"].mean().reset_index()
    return found.assign(mean_gap=np.sqrt(found["mean_gap"]))


def _ridges(stored: StoredLayers, place: str, wanted: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    traces = {percent: stored.trace(place, f"p{percent:02d}") for percent in PERCENTILES}
    first = traces[PERCENTILES[0]]
    values = np.stack([trace.values for trace in traces.values()], axis=-1)
    layers = [i for i, layer in enumerate(first.layers) if layer in wanted]
    parts = []
    for i in evenly(len(first.steps), MOST_RIDGES):
        for j in layers:
            x, height = density(PERCENTILES, values[i, j])
            parts.append(
                pd.DataFrame(
                    {
                        "step": first.steps[i],
                        "epoch": first.epochs[i],
                        "layer": first.layers[j],
                        "x": x,
                        "density": height,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else _empty("layer", "x", "density")


def _units(stored: StoredLayers, place: str, num_hidden: int) -> pd.DataFrame:
    import pandas as pd

    names = [f"p{percent:02d}" for percent in UNIT_PERCENTILES]
    followed = sorted({key[3] for key in stored.keys if key[1] == place and key[3] >= 0})
    parts = []
    for unit in followed:
        traces = {name: stored.trace(place, name, unit=unit) for name in names}
        columns = {name: _frame(trace, value=name)[name] for name, trace in traces.items()}
        table = _frame(traces[names[0]], value=names[0]).assign(**columns, unit=unit)
        parts.append(table[(table["layer"] <= num_hidden)].dropna(subset=names, how="all"))
    return pd.concat(parts, ignore_index=True) if parts else _empty("layer", "unit", *names)


def _empty(*columns: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: [] for name in ("step", "epoch", *columns)}, dtype="float64")


def evenly(number: int, most: int) -> list[int]:
    """As many places of so many, spread evenly, the first and the last among them."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / (most - 1)) for i in range(most)]


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


INSPECTIONS = "inspect"
"""Folder in the runs folder for what was found inside runs."""


def inspect(runs: Sequence[Named | Run], *, runs_dir: str | os.PathLike[str] = "runs") -> Insides:
    """Look inside runs in which probes were taken.

    Args:
        runs: Runs, or what names them; see `bninit.arms.resolve_runs`.
        runs_dir: The folder of all runs.

    Raises:
        StoreError: There is no such run, or its files are damaged.
        UserError: No run is named, one is not finished, or no probes were taken in it; or these
            are of too many arms.
    """
    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit inspect NAME-ID/seed-0")
    there: dict[tuple[str, int], Run] = {}
    for run in resolve_runs(runs, runs_dir=runs_dir):
        there.setdefault((run.arm, run.seed), run)
    return look_inside(list(there.values()))


def keep_inspection(
    found: Insides, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write the pictures, with their figures beside them; replaces what was there.

    Args:
        found: What to keep.
        runs_dir: The folder of all runs.
        name: Of the folder; made of the arms' by default.

    Returns:
        The folder ``<runs_dir>/inspect/<name>``.

    Raises:
        StoreError: It cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.verbs.inspect.pictures import pictures
    from bninit.verbs.inspect.tables import csv_texts, json_text

    return keep_findings(
        {**pictures(found), **csv_texts(found), "inspect.json": json_text(found)},
        runs_dir=runs_dir,
        kind=INSPECTIONS,
        name=default_name(found) if name is None else name,
    )


def default_name(found: Insides) -> str:
    """A name made of the arms', the same for the same runs."""
    return joined_name(
        [
            f"{arm.label}-seed-{arm.seeds[0]}" if len(arm.seeds) == 1 else arm.label
            for arm in found.arms
        ],
        ids=[f"{arm.id}/{seed}" for arm in found.arms for seed in arm.seeds],
    )
