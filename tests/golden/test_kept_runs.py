"""Runs that version 0.1.0 wrote are read, skipped as finished, compared, looked into, ended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import running
from golden import taking

import bninit


@pytest.mark.parametrize("verb", [verb for verb in taking.VERBS if verb != "landscape"])
def test_verbs_print_and_write_what_they_did(kept: Path, verb: str) -> None:
    then, now = taking.stored("verbs")[verb], taking.take_verb(verb, kept)
    # Only explain computes something new; the rest stands in the files.
    assert list(taking.differences(then, now, rtol=1e-7)) == []


def test_python_reads_them(kept: Path) -> None:
    runs = {f"{run.folder.parent.name}/{run.seed}": run for run in bninit.find_runs(kept / "runs")}
    assert [run.status for run in runs.values()] == ["partial", "diverged", *["done"] * 4]
    table = bninit.load_runs(kept / "runs")
    assert len(table) == 3 + 2 + 4 * 4
    probed = runs["probed-dce48593/0"]
    assert bninit.load_config(probed.folder / "config.yaml").name == "probed"
    assert len(probed.layers()) == 1094
    assert len(probed.load_network()) > 3


@pytest.mark.parametrize("name", ["plain-5053ec4a", "probed-dce48593", "diverges-4d7abd40"])
def test_finished_ones_are_not_trained_again(kept: Path, name: str) -> None:
    folder = kept / "runs" / name
    config = str(folder / "seed-0" / "config.yaml")
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.name != "curves.png"}
    seeds = str(len(list(folder.glob("seed-*"))))
    done = running.bninit("train", "--config", config, "--seeds", seeds, cwd=kept)
    assert (done.returncode, done.stderr.count("epoch 1")) == (0, 0), done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_the_unfinished_one_goes_on_and_can_be_looked_around(tmp_path: Path) -> None:
    shutil.copytree(taking.RUNS, tmp_path / "runs")
    then, now = taking.stored("cut"), taking.finish_cut(tmp_path)
    assert list(taking.differences(then, now, rtol=1e-9)) == []
    environment = json.loads((tmp_path / taking.CUT / "seed-0/environment.json").read_text())
    assert [one["epoch"] for one in environment["resumed"]] == [2]
    then, now = taking.stored("landscape"), taking.take_verb("landscape", tmp_path)
    assert list(taking.differences(then, now, rtol=1e-7)) == []
