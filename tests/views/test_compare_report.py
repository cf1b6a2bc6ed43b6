"""Tables, report, CSV and JSON of one comparison."""

from __future__ import annotations

import io
import json
import math
import re
import shlex
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from bninit.arms import TIMES, arms_of
from bninit.verbs.compare.compare import FIGURES, Comparison, compare_arms
from bninit.verbs.compare.tables import (
    again,
    csv_text,
    json_text,
    markdown_text,
    print_comparison,
    runs_csv_text,
    tables_of,
)


@pytest.fixture
def comparison(keep_run: Any) -> Comparison:
    runs = []
    for name, overrides in (
        ("none", ()),
        ("pre", ["model.norm.placement=pre"]),
        ("wild", ["model.norm.placement=post", "optim.lr=0.7"]),
    ):
        for seed in range(3):
            wild = name == "wild" and seed < 2
            runs.append(
                keep_run(
                    name,
                    [0.1, 0.3] if wild else [0.1, 0.6 + seed / 10, 0.7, 0.75],
                    seed=seed,
                    epochs=3,
                    overrides=overrides,
                    val_losses=[2.3, math.inf] if wild else None,
                )
            )
    return compare_arms(arms_of(runs), targets=[0.5, 0.79], warnings=["Mind | this."])


def printed(comparison: Comparison, *, width: int = 100, form: str = "table") -> str:
    console = Console(file=io.StringIO(), width=width)
    print_comparison(comparison, form=form, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_shows_everything_at_any_width(comparison: Comparison) -> None:
    wide = printed(comparison)
    for said in ("none", "pre", "wild", "2 of 3", "95 % interval", "Mind | this.", "placement"):
        assert said in wide
    assert re.search(r"the learning rate differs, too \(wild 0\.7, none 0\.1\)", wide, re.I)
    for width in (40, 60, 80):
        assert max(map(len, printed(comparison, width=width).splitlines())) <= width
    assert wide.isascii() or not set(wide) - set("─") - {chr(i) for i in range(128)}


def test_tables_have_as_many_cells_as_headers(comparison: Comparison) -> None:
    tables = tables_of(comparison)
    assert len(tables) == 4
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.headers)}
    (arms, results, times, differences) = tables
    assert len(arms.rows) == len(results.rows) == 3
    assert len(times.rows) == 3 * 2
    assert len(differences.rows) == 2 * (len(FIGURES) + 2), "epochs stand for steps"
    assert times.sections == (2,)


def test_the_report_is_markdown_that_holds_together(comparison: Comparison) -> None:
    report = markdown_text(comparison, pictures=("curves.png", "differences.png"))
    assert report.count("\n| --- ") == 4
    for block in re.findall(r"(?:^\|.*\n)+", report, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1
    assert re.findall(r"\]\((.*?)\)", report) == ["curves.png", "differences.png"]
    assert "`optim.lr`" in report
    assert "Mind | this." in report
    assert again(comparison) in report
    assert shlex.split(again(comparison))[-4:] == [
        comparison.arms[0].id,
        "--no-train",
        "--targets",
        "0.5,0.79",
    ]


def test_csv_is_tidy(comparison: Comparison) -> None:
    table = pd.read_csv(io.StringIO(csv_text(comparison)), dtype={"arm": str})
    assert len(table) == 3 * (len(FIGURES) + len(TIMES) * 2)
    assert not table.duplicated(["arm", "metric", "target"]).any()
    cell = table[(table["label"] == "pre") & (table["metric"] == "test_accuracy")].iloc[0]
    assert (cell["mean"], cell["n"], cell["difference"]) == pytest.approx((0.9, 3, 0.0))
    assert table.loc[table["label"] == "none", "difference"].isna().all()
    reached = table[(table["metric"] == "epochs_to_accuracy") & (table["target"] == 0.79)]
    assert reached["num_reached"].tolist() == [1, 1, 1]
    assert reached["median"].isna().all()
    assert reached["mean"].isna().all()
    runs = pd.read_csv(io.StringIO(runs_csv_text(comparison)))
    assert len(runs) == 9
    assert runs["optim.lr"].tolist() == [0.1] * 6 + [0.7] * 3
    assert runs["status"].value_counts().to_dict() == {"done": 7, "diverged": 2}


def test_json_is_strict_and_says_the_same(comparison: Comparison) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    value = json.loads(json_text(comparison), parse_constant=refuse)
    assert value == json.loads(printed(comparison, form="json"))
    assert [arm["num_diverged"] for arm in value["arms"]] == [0, 0, 2]
    assert len(value["differences"]) == len(comparison.differences)
    assert value["arms"][0]["targets"][0]["reached_by_epoch"]["share"][-1] == 1.0
    wild = [row for row in value["runs"] if row["label"] == "wild"]
    assert [row["test_accuracy"] for row in wild] == [None, None, 0.9]
    assert value["varied"] == ["model.norm.placement", "optim.lr"]


@pytest.mark.parametrize(("form", "start"), [("markdown", "# none, pre"), ("csv", "arm,label,")])
def test_other_formats_go_out_as_they_are(comparison: Comparison, form: str, start: str) -> None:
    text = printed(comparison, width=30, form=form)
    assert text.startswith(start)
    assert text == (markdown_text(comparison) if form == "markdown" else csv_text(comparison))
