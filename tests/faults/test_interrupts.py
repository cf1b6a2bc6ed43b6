"""Ctrl-C and SIGTERM: once, the step is finished and kept; twice, the command leaves at once."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kept import Place, Reader, places, results, resumptions
from small import COMMANDS
from warm import Warm

Undisturbed = Callable[[str], dict[str, Any]]
CODES: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
HOW_TO_GO_ON = "Interrupted. Progress is saved; rerun the command to resume.\n"


def cut(warm: Warm, folder: Path, *, signum: int, at: int, times: int = 1, what: str) -> str:
    """Trains until a signal comes; returns what is said."""
    fault = {f"interrupt_at_{what}": [at, signum, times]}
    done = warm.run(*COMMANDS["train"], cwd=folder, fault=fault)
    assert done.returncode == CODES[signum], done.stderr
    assert done.stderr.endswith(HOW_TO_GO_ON)
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_step_is_finished_and_kept(
    warm: Warm, folder: Path, undisturbed: Undisturbed, signum: int
) -> None:
    runs = folder / "runs"
    # Epochs have 14 steps, and after each epoch the training asks once more.
    said = cut(warm, folder, signum=signum, at=15 + 3, what="step")
    assert "saved after step 3 of epoch 2\n" in said
    assert set(places(runs).values()) == {Place(recorded=1, kept=1, steps=3)}
    said = cut(warm, folder, signum=signum, at=1, what="step")
    assert "saved after step 4 of epoch 2\n" in said
    # After config and environment of both, the fifth to seventh are the files of one network.
    said = cut(warm, folder, signum=signum, at=7, what="replacement")
    assert set(places(runs).values()) == {Place(recorded=2, kept=2)}
    assert "saved after" not in said, "between two epochs all is kept as it is"
    assert warm.run(*COMMANDS["train"], cwd=folder).returncode == 0
    assert results(runs) == undisturbed("train")
    assert {tuple(told) for told in resumptions(runs).values()} == {((1, 3), (1, 4), (2, 0))}


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_twice_it_leaves_at_once_and_nothing_is_half_written(
    warm: Warm, folder: Path, undisturbed: Undisturbed, signum: int
) -> None:
    runs = folder / "runs"
    with Reader(runs) as reader:
        said = cut(warm, folder, signum=signum, at=15 + 3, times=2, what="step")
        assert "saved after" not in said
        assert set(places(runs).values()) == {Place(recorded=1, kept=1)}
        # While the metrics of the second network are replaced: it goes back an epoch, alone.
        cut(warm, folder, signum=signum, at=9, times=2, what="replacement")
        assert not list(runs.rglob(".*.tmp")), "what was being written is tidied away"
        assert sorted(place.kept for place in places(runs).values()) == [1, 2]
        assert warm.run(*COMMANDS["train"], cwd=folder).returncode == 0
        reader.look()
    assert results(runs) == undisturbed("train")


@pytest.mark.slow
def test_a_study_that_is_stopped_trains_no_further_stack(
    warm: Warm, folder: Path, undisturbed: Undisturbed
) -> None:
    fault = {"interrupt_at_step": [3, signal.SIGINT, 1]}
    done = warm.run(*COMMANDS["study"], cwd=folder, fault=fault)
    assert done.returncode == 130
    assert done.stderr.endswith(HOW_TO_GO_ON)
    assert len(places(folder / "runs")) == 2, "those of the first stack"
    assert warm.run(*COMMANDS["study"], cwd=folder).returncode == 0
    assert results(folder / "runs") == undisturbed("study")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_at_random_times_nothing_is_lost(
    warm: Warm,
    folder: Path,
    undisturbed: Undisturbed,
    command: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Signals come now once, now twice, and the command is started again until it ends."""
    rng, sent, code = random.Random(f"interrupts of {command}"), 0, 1
    with Reader(folder / "runs") as reader:
        while code:
            child = warm.start(*COMMANDS[command], cwd=folder)
            if sent < 12:
                time.sleep(rng.uniform(0.0, 1.2))
                signum = rng.choice([signal.SIGINT, signal.SIGTERM])
                for _ in range(rng.choice([1, 1, 2])):
                    child.kill(signum)
                sent += 1
            code, said = child.wait(), child.err.read_text()
            # Python's own answer to SIGTERM before or after the training, and bninit's within.
            assert code in (0, 130, 143, -signal.SIGTERM), said
            assert "Traceback" not in said
    assert results(folder / "runs") == undisturbed(command)
    record_property("count: interruptions", sent)
    record_property("count: files opened meanwhile, all whole", reader.looks)
