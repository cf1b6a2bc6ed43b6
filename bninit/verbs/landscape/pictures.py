"""Pictures of a landscape: bands along the gradient, lines, and contours of the loss on planes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bninit.show import charts, words
from bninit.show.charts import Axis, Chart
from bninit.verbs.landscape.landscape import Landscape, Numbers

if TYPE_CHECKING:
    import pandas as pd

_LEVELS_PER_DECADE = 4
_MOST_DECADES = 4.0
_MOST_COLUMNS = 3
_SIDE = 300

_PANELS = (
    (
        ("loss", "lowest_loss", "highest_loss"),
        "Loss (line), and its range on the way (band)",
        "loss of the mini-batch (nats)",
    ),
    (("loss_range",) * 3, "Range of the loss", "highest minus lowest loss (nats)"),
    (
        ("relative_gradient_change",) * 3,
        "Change of the gradient",
        "largest change / norm of the gradient",
    ),
    (
        ("smoothness",) * 3,
        "Effective smoothness (less: smoother)",
        "largest change / distance moved",
    ),
)
"""Columns of value, low and high end, title, and title of the axis."""


def pictures(found: Landscape) -> dict[str, bytes]:
    """Draw the picture of each kind that was evaluated, as PNG files by name."""
    draw: dict[str, Callable[[Landscape], Chart]] = {
        "steps": gradient_chart,
        "lines": lines_chart,
        "planes": planes_chart,
        "trajectories": trajectories_chart,
    }
    return {
        f"{'gradient' if table == 'steps' else table}.png": charts.png(chart(found))
        for table, chart in draw.items()
        if table in found.tables
    }


def gradient_chart(found: Landscape) -> Chart:
    """Measurements along the gradients of training steps, the median over an arm's runs."""
    steps = arm_steps(found)
    lengths = found.settings["lengths"]
    if lengths is None:
        by = "1/2 to 4 learning rates"
    else:
        by = f"{lengths[0]:g}" + ("" if len(lengths) == 1 else f" to {lengths[-1]:g}")
    x = Axis(title="training step", whole=True).over(steps["step"].tolist())
    drawn = []
    for columns, title, y_title in _PANELS:
        guides = {1.0: "its own norm"} if "relative_gradient_change" in columns else {}
        look: dict[str, Any] = {"title": title, "height": 220, "guides": guides}
        drawn.append(_bands(found, steps, ("step", *columns), x=x, y_title=y_title, **look))
    return charts.page(drawn, title=f"Moving along the gradient by {by}, at steps of the training")


def lines_chart(found: Landscape) -> Chart:
    """The loss along random directions through each network."""
    number = found.settings["directions"]
    several = f" Line: median of {number} directions. Band: lowest to highest."
    x = Axis(title="distance from the network (in the norm of each unit's incoming weights)")
    columns = ("position", "median", "low", "high")
    look: dict[str, Any] = {"y_title": "training loss (nats)", "width": 560, "height": 340}
    return charts.page(
        [_bands(found, arm_lines(found), columns, x=x, **look)],
        title="Loss around each trained network, along random directions",
        note="The network is at 0." + (several if number > 1 else " One direction."),
        columns=1,
    )


def planes_chart(found: Landscape) -> Chart:
    """The loss on the plane of two random directions through each network."""
    axes = ("random direction 1 (filter norms)", "random direction 2 (filter norms)")
    return charts.page(
        _planes(found, "planes", {run.label: axes for run in found.runs}),
        title="Loss around each trained network, on the plane of two random directions",
        note="Cross: the trained network. White lines: equal loss.",
        columns=_MOST_COLUMNS,
    )


def trajectories_chart(found: Landscape) -> Chart:
    """The loss on the plane of each training, with its path."""
    axes = {}
    for label, shares in found.explained.items():
        first, second = (words.percent(share, num_digits=0) for share in shares)
        axes[label] = (
            f"1st principal component ({first} of variance)",
            f"2nd component ({second})",
        )
    return charts.page(
        _planes(found, "trajectories", axes),
        title="Loss on the plane that holds most of each training, and the path of the training",
        note="Circles: after each epoch. Axes: distances between weights. "
        "Cross: the trained network. White lines: equal loss.",
        columns=_MOST_COLUMNS,
    )


def _planes(found: Landscape, name: str, titles: Mapping[str, tuple[str, str]]) -> list[Chart]:
    """Contours of the loss with one colour scale and equal axes, titled by label."""
    table = found.tables[name]
    levels = contour_levels(table["loss"])
    panels = []
    for run in found.runs:
        rows = found.of(name, run)
        if rows.empty:
            continue
        x, y = (
            Axis(title=title, low=float(table[side].min()), high=float(table[side].max()))
            for side, title in zip(("x", "y"), titles[run.label], strict=True)
        )
        width, height = (axis.ends[1] - axis.ends[0] for axis in (x, y))
        layers = _contours(rows, levels, x, y)
        if name == "trajectories":
            layers += _path(found.of("paths", run), x, y)
        end = {"x": x.x("x"), "y": y.y("y"), "fill": {"value": charts.VERMILLION}}
        look = {"shape": "cross", "size": 130, "opacity": 1, "stroke": charts.PAPER}
        layers.append(charts.mark("point", [{"x": 0.0, "y": 0.0}], end, **look))
        title, size = f"{run.arm} (seed {run.seed})", round(_SIDE * height / width)
        panels.append(charts.panel(*layers, title=title, width=_SIDE, height=size))
    return panels


def contour_levels(losses: pd.Series) -> list[float]:
    """Levels of the colour scale, evenly spread in logarithms, over all finite losses."""
    finite = [float(loss) for loss in losses if math.isfinite(loss) and loss > 0]
    low, high = (min(finite), max(finite)) if finite else (0.1, 1.0)
    low = max(low, high / 10**_MOST_DECADES)
    first = math.floor(_LEVELS_PER_DECADE * math.log10(low))
    last = max(math.ceil(_LEVELS_PER_DECADE * math.log10(high)), first + 1)
    return [10 ** (k / _LEVELS_PER_DECADE) for k in range(first, last + 1)]


def _contours(table: pd.DataFrame, levels: Sequence[float], x: Axis, y: Axis) -> list[Chart]:
    """Filled bands between levels, and lines between the bands."""
    from contourpy import FillType, LineType, contour_generator

    square = table.pivot(index="y", columns="x", values="loss")
    inside = square.clip(lower=levels[0], upper=levels[-1]).fillna(levels[-1])
    # Between points the loss is interpolated in logarithms, as the levels are spread.
    generator = contour_generator(
        x=square.columns.to_numpy(),
        y=square.index.to_numpy(),
        z=np.log(inside.to_numpy()),
        fill_type=FillType.OuterOffset,
        line_type=LineType.Separate,
    )
    logs = np.log(levels)
    # The lowest and the highest loss belong to the outermost bands.
    edges = [logs[0] - 1, *logs[1:-1], logs[-1] + 1]
    areas: list[dict[str, Any]] = []
    for k, (low, high) in enumerate(pairwise(edges)):
        middle = math.sqrt(levels[k] * levels[k + 1])
        for points, offsets in zip(*generator.filled(low, high), strict=True):
            areas += _ring_rows(_one_ring(points, offsets), len(areas), loss=middle)
    lines: list[dict[str, Any]] = []
    for level in logs[1:-1]:
        separate: Any = generator.lines(level)
        for line in separate:
            lines += _ring_rows(line, len(lines))
    at = {"x": x.x("x"), "y": y.y("y"), "order": {"field": "order"}, "detail": {"field": "ring"}}
    ticks = [level for level in levels if abs(math.log10(level) - round(math.log10(level))) < 1e-9]
    legend = {
        "orient": "right",
        "title": "training loss (nats)",
        "values": ticks or [levels[0], levels[-1]],
        "format": "~g",
    }
    scale = {"type": "log", "domain": [levels[0], levels[-1]], "nice": False}
    fill = {
        "field": "loss",
        "type": "quantitative",
        "scale": scale | {"scheme": "cividis", "reverse": True},
        "legend": legend,
    }
    closed = {"interpolate": "linear-closed", "strokeWidth": 0}
    return [
        charts.mark("line", areas, at | {"fill": fill}, **closed),
        charts.mark("line", lines, at, color=charts.PAPER, strokeWidth=0.6),
    ]


def _one_ring(points: Numbers, offsets: Sequence[int]) -> Numbers:
    """A polygon with holes as one ring that goes to each hole and back, (point, 2)."""
    rings = [points[a:b] for a, b in pairwise(offsets)]
    back = [np.concatenate([hole, rings[0][:1]]) for hole in rings[1:]]
    return np.concatenate([rings[0], *back])


def _ring_rows(ring: Numbers, number: int, **columns: float) -> Iterator[dict[str, Any]]:
    for order, (x, y) in enumerate(ring.tolist()):
        yield {"x": x, "y": y, "order": order, "ring": number, **columns}


def _path(path: pd.DataFrame, x: Axis, y: Axis) -> list[Chart]:
    """The path of a training, with its start."""
    rows = [{str(key): value for key, value in row.items()} for row in path.to_dict("records")]
    at = {"x": x.x("x"), "y": y.y("y")}
    ordered = at | {"order": {"field": "epoch"}}
    beside: dict[str, Any] = at | {"text": {"value": "start"}}
    says = {"align": "right", "dx": -4, "dy": -9, "fontSize": 12}
    return [
        charts.mark("line", rows, ordered, color=charts.PAPER, strokeWidth=4),
        charts.mark("line", rows, ordered, color=charts.VERMILLION, strokeWidth=1.8),
        charts.mark("point", rows, at, color=charts.VERMILLION, opacity=1, size=35),
        charts.mark("text", rows[:1], beside, stroke=charts.PAPER, strokeWidth=3, **says),
        charts.mark("text", rows[:1], beside, color=charts.VERMILLION, **says),
    ]


def arm_steps(found: Landscape) -> pd.DataFrame:
    """The table ``steps`` with the median of an arm's runs, and ``arm`` in place of ``label``."""
    steps = _with_arm(found, "steps").drop(columns="label")
    return steps.groupby(["arm", "step"], sort=False).median().reset_index()


def arm_lines(found: Landscape) -> pd.DataFrame:
    """The loss along lines over all directions and runs: arm, position, low, median, high."""
    groups = _with_arm(found, "lines").groupby(["arm", "position"], sort=False)["loss"]
    return groups.agg(low="min", median="median", high="max").reset_index()


def _with_arm(found: Landscape, name: str) -> pd.DataFrame:
    arms = {run.label: run.arm for run in found.runs}
    return found.tables[name].assign(arm=found.tables[name]["label"].map(arms))


def _bands(
    found: Landscape,
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    x: Axis,
    y_title: str,
    **look: Any,
) -> Chart:
    """A line and its band for each arm: columns of x, value, low and high end."""
    names = dict(zip(("x", "y", "low", "high"), columns, strict=True))
    rows = [
        {"arm": row["arm"]} | {name: row[column] for name, column in names.items()}
        for row in table.to_dict("records")
    ]
    values = [row[key] for row in rows for key in ("y", "low", "high")]
    loss = charts.loss_axis([value for value in values if math.isfinite(value)], title=y_title)
    y = Axis(title=y_title, low=loss.low, high=loss.high, log=loss.log)
    placements = {run.arm: run.placement for run in found.runs}
    styles = charts.arm_styles(list(placements), placements=placements)
    legend = {}
    for arm in placements:
        seeds = [run.seed for run in found.runs if run.arm == arm]
        of = f"seed {seeds[0]}" if len(seeds) == 1 else f"median of {len(seeds)} seeds"
        legend[arm] = f"{arm} ({of})"
    return charts.lines(rows, x=x, y=y, styles=styles, names=legend, marks="line", **look)
