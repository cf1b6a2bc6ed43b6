"""Disks that are full, read-only or taken away, clocks that run back, and folders that move."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kept import Reader, places, results, resumptions
from small import COMMANDS, fill
from warm import Warm

Undisturbed = Callable[[str], dict[str, Any]]
Record = Callable[[str, object], None]


def check_refusal(done: subprocess.CompletedProcess[str], *, code: int, says: str) -> None:
    """One error that names the place and what to do, and no traceback."""
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr


def fail_then_go_on(warm: Warm, place: Path, command: str, fault: dict[str, Any]) -> bool:
    """Runs a command with a fault and then without; tells whether the fault had its effect."""
    folder = fill(place)
    with Reader(folder / "runs") as reader:
        done = warm.run(*COMMANDS[command], cwd=folder, fault=fault)
        if done.returncode:
            check_refusal(done, code=1, says="nothing was half-written")
            assert "make room" in done.stderr
            assert not list(folder.rglob(".*.tmp")), "half a file is no use to anyone"
            for run in places(folder / "runs").values():
                assert run.recorded - run.kept in (0, 1)
        assert warm.run(*COMMANDS[command], cwd=folder).returncode == 0
        reader.look()
    return done.returncode != 0


@pytest.mark.slow
def test_a_full_disk(
    warm: Warm, tmp_path: Path, undisturbed: Undisturbed, record_property: Record
) -> None:
    assert fail_then_go_on(warm, tmp_path / "work", "train", {"full_from_write": 12})
    assert results(tmp_path / "work" / "runs") == undisturbed("train")
    record_property("count: full disks", 1)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("command", "by"), [("train", 7), ("study", 23)])
@pytest.mark.parametrize("kind", ["full_from_write", "full_at_replacement"])
def test_a_disk_that_is_full_at_each_write(
    warm: Warm,
    tmp_path: Path,
    undisturbed: Undisturbed,
    record_property: Record,
    command: str,
    by: int,
    kind: str,
) -> None:
    at = 1
    while fail_then_go_on(warm, tmp_path / f"at-{at}", command, {kind: at}):
        assert results(tmp_path / f"at-{at}" / "runs") == undisturbed(command)
        record_property("count: full disks", 1)
        at += by
    assert at > 30, "every file that it writes was tried, or every few"


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(warm: Warm, tmp_path: Path, undisturbed: Undisturbed) -> None:
    """The kernel's own refusal, in the middle of a file."""
    assert fail_then_go_on(warm, tmp_path / "work", "train", {"limit_file_size": 20_000})
    assert results(tmp_path / "work" / "runs") == undisturbed("train")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("mounting a small file system needs more rights than there are here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_file_system_that_fills_up_and_one_that_is_read_only(
    warm: Warm, tmp_path: Path, small_disk: Path, undisturbed: Undisturbed
) -> None:
    folder = fill(tmp_path / "work")
    command = (*COMMANDS["train"], "--runs-dir", str(small_disk / "runs"))
    check_refusal(warm.run(*command, cwd=folder), code=1, says="no space is left")
    check_refusal(warm.run(*command, cwd=folder), code=1, says="no space is left")
    kept = places(small_disk / "runs")
    assert kept
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    check_refusal(warm.run(*command, cwd=folder), code=2, says="Read-only file system")
    assert places(small_disk / "runs") == kept
    subprocess.run(["mount", "-o", "remount,rw,size=8m", small_disk], check=True)
    assert warm.run(*command, cwd=folder).returncode == 0
    assert results(small_disk / "runs") == undisturbed("train")


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_file_in_place_of_the_runs_folder(warm: Warm, folder: Path, verb: str) -> None:
    (folder / "file").write_text("mine")
    for runs_dir in ("file", "file/runs"):
        done = warm.run(*COMMANDS[verb], "--runs-dir", runs_dir, cwd=folder)
        check_refusal(done, code=2, says="file")
        assert "--runs-dir" in done.stderr
    assert (folder / "file").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_that_is_removed_during_a_run(warm: Warm, folder: Path, depth: int) -> None:
    child = warm.start(*COMMANDS["train"], "--epochs", "4000", cwd=folder)
    child.wait_for("epoch 3/4000")
    seed_dir = next((folder / "runs").glob("*/seed-1"))
    shutil.rmtree((seed_dir, seed_dir.parent, folder / "runs")[depth], ignore_errors=True)
    code = child.wait()
    said = child.err.read_text()
    check_refusal(
        subprocess.CompletedProcess((), code, "", said), code=1, says="its folder is not there"
    )
    assert "start" in said
    again = {"interrupt_at_step": [1, signal.SIGINT, 1]}
    done = warm.run(*COMMANDS["train"], "--epochs", "4000", cwd=folder, fault=again)
    assert done.returncode == 130, "started again, it trains"
    assert len(places(folder / "runs")) == 2


@pytest.mark.slow
def test_a_clock_that_runs_back(warm: Warm, folder: Path, undisturbed: Undisturbed) -> None:
    fault = {"clock_runs_back": 3600.0, "die_after_replacement": 14}
    assert warm.run(*COMMANDS["train"], cwd=folder, fault=fault).returncode == -signal.SIGKILL
    assert warm.run(*COMMANDS["train"], cwd=folder, fault={"clock_runs_back": 1e5}).returncode == 0
    assert results(folder / "runs") == undisturbed("train")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_two_processes_at_once_train_nothing_twice(
    warm: Warm, folder: Path, undisturbed: Undisturbed, command: str
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Reader(folder / "runs") as reader, Warm() as other, ThreadPoolExecutor(2) as pool:
        twin = folder.with_name("twin")
        twin.symlink_to(folder)  # its output goes to files of its own
        both = [
            pool.submit(one.run, *COMMANDS[command], cwd=place)
            for one, place in ((warm, folder), (other, twin))
        ]
        for done in both:
            assert done.result().returncode == 0, done.result().stderr
        reader.look()
    told = "".join(done.result().stderr for done in both)
    assert told.count("epoch 1/") == {"train": 1, "study": 4}[command], told
    assert results(folder / "runs") == undisturbed(command)
    assert all(went_on == [] for went_on in resumptions(folder / "runs").values())


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("list",), ("schema",)])
def test_a_full_disk_behind_standard_output(warm: Warm, folder: Path, verb: tuple[str]) -> None:
    (folder / "runs").mkdir()
    done = warm.run(*verb, cwd=folder, fault={"output": "/dev/full"})
    check_refusal(done, code=1, says="standard output: No space left on device")
