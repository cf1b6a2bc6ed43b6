"""The chart of scaling: time per network and memory against the size of the stack."""

from __future__ import annotations

from bninit.show import charts
from bninit.show.words import plural
from bninit.verbs.bench.measure import Record
from bninit.verbs.bench.tables import machine_line

_STYLES = {
    "time": charts.ArmStyle(charts.BLUE, charts.DASHES[0], "circle"),
    "memory": charts.ArmStyle(charts.VERMILLION, charts.DASHES[0], "square"),
}


def scaling_chart(found: Record) -> charts.Chart:
    """Chart of seconds per epoch and network, and memory, against each size."""
    grid = found["grid"]
    stack = f"stack of {grid['base_stack']}"
    base = f"{grid['base_depth']} x {grid['base_width']}"
    wider = f"{stack}, {plural(grid['base_depth'], 'layer')}"
    deeper = f"{stack}, {plural(grid['base_width'], 'unit')}"
    in_stack, units = "networks in the stack", "units of each hidden layer"
    note = (
        f"{machine_line(found['machine'])}.\nBatches of {grid['batch_size']}, batch norm: "
        f"{grid['placement']}, on {found['data']}. An epoch is 60,000 images; seconds are scaled "
        "to it from the timed steps. Both axes are logarithmic. Bars: lowest to highest repeat. "
        "Dotted: constant cost per network (above), or growth in proportion (below)."
    )
    panels = [
        _panel(found, "stack", f"More networks in a stack ({base})", in_stack, power=0),
        _panel(found, "width", f"Wider networks ({wider})", units),
        _panel(found, "depth", f"Deeper networks ({deeper})", "hidden layers"),
        _panel(found, "stack", f"Memory of the stack ({base})", in_stack, power=1, arm="memory"),
        _panel(found, "epochs", f"More epochs ({stack}, {base})", "epochs", power=1),
    ]
    return charts.page(panels, title="How the cost of training grows", note=note, columns=3)


def _panel(
    found: Record,
    axis: str,
    title: str,
    x_title: str,
    *,
    power: int | None = None,
    arm: str = "time",
) -> charts.Chart:
    """One axis of the grid; `power` is that of the dotted guide through the first point."""
    rows: list[Record] = []
    for point in found["points"]:
        if point["axis"] == axis:
            times = point["seconds"]
            time = {"y": times["median"], "low": times["low"], "high": times["high"]}
            value = {"y": point["held_bytes"] / 1e6} if arm == "memory" else time
            rows.append({"arm": arm, "x": point["value"], **value})
    first, guide = rows[0], []
    if power is not None:
        guide = [{"x": r["x"], "y": first["y"] * (r["x"] / first["x"]) ** power} for r in rows]
    per = "for all epochs, per network" if axis == "epochs" else "per epoch and network"
    y_title = "megabytes" if arm == "memory" else f"seconds {per}"
    values = [row["x"] for row in rows]
    shown = [row[key] for row in [*rows, *guide] for key in ("y", "low", "high") if key in row]
    x = charts.Axis(title=x_title, log=True, ticks=values).over(values)
    y = charts.Axis(title=y_title, log=True).over([0.7 * min(shown), 1.4 * max(shown)])
    layers = [charts.lines(rows, x=x, y=y, styles=_STYLES, names={}, spread="bars")]
    if guide:
        look = {"color": charts.GUIDE, "strokeDash": list(charts.DOTTED)}
        layers.insert(0, charts.mark("line", guide, {"x": x.x("x"), "y": y.y("y")}, **look))
    return charts.panel(*layers, title=title)
