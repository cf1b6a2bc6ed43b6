from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden import taking


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    with taking.without_pictures():
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the runs that version 0.1.0 wrote."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(taking.RUNS, folder / "runs")
    return folder
