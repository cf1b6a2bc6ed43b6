"""What is wrong is told at its place, with exit code 2; the words may get better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import running
from golden import taking

CASES = taking.stored("wrong_input")
SOUND = """\
name: a
model: {init: {scheme: normal, std: 0.1}}
optim: {momentum: 0.5, schedule: cosine}
"""


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_it_is_told_where_it_stands(case: dict[str, Any], kept: Path, tmp_path: Path) -> None:
    text = case.get("config", SOUND)
    (tmp_path / "c.yaml").write_bytes(text.encode(case.get("encoding", "utf-8")))
    command = ["train", "--config", "c.yaml", "--dry-run"]
    if "study" in case:
        (tmp_path / "s.yaml").write_text(case["study"])
        command = ["study", "s.yaml", "--dry-run"]
    runs = str(kept / "runs")
    arguments = [one.replace("RUNS", runs) for one in case.get("argv", command)]
    done = running.bninit(*arguments, *case.get("options", []), cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    is_usage = "argv" in case
    lines = [done.stderr] if is_usage else done.stderr.removeprefix("error: ").splitlines()
    for told in case["told"]:
        assert any(all(part in line for part in told) for line in lines), (told, done.stderr)
    if not is_usage:
        # All faults at once, and none that only follows from another.
        assert sum(not line.startswith(" ") for line in lines) == len(case["told"]), done.stderr
    assert case.get("hint", "") in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"c.yaml", "s.yaml"}
