"""The tables of one arm's insides: what its pictures show, averaged over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bninit.analysis.densities import density
from bninit.analysis.frame import Arm

if TYPE_CHECKING:
    import pandas as pd

    from bninit.store.layers import StoredLayers, Trace

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
    """The tables of `bninit.analysis.insides.Insides`, without the column arm.

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
