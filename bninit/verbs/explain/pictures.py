"""The chart of explanations: signal and gradients by layer, theory beside measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bninit.show import charts
from bninit.show.words import plural
from bninit.verbs.explain.measure import Explanation, Quantity

_MOST_NAMED = 4

_PANELS = (
    ("activation", "Signal, forward", "mean square of the activations", "hidden layer"),
    (
        "gradient",
        "Gradient to pre-activations, backward",
        "SD, for one image's loss",
        "layer (1: first hidden, last: output)",
    ),
    (
        "weight_gradient",
        "Gradient to weights",
        "SD, for the mean loss of the batch",
        "layer (1: first hidden, last: output)",
    ),
)


def explanations_chart(found: Sequence[Explanation]) -> charts.Chart:
    """Chart of signal and gradients by layer, one style per config."""
    styles = charts.arm_styles(
        [one.name for one in found],
        placements={one.name: one.config.model.norm.placement for one in found},
    )
    names = {
        one.name: f"{one.name}: no gradient in hidden layers" if one.has_no_gradient else one.name
        for one in found
    }
    named = [one.name for one in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        named.append(f"{len(found) - _MOST_NAMED} more")
    num_seeds = len(found[0].seeds)
    bars = f", {plural(num_seeds, 'seed')} (bar: lowest to highest)" if num_seeds > 1 else ""
    return charts.page(
        [_panel(found, *panel, styles=styles, names=names) for panel in _PANELS],
        title=f"Before training: signal and gradient, layer by layer ({', '.join(named)})",
        note=f"Line: theory of wide layers. Marker: measured{bars}.",
        columns=3,
    )


def _panel(
    found: Sequence[Explanation],
    key: str,
    title: str,
    y_title: str,
    x_title: str,
    *,
    styles: Mapping[str, charts.ArmStyle],
    names: Mapping[str, str],
) -> charts.Chart:
    theory: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    for one in found:
        layers = list(enumerate(one.layers, start=1))
        if key != "activation" and one.has_no_gradient:
            layers = layers[-1:]  # what is measured in hidden layers is rounding
        for number, layer in layers:
            value: Quantity | None = getattr(layer, key)
            if value is None:
                continue
            place = {"arm": one.name, "x": number}
            if _has_log(value.predicted):
                theory.append({**place, "y": value.predicted})
            if _has_log(value.measured):
                low = value.low if _has_log(value.low) else None
                measured.append({**place, "y": value.measured, "low": low, "high": value.high})
    rows = [*theory, *measured]
    if not rows:
        empty = charts.remark("0 or not finite", width=380, height=280)
        return charts.panel(empty, title=title)
    shown = [row[end] for row in rows for end in ("y", "low", "high") if row.get(end)]
    x = charts.Axis(title=x_title, whole=True).over([row["x"] for row in rows])
    y = charts.Axis(title=y_title, log=True).over(shown)
    look: dict[str, Any] = {"x": x, "y": y, "styles": styles, "names": names}
    drawn = [charts.lines(theory, **look, marks="line")] if theory else []
    if measured:
        drawn.append(charts.lines(measured, **look, marks="points", spread="bars"))
    return charts.panel(*drawn, title=title)


def _has_log(value: float | None) -> bool:
    """Whether a number has a place on a logarithmic axis; smaller ones lose their digits."""
    return value is not None and value > 1e-290
