"""Verdicts and plans of a study, for the terminal, for pipes and for files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from bninit.config.identity import value_label
from bninit.show import words as text
from bninit.show.tables import Cell, Column, Table, block, pairs, remarks, stacked
from bninit.store.files import json_text
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.contrast import Verdict
from bninit.verbs.study.expand import value_labels
from bninit.verbs.study.sentence import sentence

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyPlan

FORMATS = ("table", "markdown", "csv", "json")

SYMBOLS = {"supported": "+", "contradicted": "x", "undecided": "?"}
"""Before the word, so that verdicts can be told apart at a glance without colour."""

_STYLES = {"supported": "bold green", "contradicted": "bold red", "undecided": "yellow"}

_WIDE = 110
"""From this width on a claim has a row; below it, a card."""

_REMARK = (
    "The chance of any false verdict among them is at most 5 %: the level of each interval is the "
    "one at which its claim was decided."
)


_COLUMNS = {
    "id": "claim",
    "outcome": "verdict",
    "says": "says",
    "effect": "measured",
    "interval": "interval",
    "level": "level",
    "n": "seeds",
}
"""Titles of the columns for people."""


def print_verdicts(
    claims: Sequence[Verdict],
    *,
    rows: Sequence[Mapping[str, Any]],
    form: str = "table",
    console: Console | None = None,
) -> None:
    """Print verdicts on standard output.

    Args:
        claims: As they were decided.
        rows: The same as plain values (`bninit.verbs.study.run.verdict_rows`), for CSV and JSON.
        form: One of `FORMATS`.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if form == "markdown":
        console.file.write(markdown_text(claims))
    elif form == "csv":
        console.file.write(csv_text(rows))
    elif form == "json":
        console.file.write(json_text([dict(row) for row in rows]))
    elif not claims:
        console.print("the study has no claims")
    else:
        is_wide = console.width >= _WIDE
        verdicts = _wide_table(claims) if is_wide else stacked([_card(each) for each in claims])
        counts = Text(counts_line(claims), style="bold")
        console.print(stacked([verdicts, counts, *remarks([_REMARK])]))


def counts_line(claims: Sequence[Verdict]) -> str:
    """How many there are of each verdict: ``8 supported, 1 contradicted, 2 undecided``."""
    outcomes = [found.outcome for found in claims]
    return ", ".join(f"{outcomes.count(each)} {each}" for each in claim_words.OUTCOMES)


def markdown_text(claims: Sequence[Verdict]) -> str:
    """The verdicts as a Markdown table, and below it the sentences."""
    numbers = ("effect", "level", "n")
    columns = [
        Column(key=key, title=title, write=_markdown, numeric=key in numbers)
        for key, title in _COLUMNS.items()
    ]
    table = Table(columns, [_cells(found) for found in claims]).markdown()
    sentences = [
        f"- **{_markdown(found.claim.id)}** {_markdown(sentence(found))}" for found in claims
    ]
    return "\n".join([table, "", f"{counts_line(claims)}.", "", *sentences]) + "\n"


def _cells(found: Verdict) -> dict[str, str]:
    return {
        "id": found.claim.id,
        "outcome": found.outcome,
        "says": found.claim.says,
        "effect": claim_words.effect(found),
        "interval": claim_words.interval(found) or text.MISSING,
        "level": claim_words.percent(found.level),
        "n": str(found.n),
    }


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts as CSV, effects in the metrics' own units; what there is none of is empty."""
    if not rows:
        return ""
    plain = [
        {key: str(v).lower() if isinstance(v, bool) else v for key, v in row.items()}
        for row in rows
    ]
    return Table([Column(key=key) for key in rows[0]], plain).csv()


def _wide_table(claims: Sequence[Verdict]) -> RichTable:
    """Rich's own table: a claim's sentence is folded into the width that is left."""
    looks: dict[str, dict[str, Any]] = {
        "id": {"style": "bold", "overflow": "fold", "max_width": 20},
        "says": {"ratio": 1, "overflow": "fold", "min_width": 24},
        "effect": {"justify": "right", "max_width": 18},
    }
    table = RichTable(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for key, title in _COLUMNS.items():
        right = "right" if key in ("level", "n") else "left"
        table.add_column(title, **looks.get(key, {"justify": right, "no_wrap": True}))
    for found in claims:
        cells = {key: Text(cell) for key, cell in _cells(found).items()}
        table.add_row(*(cells | {"outcome": _badge(found)}).values())
    return table


def _card(found: Verdict) -> RenderableType:
    head = Text.assemble((found.claim.id, "bold"), "  ", _badge(found), overflow="fold")
    says = Text(found.claim.says, overflow="fold")
    told = Text(sentence(found), style="dim", overflow="fold")
    return Group(head, Padding(Group(says, told), (0, 0, 0, 2)))


def _badge(found: Verdict) -> Text:
    required = " (required)" if found.claim.required and found.outcome != "supported" else ""
    badge = f"{SYMBOLS[found.outcome]} {found.outcome}"
    return Text.assemble((badge, _STYLES[found.outcome]), required)


def _markdown(cell: str) -> str:
    """Text that cannot be taken for Markdown or HTML; the table's writer guards the bars."""
    for character in "\\`*_[]":
        cell = cell.replace(character, f"\\{character}")
    return cell.replace("&", "&amp;").replace("<", "&lt;")


def print_study_plan(
    plan: StudyPlan, *, seconds: float | None, console: Console | None = None
) -> None:
    """Print experiments with their arms, the stacks, the networks, and the time they take."""
    study = plan.study
    num_missing = sum(map(len, plan.stacks))
    parts: list[RenderableType] = [Text(f"{study.title}", style="bold", overflow="fold")]
    for name, experiment in study.experiments.items():
        arms = [arm for arm in plan.arms if arm.experiment == name]
        lines: list[tuple[str, Cell]] = [("", experiment.says)] if experiment.says else []
        for key, labels in value_labels(arms).items():
            lines.append((key, claim_words.value_names(key, labels)))
        lines.append(("arms", "; ".join(arm.label for arm in arms)))
        parts.append(block(f"{name}: {text.plural(len(arms), 'arm')}", pairs(lines)))
    if plan.stacks:
        parts.append(_stacks(plan))
    totals: list[tuple[str, Cell]] = [
        ("claims", text.count(len(study.claims))),
        ("seeds", f"{len(study.seeds)} ({claim_words.seeds_label(study.seeds)})"),
        ("networks", f"{plan.num_networks:,}, each arm with each seed once"),
        ("to train", f"{num_missing:,} in {text.plural(len(plan.stacks), 'stack')}"),
    ]
    if num_missing:
        told = "unknown" if seconds is None else f"about {text.seconds(seconds)}"
        totals.append(("time", f"{told}, evaluation not counted"))
    parts.append(pairs(totals, indent=0))
    (console or Console()).print(stacked(parts))


def missing_lines(
    missing: Mapping[str, Sequence[int]], *, num_networks: int, at_most: int = 12
) -> list[str]:
    """Name the networks of a study that are missing; nothing where none is."""
    if not missing:
        return []
    num_missing = sum(map(len, missing.values()))
    lines = [f"missing: {num_missing:,} of {num_networks:,} networks"]
    named = list(missing.items())
    lines += [f"  {label} ({claim_words.seeds_phrase(seeds)})" for label, seeds in named[:at_most]]
    if len(named) > at_most:
        lines.append(f"  and of {len(named) - at_most} more arms")
    return lines


def _stacks(plan: StudyPlan) -> Table:
    """The stacks to be trained, those of one kind in a row."""
    kinds: Counter[tuple[Any, ...]] = Counter()
    for stack in plan.stacks:
        config = stack[0].config
        epochs, model = config.train.epochs, config.model
        network = f"{value_label(list(model.hidden))}, {model.activation}, "
        network += f"placement {model.norm.placement}"
        kinds[len(stack), epochs, epochs * config.iterations_per_epoch, network] += 1
    columns = [
        Column(key="stacks", title="stacks", numeric=True),
        Column(key="networks", title="networks\nin each", numeric=True),
        Column(key="epochs", title="epochs", numeric=True),
        Column(key="steps", title="steps", numeric=True, rank=2),
        Column(key="network", title="network", rank=1),
    ]
    keys = [column.key for column in columns]
    rows = [dict(zip(keys, (number, *kind), strict=True)) for kind, number in kinds.items()]
    return Table(columns, rows)
