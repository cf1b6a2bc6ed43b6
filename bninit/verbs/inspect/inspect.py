"""Probe readings of finished runs side by side: one tidy table per picture."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bninit.arms import Arm, Named, arms_of, labels_of, resolve_runs
from bninit.errors import UserError
from bninit.store import Run

if TYPE_CHECKING:
    import pandas as pd


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

_MOMENT = ["step", "epoch", "layer"]
_NUM_POINTS = 121
_SMOOTHNESS = 0.3
"""Standard deviation of the kernel of a density, relative to that of the distribution."""


@dataclass(frozen=True)
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


_SIGNAL = "Signal: spread of the output of each linear layer"
_GRADIENT = "Gradient with respect to the output of each linear layer"
_TO_WEIGHT = "Gradient of the weights of each layer, relative to the weights"
_SHIFT = "Shift: drift of the output of each layer since the previous probe"
_DEAD = "Dead units: the same output for every example"
_SATURATED = "Saturation: inputs where the activation is nearly flat"
_DISTINCT = "Distinct units (not duplicates)"
_RANK = "Effective rank: number of directions that the output of each layer uses"
_RATIO = "gradient / weights (norms)"
MAPS: dict[str, Map] = {
    "signals": Map("linear", "sd", _SIGNAL, "SD of the signal", is_scale=True, with_output=True),
    "gradients": Map(
        "gradient", "sd", _GRADIENT, "SD of the gradient", is_scale=True, with_output=True
    ),
    "gradient_to_weight": Map(
        "weight", "gradient_to_weight", _TO_WEIGHT, _RATIO, is_scale=True, with_output=True
    ),
    "shift": Map("output", "shift", _SHIFT, "shift of the means (SDs)", is_scale=True),
    "dead_units": Map("activation", "dead_fraction", _DEAD, "dead units (%)", factor=100.0),
    "saturation": Map(
        "activation", "saturated_fraction", _SATURATED, "saturated (%)", factor=100.0
    ),
    "distinct_units": Map("weight", "distinct_units", _DISTINCT, "distinct units"),
    "effective_rank": Map("output", "effective_rank", _RANK, "effective rank"),
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
    chosen = resolve_runs(runs, runs_dir=runs_dir)
    for run in chosen:
        _check_probed(run)
    arms = arms_of(chosen)
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


def _check_probed(run: Run) -> None:
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


def _tables_of(arm: Arm, *, layers: Sequence[int]) -> dict[str, pd.DataFrame]:
    """The tables of an `Inspection`, without the column arm; distributions of some layers."""
    import pandas as pd

    parts = [run.stored_layers().table() for run in arm.runs]
    readings = pd.concat(parts, ignore_index=True)
    placement, num_hidden = arm.config.model.norm.placement, len(arm.config.model.hidden)
    output = "norm" if placement == "post" else "activation"
    tables = {}
    for name, each in MAPS.items():
        place = output if each.place == "output" else each.place
        table = _means(readings, place, {each.quantity: "value"}, is_scale=each.is_scale)
        tables[name] = table[table["layer"].between(1, num_hidden + each.with_output)]
    inputs = parts[0][parts[0]["place"] == ("norm" if placement == "pre" else "linear")]
    inputs = inputs[inputs["layer"] <= num_hidden]
    tables["distributions"] = _ridges(inputs[inputs["unit"] < 0], layers)
    of_units = _columns(inputs[inputs["unit"] >= 0], UNIT_PERCENTILES, ["unit", *_MOMENT])
    tables["units"] = of_units[["step", "epoch", "layer", *of_units.columns[4:], "unit"]]
    modes = _by_kind(readings, "network", ("accuracy", "loss"), "mode", MODES)
    tables["modes"] = modes.drop(columns="layer")
    squares = _by_kind(readings, "norm", ("mean_gap",), "statistics", STATISTICS)
    squares["mean_gap"] **= 2
    keys = ["statistics", "step", "epoch"]
    over_layers = squares.groupby(keys, sort=False)["mean_gap"].mean().reset_index()
    tables["statistics"] = over_layers.assign(mean_gap=np.sqrt(over_layers["mean_gap"]))
    drifts = {f"{name}_drift": f"{name}_drift" for name in ("gamma", "beta")}
    tables["gamma_beta"] = _means(readings, "norm", drifts)
    return tables


def _means(
    readings: pd.DataFrame, place: str, columns: Mapping[str, str], *, is_scale: bool = False
) -> pd.DataFrame:
    """Quantities of a place as columns: means over seeds by layer and moment."""
    rows = readings[(readings["place"] == place) & (readings["unit"] < 0)]
    rows = rows[rows["quantity"].isin(columns)]
    if is_scale:
        with np.errstate(divide="ignore"):
            rows = rows.assign(value=np.log(rows["value"]))
    means = rows.groupby(["layer", "step", "epoch", "quantity"])["value"].mean()
    table = (
        (np.exp(means) if is_scale else means).unstack("quantity").reindex(columns=list(columns))
    )
    return table.rename(columns=columns).reset_index().rename_axis(columns=None)


def _by_kind(
    readings: pd.DataFrame, place: str, quantities: Sequence[str], name: str, kinds: Sequence[str]
) -> pd.DataFrame:
    """Means of quantities with each kind of batch norm's statistics, one below the other."""
    import pandas as pd

    parts = [
        _means(readings, place, {f"{key}_{kind}": key for key in quantities}).assign(**{name: kind})
        for kind in kinds
    ]
    return pd.concat(parts, ignore_index=True)


def _columns(readings: pd.DataFrame, percents: Sequence[int], keys: list[str]) -> pd.DataFrame:
    """Percentiles as columns (``p15``, ...), by keys."""
    names = [f"p{percent:02d}" for percent in percents]
    rows = readings[readings["quantity"].isin(names)]
    table = rows.pivot(index=keys, columns="quantity", values="value")
    found = table.reindex(columns=names).dropna(how="all").reset_index()
    return found.rename_axis(columns=None)


def _ridges(readings: pd.DataFrame, layers: Sequence[int]) -> pd.DataFrame:
    """Densities of some layers at some moments."""
    import pandas as pd

    table = _columns(readings, PERCENTILES, _MOMENT)
    steps = table["step"].unique()
    shown = table["step"].isin(steps[evenly(len(steps), MOST_RIDGES)])
    parts = []
    for step, epoch, layer, *values in table[shown & table["layer"].isin(layers)].to_numpy():
        x, height = density(PERCENTILES, np.array(values))
        columns = {"step": int(step), "epoch": int(epoch), "layer": int(layer)}
        parts.append(pd.DataFrame({**columns, "x": x, "density": height}))
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
    unknown. Its largest value is 1. Where all percentiles are equal, this point is given three
    times, with the heights 0, 1 and 0; nothing where they are not finite.
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
    """Each arm and layer: ``<map>_start`` and ``<map>_end`` of `MAPS`, NaN if it was not read."""
    empty = {f"{name}_{end}": np.nan for name in MAPS for end in ("start", "end")}
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for name in MAPS.keys() & found.tables.keys():
        by_layer = found.tables[name].sort_values("step").groupby(["arm", "layer"])["value"]
        key: Any
        for key, values in by_layer:
            arm, layer = key
            row = rows.setdefault((arm, layer), {"arm": arm, "layer": int(layer), **empty})
            row |= {f"{name}_start": values.iloc[0], f"{name}_end": values.iloc[-1]}
    order = {arm.label: i for i, arm in enumerate(found.arms)}
    return sorted(rows.values(), key=lambda row: (order[row["arm"]], row["layer"]))


def mode_rows(found: Inspection) -> list[dict[str, Any]]:
    """Each arm with batch norm at its end: ``accuracy_<mode>`` and ``gap_<statistics>``."""
    rows = []
    for arm in found.arms:
        modes, gaps = found.of("modes", arm.label), found.of("statistics", arm.label)
        if modes is not None and gaps is not None:
            accuracy = modes[modes["step"] == modes["step"].max()].set_index("mode")["accuracy"]
            gap = gaps[gaps["step"] == gaps["step"].max()].set_index("statistics")["mean_gap"]
            rows.append(
                {"arm": arm.label, "running": arm.running}
                | {f"accuracy_{mode}": accuracy[mode] for mode in MODES}
                | {f"gap_{kind}": gap[kind] for kind in STATISTICS}
            )
    return rows
