"""Probe readings of finished runs side by side: one tidy table per picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
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

MOST_ARMS = 6
"""More of them side by side cannot be read."""

MOST_RIDGES = 7
MOST_LAYERS = 5
"""Moments and hidden layers whose distributions are drawn, spread evenly."""

PERCENTILES = (1, 5, 15, 30, 50, 70, 85, 95, 99)
UNIT_PERCENTILES = (15, 50, 85)
MODES = ("train_mode", "ema", "cumulative", "population")
STATISTICS = ("ema", "cumulative", "batch")

_MOMENT = ["layer", "step", "epoch"]
_NUM_POINTS = 121
_SMOOTHNESS = 0.3
"""Standard deviation of the kernel of a density, relative to that of the distribution."""


@dataclass(frozen=True, kw_only=True)
class Map:
    """A quantity by layer and step.

    Attributes:
        place: Where probes read it; ``output`` stands for what a hidden layer hands on.
        quantity: Its name in the table of layers.
        title: Of the picture.
        unit: With its unit, beside the colour scale.
        is_scale: Whether seeds are averaged in logarithms, and colours are logarithmic.
        with_output: Whether the output layer has it, too.
        factor: From the value to the unit.
    """

    place: str
    quantity: str
    title: str
    unit: str
    is_scale: bool = False
    with_output: bool = False
    factor: float = 1.0


MAPS: dict[str, Map] = {
    "signals": Map(
        place="linear",
        quantity="sd",
        title="Signal: spread of the output of each linear layer",
        unit="SD of the signal",
        is_scale=True,
        with_output=True,
    ),
    "gradients": Map(
        place="gradient",
        quantity="sd",
        title="Gradient with respect to the output of each linear layer",
        unit="SD of the gradient",
        is_scale=True,
        with_output=True,
    ),
    "gradient_to_weight": Map(
        place="weight",
        quantity="gradient_to_weight",
        title="Gradient of the weights of each layer, relative to the weights",
        unit="gradient / weights (norms)",
        is_scale=True,
        with_output=True,
    ),
    "shift": Map(
        place="output",
        quantity="shift",
        title="Shift: drift of the output of each layer since the previous probe",
        unit="shift of the means (SDs)",
        is_scale=True,
    ),
    "dead_units": Map(
        place="activation",
        quantity="dead_fraction",
        title="Dead units: the same output for every example",
        unit="dead units (%)",
        factor=100.0,
    ),
    "saturation": Map(
        place="activation",
        quantity="saturated_fraction",
        title="Saturation: inputs where the activation is nearly flat",
        unit="saturated (%)",
        factor=100.0,
    ),
    "distinct_units": Map(
        place="weight",
        quantity="distinct_units",
        title="Distinct units (not duplicates)",
        unit="distinct units",
    ),
    "effective_rank": Map(
        place="output",
        quantity="effective_rank",
        title="Effective rank: number of directions that the output of each layer uses",
        unit="effective rank",
    ),
}


@dataclass(frozen=True, kw_only=True)
class InspectedArm:
    """An inspected arm.

    Attributes:
        label: As short as it differs from the others.
        id: Its content id.
        placement: Of batch norm.
        running: Its statistics in evaluation; None without batch norm.
        seeds: Of the inspected runs.
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
class Inspection:
    """Probe readings of some arms.

    Attributes:
        arms: In the order given.
        tables: By picture, those with rows; each with the columns arm (a label), step and epoch
            (finished ones). Means over seeds unless stated otherwise:
            each of `MAPS`: layer, value (of scales the geometric mean);
            ``distributions``: layer, x, density, of the lowest seed at `MOST_RIDGES` moments;
            ``units``: layer, unit, and a column for each of `UNIT_PERCENTILES` (``p15``, ...) of
            the inputs of the activation, of the lowest seed;
            ``modes``: mode, accuracy, loss;
            ``statistics``: statistics, mean_gap, the root mean square over layers;
            ``gamma_beta``: layer, gamma_drift, beta_drift.
    """

    arms: tuple[InspectedArm, ...]
    tables: dict[str, pd.DataFrame]

    def of(self, picture: str, arm: str) -> pd.DataFrame | None:
        """An arm's rows of a table; None where it has none."""
        table = self.tables.get(picture)
        rows = None if table is None else table[table["arm"] == arm]
        return None if rows is None or rows.empty else rows


def inspect(
    runs: Sequence[Named | Run], *, runs_dir: str | os.PathLike[str] = "runs"
) -> Inspection:
    """Inspect the inside of runs that were trained with probes.

    Args:
        runs: Runs, or what names them; see `bninit.arms.resolve_runs`.
        runs_dir: The folder of all runs.

    Raises:
        StoreError: A run does not exist, or its files are damaged.
        UserError: No run is named, one is not finished or has no probes, or they are of more than
            `MOST_ARMS` arms.
    """
    import pandas as pd

    if not runs:
        raise UserError("no run is named", hint="name some, as in bninit inspect NAME-ID/seed-0")
    chosen: dict[tuple[str, int], Run] = {}
    for run in resolve_runs(runs, runs_dir=runs_dir):
        check_probed(run)
        chosen.setdefault((run.arm, run.seed), run)
    arms = arms_of(chosen.values())
    if len(arms) > MOST_ARMS:
        raise UserError(
            f"too many arms: {len(arms)}", hint=f"at most {MOST_ARMS} fit side by side; name fewer"
        )
    layers = [1 + i for i in evenly(max(len(arm.config.model.hidden) for arm in arms), MOST_LAYERS)]
    inspected = []
    parts: dict[str, list[pd.DataFrame]] = {}
    for arm, label in zip(arms, labels_of(arms), strict=True):
        model = arm.config.model
        inspected.append(
            InspectedArm(
                label=label,
                id=arm.id,
                placement=model.norm.placement,
                running=model.norm.running if model.has_norm else None,
                seeds=arm.seeds,
                num_hidden=len(model.hidden),
                num_diverged=sum(run.status == "diverged" for run in arm.runs),
            )
        )
        for picture, table in _tables_of(arm, layers=layers).items():
            if len(table):
                table.insert(0, "arm", label)
                parts.setdefault(picture, []).append(table)
    tables = {picture: pd.concat(each, ignore_index=True) for picture, each in parts.items()}
    return Inspection(arms=tuple(inspected), tables=tables)


def check_probed(run: Run) -> None:
    """Make sure that a run is finished and has probes; else a `UserError`."""
    if run.has_layers:
        return
    again = f"bninit train --config {run.folder / 'config.yaml'} --set probes=true"
    again += f" --runs-dir {run.folder.parent.parent}"
    if run.summary is None:
        what = f"this run is not finished ({run.status})"
        raise UserError(what, where=str(run.folder), hint=again)
    raise UserError(
        "no probes were taken in this run",
        where=str(run.folder),
        hint=f"retrain it with probes, to the same bits:  {again}",
    )


def keep_inspection(
    found: Inspection, *, runs_dir: str | os.PathLike[str] = "runs", name: str | None = None
) -> Path:
    """Write pictures, their tables and ``inspect.json`` into ``<runs_dir>/inspect/<name>``.

    Raises:
        StoreError: The folder cannot be written.
        UserError: The name cannot name a folder.
    """
    from bninit.verbs.inspect.pictures import pictures
    from bninit.verbs.inspect.tables import csv_texts, inspection_json

    return keep_findings(
        {**pictures(found), **csv_texts(found), "inspect.json": inspection_json(found)},
        runs_dir=runs_dir,
        kind="inspect",
        name=default_name(found) if name is None else name,
    )


def default_name(found: Inspection) -> str:
    """A folder name made of the arms' labels, the same for the same runs."""
    return joined_name(
        [
            f"{arm.label}-seed-{arm.seeds[0]}" if len(arm.seeds) == 1 else arm.label
            for arm in found.arms
        ],
        ids=[f"{arm.id}/{seed}" for arm in found.arms for seed in arm.seeds],
    )


def _tables_of(arm: Arm, *, layers: Sequence[int]) -> dict[str, pd.DataFrame]:
    """The tables of an `Inspection`, without the column arm; distributions of some layers."""
    import pandas as pd

    stored = [run.stored_layers() for run in arm.runs]
    placement, num_hidden = arm.config.model.norm.placement, len(arm.config.model.hidden)
    output = "norm" if placement == "post" else "activation"
    activation_input = "norm" if placement == "pre" else "linear"
    tables = {}
    for name, each in MAPS.items():
        traces = [
            one.trace(output if each.place == "output" else each.place, each.quantity)
            for one in stored
        ]
        last = num_hidden + each.with_output
        tables[name] = _mean(traces, "value", last_layer=last, is_scale=each.is_scale)
    tables["distributions"] = _ridges(stored[0], activation_input, set(layers), num_hidden)
    tables["units"] = _units(stored[0], activation_input, num_hidden)
    modes = [
        _means(stored, "network", {key: f"{key}_{mode}" for key in ("accuracy", "loss")}).assign(
            mode=mode
        )
        for mode in MODES
    ]
    tables["modes"] = pd.concat(modes, ignore_index=True).drop(columns="layer")
    gaps = [
        _means(stored, "norm", {"mean_gap": f"mean_gap_{kind}"}).assign(statistics=kind)
        for kind in STATISTICS
    ]
    squares = pd.concat(gaps, ignore_index=True)
    squares["mean_gap"] **= 2
    keys = ["statistics", "step", "epoch"]
    over_layers = squares.groupby(keys, sort=False)["mean_gap"].mean().reset_index()
    tables["statistics"] = over_layers.assign(mean_gap=np.sqrt(over_layers["mean_gap"]))
    tables["gamma_beta"] = _means(
        stored, "norm", {"gamma_drift": "gamma_drift", "beta_drift": "beta_drift"}
    )
    return tables


def _frame(trace: Trace, column: str) -> pd.DataFrame:
    import pandas as pd

    num_moments, num_layers = trace.values.shape
    return pd.DataFrame(
        {
            "step": np.repeat(trace.steps, num_layers),
            "epoch": np.repeat(trace.epochs, num_layers),
            "layer": np.tile(trace.layers, num_moments),
            column: trace.values.ravel(),
        }
    )


def _mean(
    traces: Sequence[Trace], column: str, *, last_layer: int | None = None, is_scale: bool = False
) -> pd.DataFrame:
    """The mean over seeds by layer and moment; seeds without a number there do not count."""
    import pandas as pd

    table = pd.concat([_frame(trace, column) for trace in traces], ignore_index=True)
    if last_layer is not None:
        table = table[table["layer"].between(1, last_layer)]
    if is_scale:
        with np.errstate(divide="ignore"):
            table = table.assign(**{column: np.log(table[column])})
    found: pd.DataFrame = table.groupby(_MOMENT)[column].mean().reset_index()
    return found.assign(**{column: np.exp(found[column])}) if is_scale else found


def _means(stored: Sequence[StoredLayers], place: str, columns: Mapping[str, str]) -> pd.DataFrame:
    """The means of several quantities of a place, by the name of their column."""
    tables = [
        _mean([one.trace(place, quantity) for one in stored], column)
        for column, quantity in columns.items()
    ]
    return reduce(lambda left, right: left.merge(right, on=_MOMENT, how="outer"), tables)


def _ridges(stored: StoredLayers, place: str, wanted: set[int], num_hidden: int) -> pd.DataFrame:
    import pandas as pd

    traces = [stored.trace(place, f"p{percent:02d}") for percent in PERCENTILES]
    values = np.stack([trace.values for trace in traces], axis=-1)
    steps, epochs = traces[0].steps, traces[0].epochs
    parts = []
    for i in evenly(len(steps), MOST_RIDGES):
        for j, layer in enumerate(traces[0].layers):
            if layer in wanted and layer <= num_hidden:
                x, height = density(PERCENTILES, values[i, j])
                columns: dict[str, Any] = {"step": steps[i], "epoch": epochs[i], "layer": layer}
                parts.append(pd.DataFrame(columns | {"x": x, "density": height}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _units(stored: StoredLayers, place: str, num_hidden: int) -> pd.DataFrame:
    import pandas as pd

    names = [f"p{percent:02d}" for percent in UNIT_PERCENTILES]
    parts = []
    for unit in sorted({key[3] for key in stored.keys if key[1] == place and key[3] >= 0}):
        frames = {name: _frame(stored.trace(place, name, unit=unit), name) for name in names}
        columns = {name: frame[name] for name, frame in frames.items()}
        table = frames[names[0]].assign(**columns, unit=unit)
        parts.append(table[table["layer"] <= num_hidden].dropna(subset=names, how="all"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def evenly(number: int, most: int) -> list[int]:
    """At most so many of the places of a sequence, evenly spread, with the first and the last."""
    if number <= most:
        return list(range(number))
    return [round(i * (number - 1) / (most - 1)) for i in range(most)]


def density(percents: Sequence[int], values: Floats) -> tuple[Floats, Floats]:
    """The smoothed density of a distribution, from some of its percentiles.

    A monotone cubic through the percentiles (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17, 238)
    gives numbers, each of which becomes a Gaussian. The density beyond the outermost percentiles is
    unknown.

    Args:
        percents: Rising, within (0, 100).
        values: The percentiles, rising.

    Returns:
        Points x, and the density there, its largest value 1. Where all percentiles are equal, this
        point three times, with the heights 0, 1 and 0; nothing where they are not finite.
    """
    from scipy.interpolate import PchipInterpolator

    at = np.asarray(values, dtype=np.float64)
    if not np.isfinite(at).all():
        return np.empty(0), np.empty(0)
    if at[-1] <= at[0]:
        return np.repeat(at[:1], 3), np.array([0.0, 1.0, 0.0])
    shares = np.linspace(percents[0], percents[-1], 2 * _NUM_POINTS)
    numbers = PchipInterpolator(percents, at)(shares)
    width = _SMOOTHNESS * float(numbers.std())
    x = np.linspace(at[0] - 3 * width, at[-1] + 3 * width, _NUM_POINTS)
    height = np.exp(-0.5 * ((x[:, None] - numbers) / width) ** 2).sum(axis=1)
    return x, height / height.max()


def summary_rows(found: Inspection) -> list[dict[str, Any]]:
    """Each arm and layer before training and at its end, NaN where it was not read.

    Returns:
        Rows with arm, layer, and ``<map>_start`` and ``<map>_end`` for each of `MAPS`.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for name in MAPS:
        for arm in found.arms:
            table = found.of(name, arm.label)
            if table is None:
                continue
            for layer in sorted(table["layer"].unique().tolist()):
                values = table[table["layer"] == layer].sort_values("step")["value"]
                row = rows.setdefault((arm.label, layer), {})
                row |= {f"{name}_start": values.iloc[0], f"{name}_end": values.iloc[-1]}
    order = {arm.label: i for i, arm in enumerate(found.arms)}
    empty = {f"{name}_{end}": np.nan for name in MAPS for end in ("start", "end")}
    return [
        {"arm": key[0], "layer": key[1], **empty, **rows[key]}
        for key in sorted(rows, key=lambda key: (order[key[0]], key[1]))
    ]


def mode_rows(found: Inspection) -> list[dict[str, Any]]:
    """Each arm with batch norm at the end of training.

    Returns:
        Rows with arm, running, ``accuracy_<mode>`` for each of `MODES`, and ``gap_<statistics>``
        for each of `STATISTICS`.
    """
    rows = []
    for arm in found.arms:
        row: dict[str, Any] = {"arm": arm.label, "running": arm.running}
        for picture, key, column, name in (
            ("modes", "mode", "accuracy", "accuracy"),
            ("statistics", "statistics", "mean_gap", "gap"),
        ):
            table = found.of(picture, arm.label)
            if table is not None:
                last = table[table["step"] == table["step"].max()]
                row |= {
                    f"{name}_{kind}": last.set_index(key).loc[kind, column] for kind in last[key]
                }
        if len(row) > 2:
            rows.append(row)
    return rows
