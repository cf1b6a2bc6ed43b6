"""Damage of any file: found, named, and mended by training again where nothing else helps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bninit.config import Config
from bninit.errors import StoreError
from bninit.store import Run, find_runs, is_finished, load_runs

Results = Callable[[Path], dict[str, bytes]]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: b"\0" * len(data),
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"\n0",
    "foreign": lambda data: b"PK\x03\x04 this is something else entirely",
    "changed": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["summary.json", "metrics.csv", "steps.npy", "final.safetensors"])
def test_damage_of_a_finished_run(
    runs_dir: Path,
    finished: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    name: str,
    damage: str,
) -> None:
    tell(config, seed=1).play(runs_dir)
    path = finished / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not is_finished(runs_dir, config, 0)
    one, other = find_runs(runs_dir)
    assert other.status == "done"
    assert len(other.metrics()) == 4
    if name == "summary.json":
        assert one.status == "damaged"
        assert one.problem
        assert one.problem.startswith("summary.json: ")
    else:
        assert one.status == "done"
        read = {
            "metrics.csv": one.metrics,
            "steps.npy": one.step_losses,
            "final.safetensors": one.load_network,
        }
        with pytest.raises(StoreError) as caught:
            read[name]()
        assert caught.value.where == str(path)
    [note] = tell(config).play(runs_dir)
    assert note.startswith(str(path))
    assert note.endswith("this run is trained again")
    assert results(finished) == expected


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "metrics.csv", "steps.npy"])
def test_damage_of_an_unfinished_run(
    runs_dir: Path,
    half: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    name: str,
    damage: str,
) -> None:
    path = half / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    [note] = tell(config).play(runs_dir)
    assert str(path) in note or (name in note and "not those that it was written with" in note)
    assert note.endswith("this run is trained again")
    assert results(half) == expected


@pytest.mark.parametrize("name", ["metrics.csv", "steps.npy", "final.safetensors", "config.yaml"])
def test_a_file_that_is_missing_from_a_finished_run(
    runs_dir: Path,
    finished: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    name: str,
) -> None:
    (finished / name).unlink()
    assert not is_finished(runs_dir, config, 0)
    notes = tell(config).play(runs_dir)
    if name != "config.yaml":
        assert "this file is missing" in notes[0]
    assert results(finished) == expected


@pytest.mark.parametrize("damage", ["empty", "zeros", "cut", "foreign"])
@pytest.mark.parametrize("begun", ["half", "finished"])
def test_a_damaged_config_is_written_anew(
    runs_dir: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
    request: pytest.FixtureRequest,
    begun: str,
    damage: str,
) -> None:
    folder = request.getfixturevalue(begun)
    path = folder / "config.yaml"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    [note] = tell(config).play(runs_dir)
    assert str(path) in note
    assert note.endswith("it is written anew")
    assert results(folder) == expected


def test_a_damaged_environment_is_written_anew(
    runs_dir: Path, half: Path, config: Config, tell: Any
) -> None:
    (half / "environment.json").write_text("{")
    [note] = tell(config).play(runs_dir)
    assert "environment.json: this is not JSON" in note
    assert Run(half).environment["device"] == "cpu"


def test_the_files_of_another_run(
    runs_dir: Path, finished: Path, config: Config, tell: Any
) -> None:
    tell(config, seed=1).play(runs_dir)
    other = finished.with_name("seed-1")
    for name in ("summary.json", "metrics.csv", "steps.npy", "final.safetensors"):
        shutil.copy(finished / name, other / name)
    run = Run(other)
    assert run.status == "damaged"
    assert run.problem
    assert "seed 0: another run's" in run.problem
    [note] = tell(config, seed=1).play(runs_dir)
    assert "another run's" in note
    assert is_finished(runs_dir, config, 1)


def test_the_checkpoint_of_another_run(
    runs_dir: Path, half: Path, config: Config, tell: Any
) -> None:
    tell(config, seed=1).play(runs_dir, until=1)
    shutil.copy(half / "checkpoint.safetensors", half.with_name("seed-1"))
    [note] = tell(config, seed=1).play(runs_dir)
    assert "seed 0: another run's" in note


def test_a_summary_that_is_damaged_beside_a_checkpoint(
    runs_dir: Path,
    half: Path,
    config: Config,
    tell: Any,
    results: Results,
    expected: dict[str, bytes],
) -> None:
    (half / "summary.json").write_text("{")
    [note] = tell(config).play(runs_dir)
    assert note.endswith("this run is gone on with")
    assert results(half) == expected


def test_a_folder_where_a_file_should_be_is_refused(
    runs_dir: Path, half: Path, config: Config, tell: Any
) -> None:
    (half / "summary.json").mkdir()
    assert Run(half).status == "damaged"
    before = sorted(path.name for path in half.iterdir())
    (half / "checkpoint.safetensors").unlink()
    with pytest.raises(StoreError) as caught:
        tell(config).play(runs_dir)
    assert caught.value.where == str(half / "summary.json")
    assert sorted(path.name for path in half.iterdir()) == [
        name for name in before if name != "checkpoint.safetensors"
    ]


def test_a_newer_summary_is_left_as_it_is(
    runs_dir: Path, finished: Path, config: Config, tell: Any
) -> None:
    path = finished / "summary.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    before = path.read_bytes()
    for ask in (tell(config).play, lambda folder: is_finished(folder, config, 0)):
        with pytest.raises(StoreError, match="a newer bninit wrote this"):
            ask(runs_dir)
    assert path.read_bytes() == before
    assert Run(finished).status == "damaged"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@given(
    name=st.sampled_from(["summary.json", "metrics.csv", "steps.npy", "final.safetensors"]),
    data=st.data(),
)
def test_any_flipped_bit_of_a_finished_run_is_found(
    runs_dir: Path, finished: Path, config: Config, name: str, data: st.DataObject
) -> None:
    path = finished / name
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        found = is_finished(runs_dir, config, 0)
    except StoreError as error:
        found = "newer" not in str(error)  # the version was flipped
    finally:
        path.write_bytes(whole)
    # White space between two values of a JSON file says nothing.
    assert not found or (name == "summary.json" and chr(whole[place]) in " \n")
    assert is_finished(runs_dir, config, 0)


def test_whatever_lies_there_is_listed(runs_dir: Path, finished: Path, half: Path) -> None:
    strange = runs_dir / "tiny-01234567" / "seed-3"
    strange.mkdir(parents=True)
    os.mkfifo(strange / "summary.json")
    (runs_dir / "tiny-01234567" / "seed-4").mkdir()
    (runs_dir / "tiny-01234567" / "seed-4" / "metrics.csv").write_text("not, ours")
    statuses = {run.seed: run.status for run in find_runs(runs_dir)}
    assert statuses == {0: "done", 3: "damaged", 4: "partial"}
    with pytest.warns(UserWarning, match=r"left out: .*seed-3"):
        assert set(load_runs(runs_dir)["seed"]) == {0}
