"""Charts of a study's page: a claim's values and effect, and an experiment's curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from bninit.config.identity import value_label
from bninit.show import charts
from bninit.show import words as text
from bninit.show.charts import ArmStyle, Axis, Chart, mark, panel
from bninit.stats import reached_curve
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.contrast import Kind, Side, Verdict
from bninit.verbs.study.evidence import ExperimentSummary
from bninit.verbs.study.expand import StudyArm

PLACEMENT = "model.norm.placement"
MOST_IN_A_PANEL = 7
"""Arms that can be told apart in one panel; as many as there are colours."""

_WIDTH = 250
_PADDING = {"left": 4, "top": 4, "right": 20, "bottom": 4}
"""The last label of an axis stands out on the right."""

_LABEL = 18
"""Characters of a line of a row's label."""

_CAPTIONS: dict[Kind, str] = {
    "pairs": "Each thin line is one seed: the same starting draws and the same batches on both "
    "sides.",
    "tally": "Each box is one seed; a filled box is a run to which it happened.",
    "times": "The share of runs that have reached the target by then: the sooner a line climbs, "
    "the sooner its side reaches it; where it stays below 100 %, some runs never did.",
    "levels": "Each row is one setting; small marks are seeds, large ones their mean.",
    "number": "",
}
_TITLES = {"val_accuracy": "Validation accuracy (%)", "train_loss": "Training loss (nats)"}


@dataclass(frozen=True)
class Picture:
    """A picture for a page.

    Attributes:
        svg: As markup.
        caption: How it is read, or what it shows.
    """

    svg: str
    caption: str


def arm_colours(arms: Sequence[StudyArm]) -> dict[str, str]:
    """One colour for each arm in the whole report, by arm id.

    Where an experiment varies the placement, the colour tells the placement; elsewhere it tells
    the arm.
    """
    placements = {arm.id: arm.config.model.norm.placement for arm in arms}
    styles = charts.arm_styles(list(placements), placements=placements)
    colours = {arm: style.colour for arm, style in styles.items()}
    for arm in arms:
        if PLACEMENT in arm.values:
            colours[arm.id] = charts.PLACEMENT_COLOURS[placements[arm.id]]
    return colours


def panel_styles(arms: Sequence[StudyArm], *, colours: Mapping[str, str]) -> dict[str, ArmStyle]:
    """Colour as given, dash and shape of each arm of one panel, by arm id."""
    found = charts.arm_styles(list(dict.fromkeys(arm.id for arm in arms)))
    return {arm: replace(style, colour=colours[arm]) for arm, style in found.items()}


def claim_picture(verdict: Verdict, *, colours: Mapping[str, str]) -> Picture | None:
    """The picture of one claim; None when no seed has all the runs that it needs."""
    if not len(verdict.differences):
        return None
    sides = side_styles(verdict, colours)
    above = {
        "pairs": _pairs, "tally": _tally, "times": _times, "levels": _levels, "number": None
    }[verdict.kind]  # fmt: skip
    panels = [_effect(verdict, sides)]
    if above is not None:
        panels.insert(0, above(verdict, sides))
    chart = {"vconcat": panels, "spacing": 14, "padding": _PADDING}
    return Picture(charts.svg(chart, alt=_alt(verdict)), _caption(verdict))


Sides = list[tuple[Side, ArmStyle]]


def side_styles(verdict: Verdict, colours: Mapping[str, str]) -> Sides:
    """The sides with their looks.

    Sides that differ in placement have its colours, and a side of one arm alone has the arm's;
    others have two colours that stand for no placement.
    """
    sides = [side for side in (verdict.left, verdict.right) if side is not None]
    placements = [{arm.config.model.norm.placement for arm in side.arms} for side in sides]
    named = [found.copy().pop() if len(found) == 1 else None for found in placements]
    looks = [charts.BLUISH_GREEN, charts.REDDISH_PURPLE][: len(sides)]
    if len(sides) == 1 and len(sides[0].arms) == 1:
        looks = [colours[sides[0].arms[0].id]]
    elif None not in named and len(set(named)) == len(named):
        looks = [charts.PLACEMENT_COLOURS[str(name)] for name in named]
    shapes = ("circle", "square")
    return [
        (side, ArmStyle(colour, charts.DASHES[place], shapes[place]))
        for place, (side, colour) in enumerate(zip(sides, looks, strict=True))
    ]


def _row_axis(labels: Sequence[str]) -> dict[str, Any]:
    """Rows of a panel by the column ``row``, with labels of several lines."""
    lines = {str(i): "\n".join(charts.wrapped(label, _LABEL)) for i, label in enumerate(labels)}
    return {
        "field": "row",
        "type": "ordinal",
        "title": None,
        "scale": {"domain": list(range(len(labels)))},
        "axis": {
            "domain": False,
            "ticks": False,
            "grid": False,
            "minExtent": 110,
            "labelExpr": f"split({charts.lookup(lines)}, '\\n')",
        },
    }


def _one_column(chart: Chart) -> Chart:
    """A chart whose legend has a line for each entry, so that it stays narrow."""
    for layer in chart["layer"]:
        for channel in layer["encoding"].values():
            if channel.get("legend"):
                channel["legend"] |= {"columns": 1}
    return chart


def _value_axis(verdict: Verdict, values: Iterable[float]) -> tuple[Axis, float | None]:
    """An axis for values of which some may not be finite, and the place of those."""
    every = list(values)
    axis = Axis(title=_axis_title(verdict)).over(every)
    if all(math.isfinite(value) for value in every):
        return axis, None
    low, high = axis.ends
    room = 0.12 * (high - low)
    if verdict.metric.worse == "low" or any(value == -math.inf for value in every):
        return replace(axis, low=low - room), low - room / 2
    return replace(axis, high=high + room), high + room / 2


def _axis_title(verdict: Verdict) -> str:
    unit = claim_words.print_of(verdict.metric).unit
    title = claim_words.title_of(verdict)
    return f"{title} ({unit})" if unit and not title.startswith(unit) else title


def _scaled(values: Iterable[float], verdict: Verdict) -> list[float]:
    scale = claim_words.print_of(verdict.metric).scale
    return [value * scale for value in values]


def _seed_marks(
    values: Sequence[float],
    style: ArmStyle,
    *,
    row: int,
    at: dict[str, Any],
    lost: float | None,
    size: int = 40,
) -> list[Chart]:
    """A mark for each value, and a cross at the place of those that are not finite."""
    finite = [{"at": value, "row": row} for value in values if math.isfinite(value)]
    crosses = [{"at": lost, "row": row} for value in values if not math.isfinite(value)]
    look = {"color": {"value": style.colour}}
    layers = [mark("point", finite, at | look, size=size, shape=style.shape, opacity=0.85)]
    if crosses:
        cross = {"shape": charts.CROSS, "filled": False, "strokeWidth": 1.6}
        layers.append(mark("point", crosses, at | look, size=30, **cross))
    return layers


def _lost_remark(verdict: Verdict, lost: float | None, at: Mapping[str, Any]) -> list[Chart]:
    if lost is None:
        return []
    word = "never" if verdict.metric.censored else "diverged"
    where = {"x": at["x"], "y": {"value": 0}}
    style = {"color": charts.GUIDE, "fontSize": 10, "baseline": "bottom"}
    return [mark("text", [{"at": lost}], where, text=word, **style)]


def _pairs(verdict: Verdict, sides: Sides) -> Chart:
    rows = [_scaled(verdict.per_seed(side.values).tolist(), verdict) for side, _ in sides]
    axis, lost = _value_axis(verdict, [value for row in rows for value in row])
    at = {"x": axis.x("at"), "y": _row_axis([side.says for side, _ in sides])}

    def place(value: float) -> float | None:
        return value if math.isfinite(value) else lost

    lines = [
        {"at": place(value), "row": row, "seed": seed}
        for row, values in enumerate(rows)
        for seed, value in zip(verdict.seeds, values, strict=False)
    ]
    detail = {"detail": {"field": "seed", "type": "nominal"}}
    layers = [mark("line", lines, at | detail, color=charts.GUIDE, strokeWidth=0.8, opacity=0.7)]
    for row, (values, (_, style)) in enumerate(zip(rows, sides, strict=True)):
        layers += _seed_marks(values, style, row=row, at=at, lost=lost)
    return panel(*layers, *_lost_remark(verdict, lost, at), width=_WIDTH, height=84)


def _tally(verdict: Verdict, sides: Sides) -> Chart:
    rows, labels = [], []
    for row, (side, style) in enumerate(sides):
        happened = [value == 1 for value in verdict.per_seed(side.values).tolist()]
        labels.append(f"{side.says}: {text.of(sum(happened), len(happened))}")
        rows += [
            {"row": row, "seed": seed, "colour": style.colour,
             "fill": style.colour if did else charts.PAPER}
            for seed, did in enumerate(happened)
        ]  # fmt: skip
    seeds = {"field": "seed", "type": "ordinal", "axis": None}
    at = {"x": seeds, "y": _row_axis(labels)}
    look = {"stroke": charts.field("colour"), "fill": charts.field("fill")}
    boxes = mark("point", rows, at | look, shape="square", size=70, strokeWidth=1.4, opacity=1)
    return panel(boxes, title=claim_words.title_of(verdict), width=_WIDTH, height=40 * len(sides))


def _times(verdict: Verdict, sides: Sides) -> Chart:
    last = verdict.last_seen or 1.0
    rows: list[dict[str, Any]] = []
    names = {}
    for row, (side, _) in enumerate(sides):
        name = str(row)
        num_runs = side.values.size
        names[name] = f"{side.says}: {text.of(num_runs - side.num_missing, num_runs)}"
        found = reached_curve(side.values.ravel(), last_seen=last)
        steps = zip(found.times.tolist(), found.share.tolist(), strict=True)
        rows += [
            {"arm": name, "x": x, "y": 100 * share}
            for x, share in [(0.0, 0.0), *steps, (last, float(found.share[-1]))]
        ]
    whole = verdict.metric.name != "seconds_to_accuracy"
    unit = claim_words.title_of(verdict).partition(" to ")[0]
    styles = {str(row): style for row, (_, style) in enumerate(sides)}
    chart = charts.lines(
        rows,
        x=Axis(title=f"{unit} of training", low=0.0, high=last, whole=whole),
        y=Axis(title="runs that reached it (%)", low=0.0, high=100.0),
        styles=styles,
        marks="line",
        steps=True,
        names={name: "\n".join(charts.wrapped(says, 40)) for name, says in names.items()},
        width=_WIDTH,
        height=130,
    )
    chart = _one_column(chart)
    if verdict.number is None:
        return chart
    limit = mark("rule", [{"x": verdict.number}], {"x": {"field": "x", "type": "quantitative"}},
                 color=charts.GUIDE, strokeDash=list(charts.DASHED))  # fmt: skip
    return panel(chart, limit, width=_WIDTH, height=130)


def _levels(verdict: Verdict, sides: Sides) -> Chart:
    labels = [value_label(level) for level in verdict.levels]
    cubes = [side.values.mean(axis=1) for side, _ in sides]
    every = [value for cube in cubes for value in _scaled(cube.ravel().tolist(), verdict)]
    axis, lost = _value_axis(verdict, every)
    at = {"x": axis.x("at"), "y": _row_axis(labels)}
    layers: list[Chart] = []
    for number, (cube, (_, style)) in enumerate(zip(cubes, sides, strict=True)):
        shift = {"yOffset": 9 * (number - (len(sides) - 1) / 2)}
        means = []
        for row in range(len(labels)):
            values = _scaled(cube[:, row].tolist(), verdict)
            layers += [
                layer | {"mark": layer["mark"] | shift}
                for layer in _seed_marks(values, style, row=row, at=at, lost=lost, size=14)
            ]
            finite = [value for value in values if math.isfinite(value)]
            if finite:
                means.append({"at": sum(finite) / len(finite), "row": row})
        own = {"color": {"value": style.colour}}
        if verdict.claim.trend:
            layers.append(mark("line", means, at | own, strokeWidth=1.4, **shift))
        layers.append(
            mark("point", means, at | own, size=80, shape=style.shape, opacity=1, **shift)
        )
    layers += _lost_remark(verdict, lost, at)
    height = (16 + 12 * len(sides)) * len(labels)
    return panel(*layers, title=_legend(sides), width=_WIDTH, height=height)


def _legend(sides: Sides) -> str:
    """Which mark is which side, where rows do not tell it."""
    shapes = {"circle": "\N{BLACK CIRCLE}", "square": "\N{BLACK SQUARE}"}
    return "\n".join(f"{shapes[style.shape]} {side.says}" for side, style in sides)


def _effect(verdict: Verdict, sides: Sides) -> Chart:
    """Seeds, their mean (or median), the interval, and the ground on which the claim holds."""
    how = claim_words.print_of(verdict.metric)
    reference = verdict.number or 0.0

    def printed(value: float | None) -> float | None:
        return None if value is None else (value + reference) * how.scale

    margin = verdict.claim.signed_margin * how.scale
    centre = reference * how.scale
    points = [(each + reference) * how.scale for each in verdict.differences.tolist()]
    if verdict.kind == "tally":
        points = []  # all of them 1, 0 or -1
    finite = [value for value in points if math.isfinite(value)]
    ends = [printed(verdict.low), printed(verdict.high)]
    mean = printed(verdict.effect)
    known = [*finite, centre, centre - margin, centre + margin]
    known += [value for value in (mean, *ends) if value is not None]
    axis = Axis(title=_effect_title(verdict)).over(known)
    ground = {
        "equal": (centre - margin, centre + margin),
        "less": (None, centre - margin),
        "greater": (centre + margin, None),
    }[verdict.expect]
    word = "median" if verdict.method == "sign" else "mean"
    summary = {"label": word, "colour": charts.INK, "value": mean, "shape": "diamond"}
    if ends != [None, None]:
        summary |= {"label": f"{word}, {claim_words.percent(verdict.level)} interval"}
        summary |= {"low": ends[0], "high": ends[1]}
    rows = [{"label": "seeds", "colour": charts.INK}] if points else []
    chart = charts.intervals(
        [*rows, summary], x=axis, reference=centre, shaded=ground, width=_WIDTH, row_height=26
    )
    seeds = [{"at": value, "place": 0} for value in finite]
    colour = sides[0][1].colour if verdict.kind == "number" else charts.GUIDE
    at = {"x": axis.x("at"), "y": {"field": "place", "type": "ordinal", "title": None}}
    layers = [mark("point", seeds, at, color=colour, size=32, opacity=0.85)] if seeds else []
    for side, end, place in (("left", -math.inf, 0), ("right", math.inf, 1)):
        number = points.count(end)
        if number:
            told = [
                {"at": axis.ends[place], "place": 0, "says": f"\N{MULTIPLICATION SIGN} {number}"}
            ]
            style = {"align": side, "color": charts.INK, "fontSize": 11}
            layers.append(mark("text", told, at | {"text": charts.field("says")}, **style))
    return panel(chart, *layers, width=_WIDTH, height=chart["height"])


def _effect_title(verdict: Verdict) -> str:
    unit = claim_words.unit_of(verdict)
    if verdict.claim.trend:
        return f"change ({unit})" if unit else "change per unit"
    name = "difference, first side minus second"
    if verdict.number is not None:
        name = claim_words.title_of(verdict)
    return f"{name} ({unit})" if unit else name


def _caption(verdict: Verdict) -> str:
    """How the picture is read."""
    centre = "median" if verdict.method == "sign" else "mean"
    marks = f"their {centre} (diamond) and the interval (bar)"
    ground = "The claim holds on the shaded ground."
    if verdict.kind == "number":
        return f"Each mark is one seed; below them {marks}. {ground}"
    below = {
        "trend": f"The line joins the means. Below: the change per unit in each seed, {marks}.",
        "spread": f"Below: the difference of the two spreads in each seed, {marks}.",
        "sides": f"Below: the difference in each seed, {marks}.",
        "number": f"Below: each seed, {marks}.",
    }[verdict.claim.shape]
    if verdict.kind == "tally":
        what = "the share" if verdict.right is None else "the difference of the shares"
        below = f"Below: {what} (diamond) and the interval (bar)."
    if any(math.isinf(value) for value in verdict.differences.tolist()):
        below += " The cross counts seeds in which one side diverged: that has no size."
    return f"{_CAPTIONS[verdict.kind]} {below} {ground}"


def _alt(verdict: Verdict) -> str:
    """The picture in words."""
    how, title = claim_words.print_of(verdict.metric), claim_words.title_of(verdict)
    measure = {"mean": "", "spread": "spread of ", "trend": "slope of "}[verdict.measure]
    told = []
    for side in (verdict.left, verdict.right):
        if side is None:
            continue
        values = verdict.per_seed(side.values).tolist()
        finite = [value * how.scale for value in values if math.isfinite(value)]
        if not finite:
            told.append(f"{side.says}: no values")
            continue
        mean, low, high = (
            f"{value:.{how.num_decimals}f}"
            for value in (sum(finite) / len(finite), min(finite), max(finite))
        )
        told.append(
            f"{side.says}: {measure}{title}, mean {mean} {how.unit}, seeds from {low} to {high}"
        )
    effect = f"effect {claim_words.effect(verdict)}"
    if interval := claim_words.interval(verdict):
        effect += f", {claim_words.percent(verdict.level)} interval {interval}"
    return f"{'; '.join(told)}. {effect}: {verdict.outcome}."


def experiment_pictures(
    summary: ExperimentSummary, *, colours: Mapping[str, str]
) -> tuple[list[Picture], dict[str, ArmStyle]]:
    """Curves over the epochs, and the look of each arm by arm id.

    With few arms, accuracy and loss, a panel each; with many, the accuracy alone, in panels by
    the values of an axis or two.
    """
    groups = panel_groups(summary.arms)
    looks = [panel_styles(arms, colours=colours) for _, arms in groups]
    styles = {arm: style for found in looks for arm, style in found.items()}
    if not summary.curves:
        return [], styles
    columns = ("val_accuracy", "train_loss") if len(groups) == 1 else ("val_accuracy",)
    pictures = []
    for column in columns:
        axes = _curve_axes(summary, column)
        for (keys, arms), look in zip(groups, looks, strict=True):
            pictures.append(_curves(summary, column, keys, arms, look, axes))
    return pictures, styles


def _curve_axes(summary: ExperimentSummary, column: str) -> tuple[Axis, Axis]:
    """Epochs, from the first on: before training all arms are at chance; and values."""
    table = summary.curves[column]
    last = max(int(table["epoch"].max()), 1)
    seen = table[table["epoch"] >= min(1, int(table["epoch"].max()))]
    factor = 100 if column == "val_accuracy" else 1
    values = [value * factor for value in (*seen["low"], *seen["high"])]
    if column == "train_loss":
        # One arm that goes astray would press all others onto the axis.
        values = [min(value, 4.0) for value in values]
    epochs = Axis(title="epochs of training", low=min(1, last - 1), high=last, whole=True)
    return epochs, Axis(title=_TITLES[column]).over(values)


def _curves(
    summary: ExperimentSummary,
    column: str,
    keys: Sequence[str],
    arms: Sequence[StudyArm],
    look: Mapping[str, ArmStyle],
    axes: tuple[Axis, Axis],
) -> Picture:
    table = summary.curves[column]
    factor = 100 if column == "val_accuracy" else 1
    rows, told = [], []
    names = {arm.id: claim_words.arm_label(arm, without=keys) for arm in arms}
    lost = []
    for arm in arms:
        found = summary.summaries.get(arm.id)
        if found is not None and found.num_diverged == found.num_runs:
            lost.append(f"{names[arm.id]}: diverged")
        own = table[(table["arm"] == arm.id) & (table["epoch"] >= axes[0].ends[0])]
        rows += [
            {"arm": arm.id, "x": each["epoch"], "y": each["median"] * factor,
             "low": each["low"] * factor, "high": each["high"] * factor}
            for each in own.to_dict("records")
        ]  # fmt: skip
        if len(own):
            told.append(f"{names[arm.id]} {float(own['median'].iloc[-1]) * factor:.2f}")
    title = ", ".join(
        claim_words.arm_label(arms[0], without=[k for k in arms[0].values if k != key])
        for key in keys
    )
    width, height = 280, 180
    chart = charts.lines(
        rows, x=axes[0], y=axes[1], styles=look, names=names, width=width, height=height
    )
    if lost:
        chart = panel(
            chart,
            charts.remark("\n".join(lost), width=width, height=height),
            width=width,
            height=height,
        )
    last = int(axes[0].ends[1])
    what = _TITLES[column].partition(" (")[0]
    alt = f"{what} over {last} epochs, median over the seeds; at the end: {'; '.join(told)}"
    chart = {"vconcat": [_one_column(chart)], "padding": _PADDING}
    return Picture(charts.svg(chart, alt=alt), title)


def panel_groups(arms: Sequence[StudyArm]) -> list[tuple[tuple[str, ...], list[StudyArm]]]:
    """Arms by panel, none of them with more than `MOST_IN_A_PANEL`.

    Panels are by the values of one axis, or two, rather not of the placement, so that arms with
    and without batch norm stand beside each other; of all such ways the one with fewest panels.
    """
    if len(arms) <= MOST_IN_A_PANEL:
        return [((), list(arms))]
    ways = []
    axes = list(arms[0].values)
    for keys in (*((key,) for key in axes), *combinations(axes, 2)):
        parts: dict[tuple[str, ...], list[StudyArm]] = {}
        for arm in arms:
            parts.setdefault(tuple(value_label(arm.values[key]) for key in keys), []).append(arm)
        if max(map(len, parts.values())) <= MOST_IN_A_PANEL:
            ways.append((PLACEMENT in keys, len(parts), keys, parts))
    if ways:
        _, _, chosen, groups = min(ways, key=lambda way: way[:2])
        return [(chosen, group) for group in groups.values()]
    num_panels = math.ceil(len(arms) / MOST_IN_A_PANEL)
    size = math.ceil(len(arms) / num_panels)
    return [((), list(arms[start : start + size])) for start in range(0, len(arms), size)]
