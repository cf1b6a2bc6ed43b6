"""Words, tables, report, CSV and JSON of one comparison."""

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

from bninit.arms import TIMES, ArmSummary, arms_of
from bninit.metrics import METRICS
from bninit.stats import Estimate, Spread
from bninit.store.files import json_text
from bninit.verbs.compare.compare import FIGURES, SHARED_CLOCK, Comparison, Difference, compare_arms
from bninit.verbs.compare.tables import (
    ARM_PROPERTIES,
    again,
    difference_text,
    figure_text,
    figures_table,
    interval_text,
    markdown_text,
    print_comparison,
    reading_text,
    record,
    short_title,
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


def test_a_property_of_the_arm_is_one_entry(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARM_PROPERTIES, "placement", "batch norm")
    assert "batch norm" in printed(comparison, width=120)
    assert "| batch norm |" in markdown_text(comparison)
    rows = pd.read_csv(io.StringIO(printed(comparison, form="csv")), keep_default_na=False)
    assert set(rows["placement"]) == {"none", "pre", "post"}
    assert json.loads(printed(comparison, form="json"))["arms"][1]["placement"] == "pre"


def test_the_report_is_markdown_that_holds_together(comparison: Comparison) -> None:
    report = markdown_text(comparison, pictures=("curves.png", "differences.png"))
    assert report.count("\n| --- |") == 4
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
    table = pd.read_csv(io.StringIO(figures_table(comparison).csv()), dtype={"arm": str})
    assert len(table) == 3 * (len(FIGURES) + len(TIMES) * 2)
    assert not table.duplicated(["arm", "metric", "target"]).any()
    cell = table[(table["label"] == "pre") & (table["metric"] == "test_accuracy")].iloc[0]
    assert (cell["mean"], cell["n"], cell["difference"]) == pytest.approx((0.9, 3, 0.0))
    assert table.loc[table["label"] == "none", "difference"].isna().all()
    reached = table[(table["metric"] == "epochs_to_accuracy") & (table["target"] == 0.79)]
    assert reached["num_reached"].tolist() == [1, 1, 1]
    assert reached["median"].isna().all()
    assert reached["mean"].isna().all()
    runs = pd.read_csv(io.StringIO(comparison.runs.to_csv(index=False)))
    assert len(runs) == 9
    assert runs["optim.lr"].tolist() == [0.1] * 6 + [0.7] * 3
    assert runs["status"].value_counts().to_dict() == {"done": 7, "diverged": 2}


def test_json_is_strict_and_says_the_same(comparison: Comparison) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    value = json.loads(json_text(record(comparison)), parse_constant=refuse)
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
    assert text == (
        markdown_text(comparison) if form == "markdown" else figures_table(comparison).csv()
    )


def difference(metric: str = "test_accuracy", **changes: Any) -> Difference:
    about: dict[str, Any] = {
        "effect": 0.0123,
        "low": 0.001,
        "high": 0.02,
        "level": 0.95,
        "n": 4,
        "num_lost": 0,
        "p_value": 0.01,
        "method": "paired t",
    }
    others: dict[str, Any] = {"num_missing": (0, 0), "horizon": None, "is_median": False}
    for key, value in changes.items():
        (about if key in about else others)[key] = value
    return Difference(
        arm="b",
        metric=METRICS[metric],
        target=0.97 if METRICS[metric].needs_target else None,
        estimate=Estimate(**about),
        seeds=(0, 1, 2, 3),
        alpha=0.05,
        **others,
    )


def test_differences_have_signs_and_the_metrics_own_unit() -> None:
    assert difference_text(difference()) == "+1.23"
    assert interval_text(difference()) == "+0.10 to +2.00"
    assert difference_text(difference("final_val_loss", effect=-0.0123)) == "-0.012"
    assert difference_text(difference("final_val_loss", effect=-12345.6)) == "-12,346"
    for tiny in (0.0, -1e-9, 1e-9):
        assert difference_text(difference(effect=tiny)) == "0.00", "no sign without a size"


def test_a_target_that_one_side_missed_leaves_an_end_open() -> None:
    arm = difference("epochs_to_accuracy", effect=2.0, low=1.0, high=3.0, num_missing=(1, 0),
                     horizon=9)  # fmt: skip
    assert (difference_text(arm), interval_text(arm)) == ("+2.0 or higher", "at least +1.0")
    baseline = difference("epochs_to_accuracy", effect=-2.0, low=-3.0, high=-1.0,
                          num_missing=(0, 1), horizon=9)  # fmt: skip
    assert (difference_text(baseline), interval_text(baseline)) == ("-2.0 or lower", "at most -1.0")
    both = difference("epochs_to_accuracy", effect=2.0, low=1.0, high=3.0, num_missing=(1, 1),
                      horizon=9)  # fmt: skip
    assert (difference_text(both), interval_text(both)) == ("+2.0", "+1.0 to +3.0")


@pytest.mark.parametrize(
    ("metric", "missing", "said"),
    [
        ("test_accuracy", (3, 0), "3 of 4 diverged"),
        ("test_accuracy", (1, 3), "3 of 4 of the baseline diverged"),
        ("test_accuracy", (4, 4), "both diverged"),
        ("epochs_to_accuracy", (4, 4), "reached by neither"),
        ("seconds_to_accuracy", (4, 0), "all 4 did not reach it"),
    ],
)
def test_what_has_no_size_says_why(metric: str, missing: tuple[int, int], said: str) -> None:
    found = difference(metric, effect=None, low=None, high=None, num_missing=missing)
    assert difference_text(found) == said
    assert interval_text(found) == "-"


def test_readings() -> None:
    assert str(reading_text(difference())) == "better"
    assert str(reading_text(difference("final_val_loss"))) == "worse"
    assert str(reading_text(difference(p_value=0.06))) == "unclear"
    assert str(reading_text(difference(p_value=None, method=SHARED_CLOCK))) == ""
    assert str(reading_text(difference("generalization_gap"))) == "larger"


def test_titles_tell_the_unit_of_a_difference() -> None:
    assert short_title(METRICS["test_accuracy"], None) == "test accuracy (points)"
    assert short_title(METRICS["epochs_to_accuracy"], 0.975) == "epochs to 97.5 %"
    assert short_title(METRICS["seconds_per_epoch"], None) == "one epoch (s)"


def test_figures_tell_of_how_many_runs_they_are() -> None:
    def said(n: int, sd: float | None) -> str:
        spread = Spread(mean=0.98765, sd=sd, low=0.9, high=1.0, n=n)
        arm = ArmSummary(
            label="a", name="a", id="0" * 8, placement="none", settings={}, seeds=(0, 1, 2),
            num_diverged=3 - n, num_parameters=1, figures={"test_accuracy": spread}, targets=(),
            median_seconds_per_epoch=None,
        )  # fmt: skip
        return figure_text(arm, "test_accuracy")

    assert said(3, 0.0123) == "98.77 (SD 1.23)"
    assert said(2, 0.0123) == "98.77 (SD 1.23), 2 of 3"
    assert said(1, None) == "98.77, 1 of 3"
