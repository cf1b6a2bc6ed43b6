"""Folders of a scripted run: finished, and left after its first epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import CONFIG, PROBED, Story, results_of

from bninit.store import run_folder


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def seed_dir(runs_dir: Path) -> Path:
    """Where the run of seed 0 will be."""
    return run_folder(runs_dir, CONFIG, 0)


@pytest.fixture
def finished(runs_dir: Path, seed_dir: Path) -> Path:
    """The folder of a finished run."""
    Story().play(runs_dir)
    return seed_dir


@pytest.fixture
def half(runs_dir: Path, seed_dir: Path) -> Path:
    """The folder of a run that was left after its first epoch."""
    Story().play(runs_dir, until=1)
    return seed_dir


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing has disturbed."""
    runs_dir = tmp_path_factory.mktemp("undisturbed")
    Story().play(runs_dir)
    return results_of(run_folder(runs_dir, CONFIG, 0))


@pytest.fixture(scope="session")
def expected_with_probes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same of a run with probes."""
    runs_dir = tmp_path_factory.mktemp("undisturbed-with-probes")
    Story(PROBED).play(runs_dir)
    return results_of(run_folder(runs_dir, PROBED, 0))
