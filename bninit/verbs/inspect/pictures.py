"""Pictures of an inspection: heat maps by layer and step, lines over steps, and ridges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from bninit.show import charts
from bninit.show.charts import ArmStyle, Axis, Chart
from bninit.show.words import plural
from bninit.verbs.inspect.inspect import MAPS, UNIT_PERCENTILES, InspectedArm, Inspection

if TYPE_CHECKING:
    import pandas as pd

_MOST_DECADES = 12
_LOG_FROM_RATIO = 30.0
_FAR = 1000.0
_WIDTH = 230
_RIDGE_HEIGHT = 1.6
"""Of a ridge, in distances between two."""

SOLID, DASHED, DASH_DOTTED, DOTTED = charts.DASHES[:4]
KINDS: dict[str, tuple[str, ArmStyle]] = {
    "train_mode": ("each mini-batch's own", ArmStyle(charts.GUIDE, SOLID, "circle")),
    "batch": ("a single mini-batch", ArmStyle(charts.GUIDE, SOLID, "circle")),
    "ema": ("exponential average", ArmStyle(charts.VERMILLION, DASHED, "square")),
    "cumulative": ("plain average", ArmStyle(charts.REDDISH_PURPLE, DOTTED, "diamond")),
    "population": (
        "population (fixed weights)",
        ArmStyle(charts.BLUISH_GREEN, DASH_DOTTED, "cross"),
    ),
}
"""Name and look of each kind of batch-norm statistics."""

Panel = tuple[str, list[dict[str, Any]]]
"""Title and rows of lines."""


def pictures(found: Inspection) -> dict[str, bytes]:
    """Draw all pictures that have something to show, as PNG files by name."""
    drawn = {name: draw(found) for name, draw in PICTURES.items()}
    return {f"{name}.png": charts.png(chart) for name, chart in drawn.items() if chart is not None}


def map_chart(found: Inspection, name: str) -> Chart | None:
    """A quantity by layer and step, a panel per arm, all on one colour scale."""
    table, each = found.tables.get(name), MAPS[name]
    if table is None or not table["value"].notna().any():
        return None
    low, high = _ends((each.factor * table["value"]).tolist(), is_log=each.is_scale)
    steps = sorted(table["step"].unique().tolist())
    rows: list[dict[str, Any]] = []
    arms = _parts(found, name)
    for arm, mine in arms:
        square = mine.pivot(index="layer", columns="step", values="value")
        square = each.factor * square.reindex(columns=steps)
        # An arm without a reading at a step shows its previous one.
        square = square.ffill(axis=1).where(square.bfill(axis=1).notna())
        rows += [
            {"panel": arm.label, "x": step, "y": layer, "value": max(value, low)}
            for layer, values in zip(square.index.tolist(), square.to_numpy(), strict=True)
            for step, value in zip(steps, values.tolist(), strict=True)
            if math.isfinite(value)
        ]
    drawn = charts.heat_maps(
        rows,
        x_title="training step",
        y_title="layer",
        unit=each.unit,
        panels={arm.label: arm_title(arm) for arm, _ in arms},
        log=each.is_scale,
        ends=(low, high),
        columns=3,
    )
    is_full = len(rows) == len(arms) * len(steps) * table["layer"].nunique()
    note = "" if is_full else "Grey: no such layer, step or number. "
    if any(row["value"] > high for row in rows):
        note += f"Brightest: {high:.3g} or more."
    return charts.page(drawn, title=each.title, note=note, columns=3)


def _ends(values: Sequence[float], *, is_log: bool) -> tuple[float, float]:
    """Ends of a colour scale."""
    positive = [value for value in values if math.isfinite(value) and value > 0]
    if not is_log or not positive:
        return 0.0, max([*positive, 1e-12])
    positive = _plausible(positive)
    high = max(positive)
    low = max(min(positive), high / 10.0**_MOST_DECADES)
    if high / low < 2:
        middle = math.sqrt(high * low)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return low, high


def _plausible(values: Sequence[float]) -> list[float]:
    """Finite values without those far beyond the others, as just before a divergence."""
    finite = sorted((value for value in values if math.isfinite(value)), key=abs)
    usual = abs(finite[int(0.9 * len(finite))]) if finite else 0.0
    return [value for value in finite if abs(value) <= _FAR * usual or not usual]


def ridges_chart(found: Inspection) -> Chart | None:
    """The distribution of the inputs of the activation, by hidden layer and step."""
    table = found.tables.get("distributions")
    if table is None:
        return None
    arms = _parts(found, "distributions")
    panels = []
    for place, (layer, mine) in enumerate(table.groupby("layer")):
        x = _ridge_axis(mine)
        for number, (arm, _) in enumerate(arms):
            title = "" if place else arm_title(arm, one_seed=True)
            y_title = "" if number else f"layer {layer}: step"
            panels.append(
                _ridge_panel(mine[mine["arm"] == arm.label], x=x, title=title, y_title=y_title)
            )
    return charts.page(
        panels,
        title="Inputs of the activations during training",
        note="x: value over units and examples. Each ridge is a density, scaled to one height. "
        "Panels of a layer share an axis, which is logarithmic away from 0 if widths differ much.",
        columns=len(arms),
    )


def _ridge_axis(table: pd.DataFrame) -> dict[str, Any]:
    """One axis for all panels of a layer."""
    low, high = float(table["x"].min()), float(table["x"].max())
    widths = table.groupby(["arm", "step"])["x"].agg(lambda x: x.max() - x.min())
    positive = widths[widths > 0]
    margin = 0.02 * (high - low) or 1.0
    x = Axis(low=low - margin, high=high + margin).x("x")
    if len(positive) and positive.max() / positive.min() > _LOG_FROM_RATIO:
        linear = float(positive.min())
        last, first = math.floor(math.log10(max(-low, high))), math.ceil(math.log10(linear)) + 1
        above = [10.0**power for power in sorted({(first + last) // 2, last}) if power >= first]
        x["scale"] |= {"type": "symlog", "constant": linear}
        x["axis"] |= {
            "values": [*(-tick for tick in above), 0.0, *above],
            "format": "~g",
            "labelFlush": False,
        }
    return x


def _ridge_panel(table: pd.DataFrame, *, x: dict[str, Any], title: str, y_title: str) -> Chart:
    steps = sorted(int(step) for step in table["step"].unique())
    top = len(steps) - 0.8 + _RIDGE_HEIGHT
    y = Axis(title=y_title, low=-0.2, high=top, ticks=range(len(steps))).y("low")
    y["axis"]["labelExpr"] = charts.lookup({str(i): f"{step:,}" for i, step in enumerate(steps)})
    at = {"x": x, "y": y, "y2": {"field": "high"}}
    layers = []
    # The beginning, at the bottom, is drawn last: in front of what comes after it.
    for place, (step, style) in reversed(list(enumerate(_ordered(steps).items()))):
        one = table[table["step"] == int(step)]
        rows = [
            {"x": x, "low": place, "high": place + _RIDGE_HEIGHT * density}
            for x, density in zip(one["x"], one["density"], strict=True)
        ]
        if one["x"].min() == one["x"].max():
            look: dict[str, Any] = {"strokeWidth": 2.5}
            layers.append(charts.mark("rule", rows, at, color=style.colour, **look))
        else:
            look = {"opacity": 0.8, "stroke": charts.PAPER, "strokeWidth": 0.8}
            layers.append(charts.mark("area", rows, at, color=style.colour, **look))
    if not layers:
        layers = [charts.remark("no such layer", width=_WIDTH, height=150)]
    elif x["scale"]["domain"][0] <= 0 <= x["scale"]["domain"][1]:
        zero = {"color": charts.GUIDE, "strokeDash": [4, 2], "strokeWidth": 0.8}
        layers.append(charts.mark("rule", [{"x": 0.0}], {"x": x}, **zero))
    return charts.panel(*layers, title=title, width=_WIDTH, height=150)


def _ordered(numbers: Sequence[int]) -> dict[str, ArmStyle]:
    """Looks of rising lightness, by number."""
    named = {str(number): float(number) for number in numbers}
    return charts.arm_styles(list(named), numbers=named)


def units_chart(found: Inspection) -> Chart | None:
    """Percentiles of single units of the last hidden layer over training.

    As in figure 1 of Ioffe & Szegedy 2015 (arXiv:1502.03167).
    """
    low, middle, high = (f"p{percent:02d}" for percent in UNIT_PERCENTILES)
    columns: list[list[Panel]] = []
    for arm, table in _parts(found, "units"):
        layer = int(table["layer"].max())
        column: list[Panel] = []
        shown = table[table["layer"] == layer]
        for unit in sorted(shown["unit"].unique().tolist()):
            mine = shown[shown["unit"] == unit]
            title = f"unit {int(unit) + 1} of layer {layer}"
            head = title if column else f"{arm_title(arm, one_seed=True)}, {title}"
            column.append((head, _rows(mine, y=middle, low=low, high=high)))
        columns.append(column)
    if not columns:
        return None
    nothing: Panel = ("", [])
    grid = list(zip_longest(*columns, fillvalue=nothing))
    y = _over(Axis(title="value over the examples"), [panel for row in grid for panel in row])
    return _lines_page(
        [(y, row) for row in grid],
        styles={"": ArmStyle(charts.BLUE, SOLID, "circle")},
        names={},
        title="Single units: inputs of their activation",
        note="Line: median. Band: 15th to 85th percentile.",
    )


def kinds_chart(
    found: Inspection, name: str, *, column: str, kind: str, factor: float, title: str, y: Axis
) -> Chart | None:
    """A number with each kind of batch-norm statistics over training, a panel per arm."""
    table = found.tables.get(name)
    if table is None or not table[column].notna().any():
        return None
    panels = []
    for arm, mine in _parts(found, name):
        own = f"\nevaluated with: {KINDS[arm.running][0]}" if arm.running in KINDS else ""
        # Before the first step there is nothing to be off from.
        shown = mine[mine["step"] > 0] if y.log else mine
        scaled = shown.assign(**{column: factor * shown[column]})
        panels.append((arm_title(arm) + own, _rows(scaled, arm=kind, y=column)))
    kinds = {each: KINDS[each] for each in table[kind].unique()}
    return _lines_page(
        [(y, panels)],
        styles={each: style for each, (_, style) in kinds.items()},
        names={each: name for each, (name, _) in kinds.items()},
        title=title,
    )


def gamma_beta_chart(found: Inspection) -> Chart | None:
    """Distance of gamma and beta of each layer from where they started."""
    table = found.tables.get("gamma_beta")
    if table is None or not table["gamma_drift"].notna().any():
        return None
    layers = sorted(table["layer"].unique().tolist())
    grid = []
    for key, what in (("gamma", "gamma - 1"), ("beta", "beta")):
        panels = [
            (
                f"{arm_title(arm)}, {key}" if key == "gamma" else key,
                _rows(mine, arm="layer", y=f"{key}_drift"),
            )
            for arm, mine in _parts(found, "gamma_beta")
        ]
        grid.append((Axis(title=f"root mean square of {what}", zero=True), panels))
    return _lines_page(
        grid,
        styles=_ordered(layers),
        names={str(layer): f"layer {layer}" if layer else "input" for layer in layers},
        dash=SOLID,
        title="Distance of gamma from 1 and of beta from 0",
    )


def arm_title(arm: InspectedArm, *, one_seed: bool = False) -> str:
    """The label of an arm and the seeds that a panel shows."""
    if one_seed or len(arm.seeds) == 1:
        return f"{arm.label}\nseed {arm.seeds[0]}"
    return f"{arm.label}\nmean of {plural(len(arm.seeds), 'seed')}"


def _parts(found: Inspection, name: str) -> list[tuple[InspectedArm, pd.DataFrame]]:
    """The arms with rows in a table, each with its rows."""
    parts = [(arm, found.of(name, arm.label)) for arm in found.arms]
    return [(arm, part) for arm, part in parts if part is not None]


def _rows(table: pd.DataFrame, *, arm: str | None = None, **columns: str) -> list[dict[str, Any]]:
    """Rows of lines by step: ``arm`` from a column, and the values from others."""
    return [
        {"arm": "" if arm is None else str(row[arm]), "x": int(row["step"])}
        | {name: float(row[column]) for name, column in columns.items()}
        for row in table.to_dict("records")
    ]


@dataclass(frozen=True, kw_only=True)
class _Steps(Axis):
    """Steps on a logarithmic axis with a place for 0."""

    def x(self, name: str) -> dict[str, Any]:
        last = int(self.ends[1])
        ticks = [0, *(10**power for power in range(len(str(last))))]
        scale = {"type": "symlog", "constant": 1, "domain": [0, 1.05 * last], "nice": False}
        axis = {"values": ticks, "format": ",d"}
        return super().x(name) | {"scale": scale, "axis": axis}


def _over(axis: Axis, panels: Sequence[Panel]) -> Axis:
    """The axis that holds all values of some panels."""
    rows = [row for _, of_panel in panels for row in of_panel]
    values = [row[key] for row in rows for key in ("y", "low", "high") if key in row]
    return axis.over(_plausible(values))


def _lines_page(
    grid: Sequence[tuple[Axis, Sequence[Panel]]],
    *,
    styles: dict[str, ArmStyle],
    names: dict[str, str],
    title: str,
    note: str = "",
    dash: Sequence[float] | None = None,
) -> Chart:
    """Lines by step: rows of panels, each with its vertical axis."""
    steps = [row["x"] for _, panels in grid for _, rows in panels for row in rows]
    x = _Steps(title="training step", low=0.0, high=float(max([*steps, 1])))
    look: dict[str, Any] = {"x": x, "styles": styles, "names": names, "marks": "line", "dash": dash}
    drawn = [
        charts.lines(rows, y=_over(y, panels), title=head, width=_WIDTH, height=160, **look)
        for y, panels in grid
        for head, rows in panels
    ]
    return charts.page(drawn, title=title, note=note, columns=len(grid[0][1]))


PICTURES: dict[str, Callable[[Inspection], Chart | None]] = {
    "distributions": ridges_chart,
    "units": units_chart,
    **{name: partial(map_chart, name=name) for name in MAPS},
    "modes": partial(
        kinds_chart,
        name="modes",
        column="accuracy",
        kind="mode",
        factor=100.0,
        title="Accuracy with each kind of batch-norm statistics",
        y=Axis(title="validation accuracy (%)"),
    ),
    "statistics": partial(
        kinds_chart,
        name="statistics",
        column="mean_gap",
        kind="statistics",
        factor=1.0,
        title="Distance of batch norm's means from those of the population",
        y=Axis(title="distance of the means (SDs)", log=True),
    ),
    "gamma_beta": gamma_beta_chart,
}
"""Each draws one picture, or nothing if there are no readings."""
