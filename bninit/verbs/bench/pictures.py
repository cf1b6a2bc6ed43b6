"""The chart of scaling: time per network and memory against the size of the stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bninit.show import charts
from bninit.show.words import plural
from bninit.verbs.bench.measure import Record
from bninit.verbs.bench.tables import machine_line

_STYLES = {
    "time": charts.ArmStyle(charts.BLUE, charts.DASHES[0], "circle"),
    "memory": charts.ArmStyle(charts.VERMILLION, charts.DASHES[0], "square"),
}


def scaling_chart(found: Record) -> charts.Chart:
    """Chart of seconds per epoch and network, and memory, against each size.

    Args:
        found: From `bninit.verbs.bench.bench.scaling`.
    """
    grid = found["grid"]
    stack = f"stack of {grid['base_stack']}"
    base = f"{grid['base_depth']} x {grid['base_width']}"
    per_epoch, memory = "seconds per epoch and network", "megabytes"
    in_total = "seconds for all epochs, per network"

    def points(axis: str) -> list[Record]:
        return [point for point in found["points"] if point["axis"] == axis]

    def held(point: Record) -> Record:
        return {"y": point["held_bytes"] / 1e6}

    def seconds(point: Record) -> Record:
        times = point["seconds"]
        return {"y": times["median"], "low": times["low"], "high": times["high"]}

    stacks, in_stack = points("stack"), "networks in the stack"
    wider = f"{stack}, {plural(grid['base_depth'], 'layer')}"
    deeper = f"{stack}, {plural(grid['base_width'], 'unit')}"
    panels = [
        _panel(stacks, seconds, f"More networks in a stack ({base})", in_stack, per_epoch, 0),
        _panel(
            points("width"),
            seconds,
            f"Wider networks ({wider})",
            "units of each hidden layer",
            per_epoch,
        ),
        _panel(points("depth"), seconds, f"Deeper networks ({deeper})", "hidden layers", per_epoch),
        _panel(stacks, held, f"Memory of the stack ({base})", in_stack, memory, 1),
        _panel(points("epochs"), seconds, f"More epochs ({stack}, {base})", "epochs", in_total, 1),
    ]
    note = (
        f"{machine_line(found['machine'])}.\nBatches of {grid['batch_size']}, batch norm: "
        f"{grid['placement']}, on {found['data']}. An epoch is 60,000 images; seconds are scaled "
        "to it from the timed steps. Both axes are logarithmic. Bars: lowest to highest repeat. "
        "Dotted: constant cost per network (above), or growth in proportion (below)."
    )
    return charts.page(panels, title="How the cost of training grows", note=note, columns=3)


def _panel(
    points: Sequence[Record],
    value: Callable[[Record], Record],
    title: str,
    x_title: str,
    y_title: str,
    power: int | None = None,
) -> charts.Chart:
    """One axis of the grid; `power` is that of the dotted guide through the first point."""
    arm = "memory" if y_title == "megabytes" else "time"
    rows = [{"arm": arm, "x": point["value"], **value(point)} for point in points]
    first = rows[0]
    guide = [
        {"x": row["x"], "y": first["y"] * (row["x"] / first["x"]) ** power}
        for row in rows
        if power is not None
    ]
    values = [row["x"] for row in rows]
    shown = [row[key] for row in [*rows, *guide] for key in ("y", "low", "high") if key in row]
    x = charts.Axis(title=x_title, log=True, ticks=values).over(values)
    y = charts.Axis(title=y_title, log=True).over([0.7 * min(shown), 1.4 * max(shown)])
    encoding = {"x": x.x("x"), "y": y.y("y")}
    dotted = charts.mark(
        "line", guide, encoding, color=charts.GUIDE, strokeDash=list(charts.DOTTED)
    )
    drawn = charts.lines(rows, x=x, y=y, styles=_STYLES, names={}, spread="bars")
    return charts.panel(*([dotted] if guide else []), drawn, title=title)
