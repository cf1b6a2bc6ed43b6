"""Lists of runs, and one run, as text and JSON."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bninit.errors import UserError
from bninit.store import Run, find_runs
from bninit.verbs.runs import list_rows, print_json, print_rows, print_run


def printed(function: Any, what: Any, *, width: int = 120, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width)
    function(what, console=console, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


ROW = {
    "name": "bn-pre",
    "arm": "0123abcd",
    "seed": 3,
    "status": "done",
    "epochs": 10,
    "test_accuracy": 0.9812,
    "best_val_accuracy": 0.9834,
    "seconds": 75.0,
    "when": datetime(2026, 11, 22, 22, 41),
}


def test_a_run_has_one_line_with_a_dash_for_what_it_lacks(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("epochs", "test_accuracy", "best_val_accuracy", "seconds"))
    rows = [ROW, {**ROW, **nothing, "status": "damaged"}]
    assert lines_of(printed(print_rows, rows, runs_dir=tmp_path))[-2:] == [
        "bn-pre 0123abcd 3 done 10 98.12 % 98.34 % 1 min 15 s 2026-11-22 22:41",
        "bn-pre 0123abcd 3 damaged - - - - 2026-11-22 22:41",
    ]
    assert printed(print_rows, [], runs_dir=tmp_path) == f"no such runs in {tmp_path}\n"


def test_times_are_in_local_time_in_a_terminal_and_in_utc_in_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [{**ROW, "when": datetime(2026, 11, 22, 22, 41, tzinfo=UTC)}]
    try:
        monkeypatch.setenv("TZ", "XXX-5")
        time.tzset()
        assert "2026-11-23 03:41" in printed(print_rows, rows, runs_dir=tmp_path)
        (found,) = json.loads(printed(print_json, rows))
        assert found == {**ROW, "when": "2026-11-22T22:41:00+00:00"}
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_list_of_runs_fits_any_width_and_keeps_what_matters(width: int, tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "name": "n" * 64, "seed": 4294967295, "status": "diverged"}]
    text = printed(print_rows, rows, width=width, runs_dir=tmp_path)
    assert all(len(line) <= width for line in text.splitlines())
    for said in ("98.12 %", "done", "diverged", "4294967295"):
        assert said in text
    assert text.count("n") >= 64


def test_a_thousand_runs_are_printed_in_a_second(tmp_path: Path) -> None:
    began = time.process_time()
    text = printed(print_rows, [{**ROW, "seed": seed} for seed in range(1000)], runs_dir=tmp_path)
    assert time.process_time() - began < 1
    assert text.count("bn-pre") == 1000


def test_runs_are_filtered_and_sorted(keep_run: Any, tmp_path: Path) -> None:
    keep_run("a", [0.1, 0.6], test_accuracy=0.7)
    keep_run("b", [0.1, 0.6], overrides=["optim.lr=0.2"], test_accuracy=0.9)
    lost = keep_run("b", [0.1], seed=1, epochs=2)

    def seen(**options: Any) -> list[tuple[str, int]]:
        rows = list_rows(find_runs(tmp_path / "runs"), **options)
        return [(row["name"], row["seed"]) for row in rows]

    assert seen() == [("a", 0), ("b", 0), ("b", 1)]
    assert seen(sort="-test_accuracy") == [("b", 0), ("a", 0), ("b", 1)], "none comes last"
    assert seen(name="b", status="diverged") == [("b", 1)]
    assert seen(arm=lost.arm[:4]) == [("b", 1)]
    for options, message in (
        ({"sort": "size"}, "--sort: unknown column: 'size'\n  allowed: name, arm, "),
        ({"status": "lost"}, "--status: unknown status: 'lost'\n  allowed: done, diverged"),
    ):
        with pytest.raises(UserError) as caught:
            seen(**options)
        assert message in str(caught.value)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_run_is_shown_with_settings_figures_targets_and_files(keep_run: Any, width: int) -> None:
    run = keep_run(
        "bn", [0.1, 0.6, 0.7], test_accuracy=0.98, environment={"stack_size": 5},
        overrides=["model.norm.placement=pre", "targets=[0.6, 0.98]"],
    )  # fmt: skip
    text = printed(print_run, run, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = lines_of(text)
    for line in (
        "bn, seed 0",
        "status done",
        f"arm {run.arm}",
        "model.norm.placement pre",
        "model.hidden [2]",
        "test accuracy 98.00 %",
        "train accuracy 95.00 %",
        "train minus test -3.00 points",
        "best val accuracy 70.00 % (epoch 2)",
        "lowest val loss 1.6000",
        "trained with 4 other networks",
        "60 % after 1 epoch, 7 steps, 0.5 s",
        "98 % not reached in 2 epochs",
    ):
        assert line in lines
    assert any(line.startswith("final.safetensors ") for line in lines)
    assert ".lock" not in text


def test_what_a_run_lacks_is_left_out(keep_run: Any) -> None:
    diverged = lines_of(printed(print_run, keep_run("a", [0.1, 0.6], epochs=3)))
    assert any(line.startswith("diverged in epoch ") for line in diverged)
    assert "test accuracy -" in diverged
    partial = keep_run("b", [0.1, 0.6], overrides=["targets=[0.99]"])
    (partial.folder / "summary.json").unlink()
    text = printed(print_run, Run(partial.folder))
    assert "Figures" not in text
    assert "not reached in 1 epoch" in text
    (partial.folder / "summary.json").write_text("{")
    (partial.folder / "config.yaml").write_text("{")
    damaged = lines_of(printed(print_run, Run(partial.folder)))
    assert any(line.startswith("problem summary.json: ") for line in damaged)
    assert not any("Settings" in line or "Targets" in line for line in damaged)
