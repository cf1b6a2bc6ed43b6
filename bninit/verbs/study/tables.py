"""The verdicts of a study for the terminal, for pipes and for files."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import (
    Console,
    ConsoleOptions,
    Group,
    RenderableType,
    RenderResult,
)
from rich.table import Table
from rich.text import Text

from bninit.config.identity import value_label
from bninit.show import words as text
from bninit.show.old_tables import Column, Grid, pairs, stacked
from bninit.verbs.study import words as claim_words
from bninit.verbs.study.decide import Verdict
from bninit.verbs.study.words import seeds_label, seeds_phrase, value_names

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.verbs.study.run import StudyPlan

FORMATS = ("table", "markdown", "csv", "json")

SYMBOLS = {"supported": "+", "contradicted": "x", "undecided": "?"}
"""Before the word, so that verdicts can be told apart at a glance without colour."""

_STYLES = {"supported": "bold green", "contradicted": "bold red", "undecided": "yellow"}

_WIDE = 110
"""From this width on a claim has a row; below it, a card."""


def print_verdicts(
    claims: Sequence[Verdict],
    *,
    rows: Sequence[Mapping[str, Any]],
    form: str = "table",
    console: Console | None = None,
) -> None:
    """Prints verdicts on standard output.

    Args:
        claims: As they were decided.
        rows: The same as plain values (`bninit.verbs.study.run.verdict_rows`), for CSV and JSON.
        form: One of `FORMATS`.
        console: Where to; standard output by default.
    """
    console = console or Console()
    if form == "table":
        console.print(verdict_table(claims))
    elif form == "markdown":
        console.file.write(markdown_text(claims))
    elif form == "csv":
        console.file.write(csv_text(rows))
    else:
        console.file.write(json_text(rows))


def verdict_table(claims: Sequence[Verdict]) -> RenderableType:
    """A row for each claim, or a card where there is no room for rows; then the counts."""
    if not claims:
        return Text("the study has no claims")
    remark = (
        "The chance of any false verdict among them is at most 5 %: the level of each interval is "
        "the one at which its claim was decided."
    )
    return stacked(
        [_Verdicts(claims), Text(counts_line(claims), style="bold"), Text(remark, style="dim")]
    )


def counts_line(claims: Sequence[Verdict]) -> str:
    """How many there are of each verdict: ``8 supported, 1 contradicted, 2 undecided``."""
    outcomes = [found.outcome for found in claims]
    return ", ".join(f"{outcomes.count(each)} {each}" for each in claim_words.OUTCOMES)


def markdown_text(claims: Sequence[Verdict]) -> str:
    """The verdicts as a Markdown table, and below it the sentences."""
    header = "| claim | verdict | says | measured | interval | level | seeds |"
    lines = [header, "| --- | --- | --- | ---: | --- | ---: | ---: |"]
    for found in claims:
        cells = (
            found.claim.id,
            found.outcome,
            found.claim.says,
            claim_words.effect(found),
            claim_words.interval(found) or text.MISSING,
            claim_words.level(found),
            str(found.n),
        )
        lines.append(f"| {' | '.join(map(_markdown, cells))} |")
    sentences = [
        f"- **{_markdown(found.claim.id)}** {_markdown(found.sentence)}" for found in claims
    ]
    return "\n".join([*lines, "", f"{counts_line(claims)}.", "", *sentences]) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts as CSV, effects in the metrics' own units; what there is none of is empty."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _csv_cell(value) for key, value in row.items()})
    return out.getvalue()


def json_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts as strict JSON: a list of objects, null for what there is none of."""
    return json.dumps([dict(row) for row in rows], indent=2, allow_nan=False) + "\n"


class _Verdicts:
    """A table or cards, as the width allows."""

    def __init__(self, claims: Sequence[Verdict]) -> None:
        self._claims = claims

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= _WIDE:
            yield self._table()
        else:
            yield stacked([_card(found) for found in self._claims])

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("claim", style="bold", overflow="fold", max_width=20)
        table.add_column("verdict", no_wrap=True)
        table.add_column("says", ratio=1, overflow="fold", min_width=24)
        table.add_column("measured", justify="right", max_width=18)
        table.add_column("interval", no_wrap=True)
        table.add_column("level", justify="right", no_wrap=True)
        table.add_column("seeds", justify="right", no_wrap=True)
        for found in self._claims:
            table.add_row(
                Text(found.claim.id),
                _badge(found),
                Text(found.claim.says),
                Text(claim_words.effect(found)),
                Text(claim_words.interval(found) or text.MISSING),
                Text(claim_words.level(found)),
                Text(str(found.n)),
            )
        return table


def _card(found: Verdict) -> RenderableType:
    head = Text.assemble((found.claim.id, "bold"), "  ", _badge(found), overflow="fold")
    body = Table.grid(padding=(0, 0, 0, 2), pad_edge=True)
    body.add_column(overflow="fold")
    body.add_row(Text(found.claim.says))
    body.add_row(Text(found.sentence, style="dim"))
    grid = Table.grid()
    grid.add_column(overflow="fold")
    grid.add_row(head)
    grid.add_row(body)
    return grid


def _badge(found: Verdict) -> Text:
    outcome = found.outcome
    required = " (required)" if found.claim.required and outcome != "supported" else ""
    return Text.assemble((f"{SYMBOLS[outcome]} {outcome}", _STYLES[outcome]), required)


def _markdown(cell: str) -> str:
    """Text that cannot break out of a table's cell, nor be taken for HTML."""
    for character in "\\`*_[]|":
        cell = cell.replace(character, f"\\{character}")
    return cell.replace("&", "&amp;").replace("<", "&lt;")


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else value


def print_study_plan(
    plan: StudyPlan, *, seconds: float | None, console: Console | None = None
) -> None:
    """Prints experiments with their arms, the stacks, the networks, and the time they take.

    Args:
        plan: From `bninit.verbs.study.run.plan_study`.
        seconds: Estimated time; None where it is not known.
        console: Where to; standard output by default.
    """
    (console or Console()).print(plan_table(plan, seconds=seconds))


def plan_table(plan: StudyPlan, *, seconds: float | None) -> RenderableType:
    """The plan as tables; arguments as in `print_study_plan`."""
    study = plan.study
    num_missing = sum(map(len, plan.stacks))
    parts: list[RenderableType] = [Text(f"{study.title}", style="bold", overflow="fold")]
    for name, experiment in study.experiments.items():
        arms = [arm for arm in plan.arms if arm.experiment == name]
        head = Text(f"{name}: {text.plural(len(arms), 'arm')}", style="bold", overflow="fold")
        lines: list[tuple[str, str | Text]] = [("", experiment.says)] if experiment.says else []
        for key in arms[0].values:
            labels = list(dict.fromkeys(value_label(arm.values[key]) for arm in arms))
            lines.append((key, value_names(key, labels)))
        lines.append(("arms", "; ".join(arm.label for arm in arms)))
        parts.append(Group(head, pairs(lines)))
    if plan.stacks:
        parts.append(_stacks(plan))
    totals: list[tuple[str, str | Text]] = [
        ("claims", text.count(len(study.claims))),
        ("seeds", f"{len(study.seeds)} ({seeds_label(study.seeds)})"),
        ("networks", f"{plan.num_networks:,}, each arm with each seed once"),
        ("to train", f"{num_missing:,} in {text.plural(len(plan.stacks), 'stack')}"),
    ]
    if num_missing:
        told = "unknown" if seconds is None else f"about {text.seconds(seconds)}"
        totals.append(("time", f"{told}, evaluation not counted"))
    parts.append(pairs(totals, indent=0))
    return stacked(parts)


def missing_lines(
    missing: Mapping[str, Sequence[int]], *, num_networks: int, at_most: int = 12
) -> list[str]:
    """Tells which networks of a study are missing; nothing where none is.

    Args:
        missing: Seeds by arm, as `bninit.verbs.study.evidence.missing_runs` has them.
        num_networks: Of the whole study.
        at_most: Arms that are named.
    """
    if not missing:
        return []
    num_missing = sum(map(len, missing.values()))
    lines = [f"missing: {num_missing:,} of {num_networks:,} networks"]
    named = list(missing.items())
    lines += [f"  {label} ({seeds_phrase(seeds)})" for label, seeds in named[:at_most]]
    if len(named) > at_most:
        lines.append(f"  and of {len(named) - at_most} more arms")
    return lines


def _stacks(plan: StudyPlan) -> Grid:
    """The stacks to be trained, those of one kind in a row."""
    columns = [
        Column(header="stacks", numeric=True),
        Column(header="networks\nin each", numeric=True),
        Column(header="epochs", numeric=True),
        Column(header="steps", numeric=True, rank=2),
        Column(header="network", rank=1),
    ]
    kinds = Counter(
        (
            str(len(stack)),
            text.count(stack[0].config.train.epochs),
            text.count(stack[0].config.train.epochs * stack[0].config.iterations_per_epoch),
            _network(stack[0].config),
        )
        for stack in plan.stacks
    )
    return Grid(columns, [(str(number), *kind) for kind, number in kinds.items()])


def _network(config: Config) -> str:
    model = config.model
    hidden = value_label(list(model.hidden))
    return f"{hidden}, {model.activation}, placement {model.norm.placement}"
