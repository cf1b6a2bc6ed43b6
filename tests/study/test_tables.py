"""Verdicts on the terminal and in pipes."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from bninit.verbs.study.run import verdict_rows
from bninit.verbs.study.sentence import sentence
from bninit.verbs.study.tables import (
    FORMATS,
    counts_line,
    csv_text,
    markdown_text,
    print_verdicts,
)

if TYPE_CHECKING:
    from bninit.verbs.study.run import StudyResult


def printed(result: StudyResult, *, width: int = 100, form: str = "table") -> str:
    console = Console(file=io.StringIO(), width=width)
    print_verdicts(result.claims, rows=verdict_rows(result), form=form, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 109, 110, 140, 200])
def test_nothing_is_cut_at_any_width(tiny_study: StudyResult, width: int) -> None:
    told = printed(tiny_study, width=width)
    assert max(map(len, told.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in told
    for found in tiny_study.claims:
        assert found.claim.id in told
    words = re.sub(r"\s+", "", told)
    for outcome in ("supported", "contradicted", "undecided"):
        assert outcome in words
    if width < 110:
        for found in tiny_study.claims:
            assert re.sub(r"\s+", "", sentence(found)) in words


def test_a_wide_terminal_has_a_row_for_each_claim(tiny_study: StudyResult) -> None:
    rows = printed(tiny_study, width=200).splitlines()
    (row,) = [row for row in rows if row.startswith("number ")]
    found = next(each for each in tiny_study.claims if each.claim.id == "number")
    assert found.outcome == "contradicted"
    assert "x contradicted (required)" in row
    assert "Raw pixels are no problem" in row
    value = 100 * (0.5 + (found.effect or 0.0))
    assert f"{value:.2f} %" in row
    assert row.split()[-1] == "5"


def test_the_counts_add_up(tiny_study: StudyResult) -> None:
    numbers = [int(part.split()[0]) for part in counts_line(tiny_study.claims).split(", ")]
    assert sum(numbers) == len(tiny_study.claims)
    assert counts_line(tiny_study.claims) in printed(tiny_study)


def test_no_colour_is_needed(tiny_study: StudyResult) -> None:
    """Each verdict is told by its word and its sign."""
    signs = {"supported": "+", "contradicted": "x", "undecided": "?"}
    told = printed(tiny_study, width=200)
    for found in tiny_study.claims:
        badge = f"{signs[found.outcome]} {found.outcome}"
        assert re.search(rf"^{re.escape(found.claim.id)} +{re.escape(badge)}", told, re.M)


def test_json_is_strict_and_whole(tiny_study: StudyResult) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    rows = json.loads(printed(tiny_study, form="json"), parse_constant=refuse)
    assert rows == json.loads(json.dumps(verdict_rows(tiny_study)))
    lost = next(row for row in rows if row["id"] == "lost")
    assert lost["effect"] is None, "an infinite effect has no number"


def test_csv_is_read_back(tiny_study: StudyResult) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(tiny_study, form="csv"))))
    for row, expected in zip(rows, verdict_rows(tiny_study), strict=True):
        assert row["says"] == expected["says"]
        assert row["seeds"] == "0 1 2 3 4"
        assert row["required"] == ("true" if expected["required"] else "false")
        for key in ("effect", "low", "high", "p_value"):
            assert (float(row[key]) if row[key] else None) == expected[key]
    assert csv_text([]) == ""


def test_markdown_has_a_cell_for_each_column(tiny_study: StudyResult) -> None:
    told = printed(tiny_study, form="markdown")
    table = [line for line in told.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(tiny_study.claims)
    for line in table:
        assert len(re.findall(r"(?<!\\)\|", line)) == 8, line
    assert "<script" not in told
    assert markdown_text(tiny_study.claims) == told


def test_forms_are_what_they_say(tiny_study: StudyResult) -> None:
    assert len({printed(tiny_study, form=form) for form in FORMATS}) == 4


def test_a_study_without_claims_says_so() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_verdicts([], rows=[], console=console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "the study has no claims\n"
