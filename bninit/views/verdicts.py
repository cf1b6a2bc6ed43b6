"""The verdicts of a study for the terminal, for pipes and for files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from bninit.analysis.claims import ClaimResult
from bninit.views import claim_words, text
from bninit.views.layout import stacked

FORMATS = ("table", "markdown", "csv", "json")

SYMBOLS = {"supported": "+", "contradicted": "x", "undecided": "?"}
"""Before the word, so that verdicts can be told apart at a glance without colour."""

_STYLES = {"supported": "bold green", "contradicted": "bold red", "undecided": "yellow"}

_WIDE = 110
"""From this width on a claim has a row; below it, a card."""


def print_verdicts(
    claims: Sequence[ClaimResult],
    *,
    rows: Sequence[Mapping[str, Any]],
    form: str = "table",
    console: Console | None = None,
) -> None:
    """Prints verdicts on standard output.

    Args:
        claims: As they were decided.
        rows: The same as plain values (`bninit.studies.verdict_rows`), for CSV and JSON.
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


def verdict_table(claims: Sequence[ClaimResult]) -> RenderableType:
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


def counts_line(claims: Sequence[ClaimResult]) -> str:
    """How many there are of each verdict: ``8 supported, 1 contradicted, 2 undecided``."""
    outcomes = [found.verdict.outcome for found in claims]
    return ", ".join(f"{outcomes.count(each)} {each}" for each in claim_words.OUTCOMES)


def markdown_text(claims: Sequence[ClaimResult]) -> str:
    """The verdicts as a Markdown table, and below it the sentences."""
    header = "| claim | verdict | says | measured | interval | level | seeds |"
    lines = [header, "| --- | --- | --- | ---: | --- | ---: | ---: |"]
    for found in claims:
        cells = (
            found.claim.id,
            found.verdict.outcome,
            found.claim.says,
            claim_words.effect(found),
            claim_words.interval(found) or text.MISSING,
            claim_words.level(found),
            str(found.verdict.n),
        )
        lines.append(f"| {' | '.join(map(_markdown, cells))} |")
    sentences = [
        f"- **{_markdown(found.claim.id)}** {_markdown(found.verdict.sentence)}" for found in claims
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

    def __init__(self, claims: Sequence[ClaimResult]) -> None:
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
                Text(str(found.verdict.n)),
            )
        return table


def _card(found: ClaimResult) -> RenderableType:
    head = Text.assemble((found.claim.id, "bold"), "  ", _badge(found), overflow="fold")
    body = Table.grid(padding=(0, 0, 0, 2), pad_edge=True)
    body.add_column(overflow="fold")
    body.add_row(Text(found.claim.says))
    body.add_row(Text(found.verdict.sentence, style="dim"))
    grid = Table.grid()
    grid.add_column(overflow="fold")
    grid.add_row(head)
    grid.add_row(body)
    return grid


def _badge(found: ClaimResult) -> Text:
    outcome = found.verdict.outcome
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
