"""The table at the end, against numbers worked out by hand."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bninit.arms import summarise_arms
from bninit.verbs.train import (
    CENSORED_REMARK,
    LEFT_OUT_REMARK,
    MEDIAN_REMARK,
    SHARE_REMARK,
    final_table,
)


def run(
    seed: int, accuracy: float | None, *, name: str = "bn-pre", **epochs_to: int | None
) -> dict[str, Any]:
    """A summary; targets are given as t95=2, an epoch takes half a second and 430 steps."""
    return {
        "name": name,
        "arm": f"{name}-id",
        "seed": seed,
        "status": "diverged" if accuracy is None else "done",
        "test_accuracy": accuracy,
        "seconds_per_epoch": 0.5,
        "targets": [
            {
                "target": int(key[1:]) / 100,
                "reached": epochs is not None,
                "epochs": epochs,
                "steps": None if epochs is None else 430 * epochs,
                "seconds": None if epochs is None else 0.5 * epochs,
                "censored": epochs is None,
                "censored_at_epochs": 10 if epochs is None else None,
            }
            for key, epochs in epochs_to.items()
        ],
    }


def shown(*runs: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(final_table(summarise_arms(runs)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(text: str, *words: str) -> str:
    """The only line with all of these words, its gaps closed up."""
    (found,) = [
        " ".join(line.split()) for line in text.splitlines() if all(w in line for w in words)
    ]
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_each_arm_has_its_accuracy_with_standard_deviation() -> None:
    text = shown(
        run(0, 0.981),
        run(1, 0.983),
        run(2, 0.985),
        run(0, 0.9, name="bn-none"),
        run(1, 0.94, name="bn-none"),
    )
    assert row(text, "bn-pre") == "bn-pre 3 98.30 % (SD 0.20) none 0.5 s"
    assert row(text, "bn-none") == "bn-none 2 92.0 % (SD 2.8) none 0.5 s"
    assert LEFT_OUT_REMARK not in text


def test_diverged_runs_are_counted_and_what_the_mean_leaves_out_is_said() -> None:
    text = shown(run(0, 0.981), run(1, None), run(2, 0.985))
    assert row(text, "bn-pre") == "bn-pre 3 98.30 % (SD 0.28, 2 of 3 seeds) 1 of 3 0.5 s"
    assert LEFT_OUT_REMARK in text


def test_an_arm_that_diverged_altogether_has_no_accuracy() -> None:
    assert row(shown(run(0, None), run(1, None)), "bn-pre") == "bn-pre 2 - all 2 0.5 s"


def test_a_target_that_all_reached_has_its_median() -> None:
    text = shown(*(run(i, 0.98, t95=e) for i, e in enumerate([1, 2, 6])))
    assert row(text, "95 %") == "95 % bn-pre all 3 2 860 1.0 s"
    assert MEDIAN_REMARK in text
    assert one_line(CENSORED_REMARK) not in one_line(text)


def test_a_median_over_reached_and_not_reached_says_how_many_reached_it() -> None:
    text = shown(*(run(i, 0.98, t95=e) for i, e in enumerate([1, 6, None])))
    # The mean of those that reached it would be 3.5 epochs.
    assert row(text, "95 %") == "95 % bn-pre 2 of 3 in 10 epochs 6 2,580 3.0 s"
    assert one_line(CENSORED_REMARK) in one_line(text)


def test_where_half_or_more_never_reached_it_there_is_no_number() -> None:
    text = shown(*(run(i, 0.98, t95=e) for i, e in enumerate([1, None])))
    assert row(text, "95 %") == "95 % bn-pre 1 of 2 in 10 epochs - - -"


def test_one_seed_reaches_a_target_or_does_not() -> None:
    text = shown(run(0, 0.98, t95=3, t97=None))
    assert row(text, "95 %") == "95 % bn-pre yes 3 1,290 1.5 s"
    assert row(text, "97 %") == "97 % bn-pre no in 10 epochs - - -"
    assert "median" not in text
    assert one_line(SHARE_REMARK) not in one_line(text)


def test_targets_stand_together_so_that_arms_can_be_compared() -> None:
    text = shown(
        run(0, 0.9, name="b", t95=3, t97=4), run(0, 0.9, name="a", t95=5, t97=6)
    ).splitlines()
    (first,) = [i for i, line in enumerate(text) if "95 %" in line]
    assert [" ".join(line.split()) for line in text[first : first + 5]] == [
        "95 % b yes 3 1,290 1.5 s",
        "a yes 5 2,150 2.5 s",
        "",
        "97 % b yes 4 1,720 2.0 s",
        "a yes 6 2,580 3.0 s",
    ]


def test_without_targets_there_is_one_table() -> None:
    assert "reached" not in shown(run(0, 0.98))


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", ["bn-pre", "n" * 64])
def test_everything_is_there_at_any_width(width: int, name: str) -> None:
    text = shown(
        run(0, 0.981, name=name, t95=2),
        run(1, None, name=name, t95=None),
        run(2, 0.985, name=name, t95=4),
        width=width,
    )
    assert all(len(line) <= width for line in text.splitlines())
    assert name in "".join(text.split())
    for said in ("98.30 %", "SD 0.28", "2 of 3", "1 of 3", "95 %", "2 of 3 in 10 epochs", "1,720"):
        assert said in one_line(text)
