"""Lists of runs, one run, and parameters, as text."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from bninit.nets.architecture import Architecture, parameter_rows
from bninit.show.old_tables import RunPage, RunRow, parameter_table, run_panel, runs_table


def shown(what: RenderableType, *, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def run_row(**changes: Any) -> RunRow:
    row: RunRow = {
        "name": "bn-pre",
        "arm": "0123abcdef",
        "seed": 3,
        "status": "done",
        "epochs": 10,
        "test_accuracy": 0.9812,
        "best_val_accuracy": 0.9834,
        "seconds": 75.0,
        "when": datetime(2026, 11, 22, 22, 41),
    }
    return {**row, **changes}  # type: ignore[typeddict-item]


def test_a_run_has_one_line() -> None:
    lines = squeezed(shown(runs_table([run_row()])))
    assert lines[-1] == ("bn-pre 0123abcd 3 done 10 98.12 % 98.34 % 1 min 15 s 2026-11-22 22:41")


def test_what_a_run_does_not_have_is_a_dash() -> None:
    row = run_row(
        status="damaged",
        epochs=None,
        test_accuracy=None,
        best_val_accuracy=None,
        seconds=None,
        when=None,
    )
    assert squeezed(shown(runs_table([row])))[-1] == "bn-pre 0123abcd 3 damaged - - - - -"


def test_times_are_shown_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    when = datetime(2026, 11, 22, 22, 41, tzinfo=UTC)
    try:
        monkeypatch.setenv("TZ", "XXX-5")
        time.tzset()
        assert "2026-11-23 03:41" in shown(runs_table([run_row(when=when)]))
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_list_of_runs_fits_any_width_and_keeps_what_matters(width: int) -> None:
    rows = [run_row(), run_row(name="n" * 64, seed=4294967295, status="diverged")]
    text = shown(runs_table(rows), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    for said in ("98.12 %", "done", "diverged", "4294967295"):
        assert said in text
    assert text.count("n") >= 64


def test_a_thousand_runs_are_shown_in_a_second() -> None:
    began = time.process_time()
    text = shown(runs_table([run_row(seed=seed) for seed in range(1000)]))
    assert time.process_time() - began < 1
    assert text.count("bn-pre") == 1000


SUMMARY = {
    "status": "done",
    "epochs": 10,
    "steps": 4300,
    "num_parameters": 335114,
    "num_tracked": 1536,
    "diverged_epoch": None,
    "diverged_step": None,
    "final": {"val_loss": 0.0812, "val_accuracy": 0.981},
    "best": {"epoch": 8, "val_loss": 0.0701, "val_accuracy": 0.9822},
    "train_loss": 0.001,
    "train_accuracy": 0.9995,
    "test_loss": 0.0755,
    "test_accuracy": 0.98,
    "generalization_gap": 0.0195,
    "seconds": 5.1,
    "seconds_per_epoch": 0.51,
    "stack_size": 5,
}
TARGETS = [
    {"target": 0.95, "reached": True, "epochs": 1, "steps": 430, "seconds": 0.5},
    {"target": 0.98, "reached": False, "censored_at_epochs": 10},
]


def page(**changes: Any) -> RunPage:
    known: dict[str, Any] = {
        "name": "bn-pre",
        "arm": "0123abcd",
        "seed": 0,
        "status": "done",
        "folder": "runs/bn-pre-0123abcd/seed-0",
        "changed": {"model.norm.placement": "pre", "model.hidden": [256, 256]},
        "summary": SUMMARY,
        "targets": TARGETS,
        "files": [("metrics.csv", 1234), ("final.safetensors", 1_340_000)],
    }
    return RunPage(**{**known, **changes})


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_run_is_shown_with_settings_figures_targets_and_files(width: int) -> None:
    text = shown(run_panel(page()), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = squeezed(text)
    for line in (
        "bn-pre, seed 0",
        "status done",
        "folder runs/bn-pre-0123abcd/seed-0",
        "model.norm.placement pre",
        "model.hidden [256, 256]",
        "test accuracy 98.00 %",
        "train accuracy 99.95 %",
        "train minus test +1.95 points",
        "best val accuracy 98.22 % (epoch 8)",
        "lowest val loss 0.0701",
        "steps 4,300",
        "trained with 4 other networks",
        "parameters 335,114 trained",
        "95 % after 1 epoch, 430 steps, 0.5 s",
        "98 % not reached in 10 epochs",
        "metrics.csv 1.2 kB",
        "final.safetensors 1.3 MB",
    ):
        assert line in lines


def test_a_diverged_run_tells_where_and_has_no_test_figures() -> None:
    summary = {
        **SUMMARY,
        "status": "diverged",
        "diverged_epoch": 3,
        "diverged_step": 1207,
        "test_accuracy": None,
        "generalization_gap": None,
    }
    lines = squeezed(shown(run_panel(page(status="diverged", summary=summary))))
    assert "diverged in epoch 3, step 1,207" in lines
    assert "test accuracy -" in lines
    assert "train minus test -" in lines


def test_an_unfinished_run_has_no_figures_but_its_targets() -> None:
    text = shown(run_panel(page(status="partial", summary=None)))
    assert "Figures" not in text
    assert "not reached in 10 epochs" in text


def test_a_damaged_run_tells_what_is_wrong() -> None:
    damaged = page(
        status="damaged", summary=None, targets=(), files=(), changed=None, problem="[x] is cut"
    )
    lines = squeezed(shown(run_panel(damaged)))
    assert "problem [x] is cut" in lines
    assert not any("Settings" in line or "Files" in line for line in lines)


def test_a_run_with_default_settings_says_so() -> None:
    assert "all settings are the defaults" in shown(run_panel(page(changed={})))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_parameters_of_a_batch_norm_layer_of_five_nodes(width: int) -> None:
    """N8 of the lecture notes: 5 x 4 = 20 numbers, 10 of them trained."""
    rows = parameter_rows(Architecture(widths=(784, 5, 10), placement="pre"))
    text = shown(parameter_table(rows), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    lines = squeezed(text)
    shape = "" if width == 40 else "5 "
    assert f"batch norm {shape}10 10" in lines
    assert "all 3,990 10" in lines  # 784 x 5 + 10 + 5 x 10 + 10
    words = " ".join(" ".join(lines).split())
    assert "linear, no bias" in words or "linear, no 3,920 bias" in words
    assert "no bias: batch norm right after the layer would cancel it" in words
    assert "gamma and beta are trained, moving mean and moving variance are tracked" in words


def test_parameters_without_batch_norm_speak_of_none() -> None:
    text = shown(parameter_table(parameter_rows(Architecture(widths=(784, 10)))))
    assert squeezed(text)[2] == "output linear 784 -> 10 7,850"
    assert "batch norm" not in text
    assert "no bias" not in text


def test_batch_norm_without_gamma_and_beta_has_two_numbers_a_node() -> None:
    rows = parameter_rows(Architecture(widths=(4, 2), input_norm=True, affine=False))
    text = shown(parameter_table(rows))
    assert "input batch norm, not affine 4 8" in squeezed(text)
    assert "4 numbers for each node" not in text
    assert "2 tracked numbers for each node" in text
