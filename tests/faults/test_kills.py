"""Killed at any moment and started again until it ends, a command gives what it always gives."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kept import Place, Reader, places, results, resumptions
from small import COMMANDS, fill
from warm import Warm

Undisturbed = Callable[[str], dict[str, Any]]
Record = Callable[[str, object], None]

WRITES = {"train": 41, "study": 102}
"""Files that an undisturbed command replaces; kills are aimed at each of them."""


def aim(rng: random.Random, *, num_writes: int) -> tuple[dict[str, Any], float | None]:
    """Where to kill next: at a write, within one, or after some seconds."""
    at = rng.randint(1, num_writes)
    kind = rng.choice(["before_replacement", "after_replacement", "within_write", "time"])
    if kind == "time":
        return {}, rng.uniform(0.0, 0.9)
    return {f"die_{kind}": at}, None


def lost(runs_dir: Path, before: dict[str, Place]) -> int:
    """Epochs that the killed process had on record and that are to be trained again.

    Fails when a run lost more than one, or anything that an earlier process had kept.
    """
    repeated = 0
    for run, place in places(runs_dir).items():
        assert place.recorded - place.kept in (0, 1), f"{run}: {place}"
        assert place.kept >= before.get(run, Place()).kept, f"{run}: {place} after {before[run]}"
        assert place.finished >= before.get(run, Place()).finished
        repeated += place.recorded - place.kept
    return repeated


def check_resumptions(
    before: dict[str, list[tuple[int, int]]], at: dict[str, Place], runs_dir: Path
) -> None:
    """Each run that went on did so from where its files said."""
    for run, told in resumptions(runs_dir).items():
        new = told[len(before.get(run, [])) :]
        assert new in ([], [(at[run].kept, at[run].steps)] if run in at else [])


def kill_until_it_ends(
    warm: Warm, folder: Path, rng: random.Random, *, command: str, most: int
) -> tuple[int, int]:
    """Kills a command up to so many times, and then lets it end.

    Returns:
        Processes that were killed; epochs on record that had to be trained again.
    """
    runs, kills, repeated = folder / "runs", 0, 0
    while True:
        before, told = places(runs), resumptions(runs)
        fault, seconds = aim(rng, num_writes=WRITES[command] // 3)
        child = warm.start(*COMMANDS[command], cwd=folder, fault=fault if kills < most else None)
        if seconds is not None and kills < most:
            time.sleep(seconds)
            child.kill()
        code = child.wait()
        assert "Traceback" not in child.err.read_text()
        check_resumptions(told, before, runs)
        if code == 0:
            return kills, repeated
        assert code == -signal.SIGKILL, child.err.read_text()
        kills += 1
        repeated += lost(runs, before)


def kill_in_rounds(
    warm: Warm, place: Path, undisturbed: Undisturbed, *, seed: str, most: int, record: Record
) -> None:
    """Rounds of kills until there were enough, each compared with the undisturbed command."""
    rng = random.Random(seed)
    kills = repeated = looks = rounds = 0
    while kills < most:
        rounds += 1
        command = rng.choice(list(COMMANDS))
        folder = fill(place / f"round-{rounds}")
        with Reader(folder / "runs") as reader:
            mine, again = kill_until_it_ends(
                warm, folder, rng, command=command, most=min(12, most - kills)
            )
            reader.look()
        assert results(folder / "runs") == undisturbed(command), f"{seed}, round {rounds}"
        if command == "train":
            # A study does not open runs that are finished; a training tidies them up.
            assert not list(folder.rglob("checkpoint.safetensors"))
        kills, repeated = kills + mine, repeated + again
        looks += reader.looks
    record("count: kills", kills)
    record("count: epochs on record that were trained again", repeated)
    record("count: files opened meanwhile, all whole", looks)


def test_a_few_kills(
    warm: Warm, tmp_path: Path, undisturbed: Undisturbed, record_property: Record
) -> None:
    kill_in_rounds(warm, tmp_path, undisturbed, seed="few", most=4, record=record_property)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_two_hundred_kills(
    warm: Warm, tmp_path: Path, undisturbed: Undisturbed, record_property: Record, part: int
) -> None:
    kill_in_rounds(
        warm, tmp_path, undisturbed, seed=f"part {part}", most=25, record=record_property
    )
