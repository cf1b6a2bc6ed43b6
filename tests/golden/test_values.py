"""Small trainings and their verdicts have the figures of version 0.1.0.

float64 is held to nine digits, which processors and releases of torch leave alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from golden import taking


@pytest.fixture(scope="module")
def placements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return taking.take_study("placements", tmp_path_factory.mktemp("study"), num_seeds=2)


def test_each_placement_and_optimiser_in_float64(placements: dict[str, Any]) -> None:
    then = taking.stored("placements")
    exact = {name: run for name, run in then["runs"].items() if "optim" in name}
    assert len(exact) == 18
    assert list(taking.differences(exact, placements["runs"], rtol=1e-9)) == []
    assert list(taking.differences(then["verdicts"], placements["verdicts"], rtol=1e-9)) == []


def test_each_placement_in_float32(placements: dict[str, Any]) -> None:
    then = taking.stored("placements")["runs"]
    single = {name: run for name, run in then.items() if "optim" not in name}
    assert len(single) == 6
    for name, run in single.items():
        now = placements["runs"][name]
        early = taking.differences(run["steps"][:5], now["steps"][:5], rtol=1e-4, at=name)
        # Later an image or two may fall to the other side.
        late = taking.differences(run, now, rtol=0.01, at=name)
        assert [*early, *late] == []


def test_verdicts_probes_and_diverged_runs(tmp_path: Path) -> None:
    then, now = taking.stored("claims"), taking.take_study("claims", tmp_path, num_seeds=1)
    assert list(taking.differences(then, now, rtol=1e-7)) == []
    assert {verdict["outcome"] for verdict in now["verdicts"]} == {
        "supported",
        "contradicted",
        "undecided",
    }
