"""What a run is trained with, found out from the machine itself."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import bninit
from bninit.store.environment import environment, git_state, with_resumption


def git(*command: str, folder: Path) -> str:
    about = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *about, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment(device="cpu", data_checksum="abc", stack_size=4)
    versions = found["versions"]
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (versions["torch"], versions["numpy"]) == (str(torch.__version__), np.__version__)
    assert versions["bninit"] == bninit.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["command"] == sys.argv
    assert (found["device"], found["device_name"], found["cuda"]) == ("cpu", None, None)
    assert (found["data_checksum"], found["stack_size"]) == ("abc", 4)
    assert found["cpu"]
    started = datetime.fromisoformat(found["started"])
    assert abs(datetime.now(UTC) - started) < timedelta(minutes=1)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    monkeypatch.setattr("bninit.store.environment._PACKAGES", ("no-such-package",))
    assert environment(device="cpu")["versions"]["no-such-package"] is None


def test_git_state(tmp_path: Path) -> None:
    git("init", "-q", folder=tmp_path)
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "a").write_text("1")
    git("add", "a", folder=tmp_path)
    git("commit", "-q", "-m", "x", folder=tmp_path)
    commit = git("rev-parse", "HEAD", folder=tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "untracked").write_text("")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}


def test_no_git_or_one_that_hangs_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_state(Path()) is None
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("bninit.store.environment._GIT_SECONDS", 0.2)
    assert git_state(tmp_path) is None


def test_what_is_kept_of_each_time() -> None:
    first = {"device": "cpu", "threads": 2, "started": "1"}
    assert with_resumption(None, first, epoch=3) == first
    once = with_resumption(first, {**first, "started": "2"}, epoch=3)
    assert once == {**first, "resumed": [{"epoch": 3, "started": "2"}]}
    twice = with_resumption(once, {**first, "threads": 8}, epoch=5)
    assert twice["resumed"] == [{"epoch": 3, "started": "2"}, {"epoch": 5, "threads": 8}]
    assert once["resumed"] == [{"epoch": 3, "started": "2"}]
    assert with_resumption({"resumed": "?"}, first, epoch=1)["resumed"] == [{"epoch": 1, **first}]
