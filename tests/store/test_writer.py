"""Recording a run: what is there after each step, each crash, and each damage of a file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from scripted import ABOUT, BEGUN, CONFIG, FINAL, PROBED, Story, make_config, results_of

from bninit.config import arm_id, load_config
from bninit.errors import StoreError
from bninit.store import Run, RunWriter, find_runs, is_finished, run_folder
from bninit.store.epochs import encode_metrics, row_of
from bninit.store.files import is_locked
from bninit.store.writer import inspect

ARM = arm_id(CONFIG)
BEGINNING = {"config.yaml", "environment.json", ".lock"}
FINISHED = ("metrics.csv", "steps.npy", "final.safetensors", "summary.json")
Files = dict[str, bytes]


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def json_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_what_is_kept_of_a_finished_run(finished: Path) -> None:
    story = Story()
    told = [story.epoch(number) for number in range(4)]
    assert files_of(finished) == BEGINNING | set(FINISHED)
    assert (finished / "metrics.csv").read_text() == encode_metrics(row_of(m) for m, _, _ in told)
    losses = np.load(finished / "steps.npy", allow_pickle=False)
    assert losses.dtype == np.float32
    assert losses.tolist() == np.concatenate([steps for _, steps, _ in told[1:]]).tolist()
    state = load_file(finished / "final.safetensors")
    assert set(state) == set(story.network)
    assert all(torch.equal(state[name], story.network[name]) for name in state)
    summary = json_of(finished / "summary.json")
    assert (summary["status"], summary["epochs"], summary["steps"]) == ("done", 3, 15)
    assert (summary["seed"], summary["arm"]) == (0, ARM)
    assert (summary["stack_size"], summary["test_accuracy"]) == (3, 0.75)
    assert (summary["num_parameters"], summary["num_tracked"]) == (784 * 2 + 2 + 4 + 2 * 10 + 10, 4)
    assert json_of(finished / "environment.json") == {**ABOUT, "products": {"2x2": "each"}}


def test_the_config_is_the_resolved_one_with_its_seed(runs_dir: Path) -> None:
    config = make_config(train={"epochs": 1, "seeds": 4})
    Story(config, seed=2).play(runs_dir)
    path = run_folder(runs_dir, config, 2) / "config.yaml"
    plain = yaml.safe_load(path.read_text())
    assert (plain["train"]["seeds"], plain["schema_version"]) == ([2], 1)
    there = load_config(path)
    assert (there.train.seeds, there.model, arm_id(there)) == ((2,), config.model, arm_id(config))


def test_what_is_kept_of_an_unfinished_run_is_gone_on_from(half: Path, runs_dir: Path) -> None:
    assert files_of(half) == BEGINNING | {"metrics.csv", "steps.npy", "checkpoint.safetensors"}
    with safe_open(half / "checkpoint.safetensors", framework="pt") as file:
        keys, metadata = set(file.keys()), json.loads(file.metadata()["bninit"])
    assert {"network/0.weight", "network/2.running_mean", "optimiser/momentum.0.weight"} <= keys
    assert all(key.startswith(("network/", "optimiser/")) for key in keys), "nothing has begun"
    about = {"epoch": "1", "step": "5", "arm": ARM, "seed": "0", "seconds": repr(1 / 3)}
    assert about.items() <= metadata.items()
    story = Story()
    for number in range(2):
        story.epoch(number)
    # On another device, it is the same run.
    elsewhere = make_config(train={"epochs": 3, "device": "cpu"})
    with RunWriter(runs_dir, elsewhere, 0) as writer:
        assert (writer.status, writer.notes) == ("partial", [])
        assert [row.epoch for row in writer.rows] == [0, 1]
        checkpoint = writer.resume()
    assert checkpoint
    assert (checkpoint.place, checkpoint.step, checkpoint.seconds) == ((1, 0), 5, 1 / 3)
    for there, told in (
        (checkpoint.network, story.network),
        (checkpoint.optimiser, story.optimiser),
    ):
        assert set(there) == set(told)
        for name, tensor in told.items():
            assert there[name].dtype == tensor.dtype
            assert torch.equal(there[name], tensor)


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("stop", [0, 1, 3])
@pytest.mark.parametrize("diverges", [False, True])
def test_interrupted_and_undisturbed_runs_are_the_same(
    tmp_path: Path, every: int, stop: int, diverges: bool
) -> None:
    config = make_config(train={"epochs": 4})
    for runs_dir, stops in (("a", ()), ("b", (stop, stop))):
        for until in (*stops, None):
            story = Story(config, every=every, diverges=diverges)
            story.play(tmp_path / runs_dir, until=until)
    one, other = (results_of(run_folder(tmp_path / name, config, 0)) for name in "ab")
    assert one == other
    summary = json.loads(one["summary.json"])
    if diverges:
        assert (summary["status"], summary["diverged_epoch"]) == ("diverged", 3)
        assert one["metrics.csv"].splitlines()[-1].split(b",")[4:7:2] == [b"nan", b"inf"]
    assert is_finished(tmp_path / "b", config, 0)


def test_a_run_that_is_left_within_an_epoch_goes_on_from_the_step(
    runs_dir: Path, seed_dir: Path
) -> None:
    story = Story()
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        writer.describe(ABOUT)
        writer.epoch(*story.epoch(0))
        writer.epoch(*story.epoch(1))
        cut = story.cut(1)
        writer.cut(cut)
    run = Run(seed_dir)
    assert run.status == "partial"
    assert [row.step for row in run.rows()] == [0, 5]
    assert run.step_losses().size == 5, "only those of finished epochs are on record"
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        writer.describe({**ABOUT, "stack_size": 1})
        assert writer.notes == []
        found = writer.resume()
        assert found is not None
        assert (found.step, found.place) == (7, (1, 2))
        assert found.begun.tobytes() == BEGUN.tobytes()
        for name, tensor in cut.network.items():
            assert found.network[name].numpy().tobytes() == tensor.numpy().tobytes()
        for number in (2, 3):
            writer.epoch(*story.epoch(number))
        story.finish(writer, 3)
    summary = json_of(seed_dir / "summary.json")
    assert summary["steps"] == 15
    assert summary["stack_size"] == 3, "it shared its clock for a while"
    resumed = json_of(seed_dir / "environment.json")["resumed"]
    assert resumed == [{"epoch": 1, "steps": 2, "stack_size": 1}]


@pytest.mark.parametrize("at", [3, 4])
def test_a_crash_after_a_cut_keeps_the_epochs_before_it(
    runs_dir: Path, seed_dir: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Left within an epoch, resumed, and killed between the files of that epoch."""
    story = Story()
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        writer.describe(ABOUT)
        writer.epoch(*story.epoch(0))
        writer.epoch(*story.epoch(1))
        writer.cut(story.cut(1))
    replace, count = os.replace, 0

    def killed(*paths: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise KeyboardInterrupt
        replace(*paths)

    def go_on() -> None:
        with RunWriter(runs_dir, CONFIG, 0) as writer:
            writer.describe(ABOUT)
            writer.epoch(*story.epoch(2))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            go_on()
    found = inspect(seed_dir, arm=ARM, seed=0)
    assert found.notes == ()
    assert found.checkpoint is not None


def test_a_leftover_checkpoint_is_no_finished_run(finished: Path, runs_dir: Path) -> None:
    assert is_finished(runs_dir, CONFIG, 0)
    (finished / "checkpoint.safetensors").write_bytes(b"left")
    assert not is_finished(runs_dir, CONFIG, 0)


def test_two_readers_do_not_take_each_other_for_a_writer(finished: Path) -> None:
    with (finished / ".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert not is_locked(finished)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert is_locked(finished)


def test_what_does_not_follow_is_refused(runs_dir: Path, finished: Path) -> None:
    story, other = Story(), make_config(name="other")
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        with pytest.raises(ValueError, match="epoch 4 is not the next"):
            writer.epoch(*story.epoch(4))
        with pytest.raises(ValueError, match="does not follow"):
            writer.cut(story.cut(3))
    story = Story()
    with RunWriter(runs_dir, other, 0) as writer:
        first, second = story.epoch(0), story.epoch(1)
        with pytest.raises(ValueError, match="epoch 1 is not the next"):
            writer.epoch(*second)
        with pytest.raises(ValueError, match="checkpoint of epoch 1 is not one of 0"):
            writer.epoch(first[0], first[1], second[2])
        with pytest.raises(ValueError, match="-1 epochs"):
            writer.finish(story.network, FINAL, None)
        with pytest.raises(ValueError, match="does not follow"):
            writer.cut(story.cut(0))
        writer.epoch(*first)
        with pytest.raises(ValueError, match="epoch 0 is not the next"):
            writer.epoch(*first)
        with pytest.raises(ValueError, match="is not one of 1"):
            writer.epoch(second[0], second[1], story.cut(1))
        with pytest.raises(ValueError, match="0 epochs are kept of 3"):
            writer.finish(story.network, FINAL, None)
        for final, step in ((None, None), (FINAL, 3)):
            with pytest.raises(ValueError, match="or else it has diverged"):
                writer.finish(story.network, final, step)
    Story(PROBED).play(runs_dir, until=3, fresh=True)
    with (
        RunWriter(runs_dir, PROBED, 0) as writer,
        pytest.raises(ValueError, match="there are no readings"),
    ):
        writer.finish(story.network, FINAL, None)


def test_a_finished_run_is_left_as_it_is(runs_dir: Path, finished: Path) -> None:
    def stamps() -> dict[str, object]:
        return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in finished.iterdir()}

    before = stamps()
    assert is_finished(runs_dir, CONFIG, 0)
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        assert (writer.status, writer.resume(), len(writer.rows)) == ("finished", None, 4)
    assert stamps() == before


def test_new_targets_are_answered_without_training(runs_dir: Path, finished: Path) -> None:
    before = json_of(finished / "summary.json")
    asked = make_config(targets=[0.6, 0.75])
    assert not is_finished(runs_dir, asked, 0)
    with RunWriter(runs_dir, asked, 0) as writer:
        assert writer.status == "finished"
    assert is_finished(runs_dir, asked, 0)
    assert not is_finished(runs_dir, CONFIG, 0)
    after = json_of(finished / "summary.json")
    # Validation accuracies are 0.05, 0.525, 0.683..., 0.7625.
    assert [(each["target"], each["epochs"]) for each in after["targets"]] == [(0.6, 2), (0.75, 3)]
    assert {key for key in before if before[key] != after[key]} == {"targets", "crc32"}
    assert yaml.safe_load((finished / "config.yaml").read_text())["targets"] == [0.6, 0.75]


def test_fresh_starts_over_and_keeps_what_is_not_ours(runs_dir: Path, finished: Path) -> None:
    for name in ("events.out.tfevents.1", "my-notes.txt", ".metrics.csv.0123abcd.tmp"):
        (finished / name).write_text("x")
    with RunWriter(runs_dir, CONFIG, 0, fresh=True) as writer:
        assert (writer.status, writer.resume(), writer.rows) == ("partial", None, [])
        assert files_of(finished) == {"config.yaml", ".lock", "my-notes.txt"}
    assert Story().play(runs_dir) == []
    assert is_finished(runs_dir, CONFIG, 0)


def test_what_a_resumed_run_was_trained_with(runs_dir: Path, half: Path) -> None:
    later = {"device": "cpu", "stack_size": 1, "started": "later"}
    for _ in range(2):
        with RunWriter(runs_dir, CONFIG, 0) as writer:
            writer.describe(later)
    resumed = {"epoch": 1, "stack_size": 1, "started": "later"}
    assert json_of(half / "environment.json") == {**ABOUT, "resumed": [resumed, resumed]}
    (half / "checkpoint.safetensors").unlink()
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        writer.describe({"device": "other"})
        assert writer.resume() is None
    assert json_of(half / "environment.json") == {"device": "other"}, "it starts over"
    assert files_of(half) == BEGINNING


def test_a_finished_run_is_trained_again_for_probes_and_no_more(
    runs_dir: Path, finished: Path
) -> None:
    bare = results_of(finished)
    assert not is_finished(runs_dir, PROBED, 0)
    assert not Run(finished).answers(PROBED)
    (note,) = Story(PROBED).play(runs_dir)
    assert "it has no probes, and they are requested; it is trained again, to the same bi" in note
    now = results_of(finished)
    for name in ("metrics.csv", "steps.npy", "final.safetensors"):
        assert now[name] == bare[name]
    # With probes, it is as good for a config without them, and for one that wants fewer groups.
    for asked in (CONFIG, PROBED, make_config(probes={"groups": ["units"]})):
        assert is_finished(runs_dir, asked, 0)
        assert Run(finished).answers(asked)
        assert Story(asked).play(runs_dir) == []
    more = make_config(probes={"units": 5})
    assert not is_finished(runs_dir, more, 0)
    (note,) = Story(more).play(runs_dir)
    assert "other probes than are requested" in note


def test_an_unfinished_run_starts_over_for_probes_and_goes_on_without(
    runs_dir: Path, half: Path, expected: Files
) -> None:
    (note,) = Story(PROBED).play(runs_dir, until=2)
    assert "no probes" in note
    assert Story().play(runs_dir) == []
    assert not Run(half).has_layers
    assert results_of(half) == expected


class KilledError(BaseException):
    """The process ends here."""


def interrupt(
    patch: pytest.MonkeyPatch, *, at: int, before: bool, error: BaseException
) -> Callable[[], int]:
    """Make the replacement of a file number `at` fail, before or after it is done."""
    real = os.replace
    count = 0

    def replace(*paths: Any) -> None:
        nonlocal count
        count += 1
        if count == at and before:
            raise error
        real(*paths)
        if count == at:
            raise error

    patch.setattr(os, "replace", replace)
    return lambda: count


def check_that_readers_see_a_run(folder: Path) -> None:
    """Whatever has happened: each file is whole, and where there is a summary, there is all."""
    run = Run(folder)
    assert run.problem is None
    assert run.status in ("partial", "done")
    if (folder / "metrics.csv").exists():
        rows = run.rows()
        assert [row.epoch for row in rows] == list(range(len(rows)))
        assert run.step_losses().size >= rows[-1].step
    if run.status == "done":
        assert len(run.rows()) == 4
        run.load_network()


NUM_WRITES = 2 + 4 * 3 + 4
"""Config and environment; three files an epoch; weights, layers, environment, summary."""


def test_the_number_of_writes(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        count = interrupt(patch, at=0, before=True, error=KilledError())
        Story(PROBED).play(runs_dir)
    assert count() == NUM_WRITES


@pytest.mark.parametrize("how", ["full disk", "killed before", "killed after"])
@pytest.mark.parametrize("at", range(1, NUM_WRITES + 1))
def test_a_crash_or_a_full_disk_at_any_write_loses_at_most_an_epoch(
    runs_dir: Path,
    seed_dir: Path,
    expected_with_probes: Files,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    how: str,
) -> None:
    before, is_full = how != "killed after", how == "full disk"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        interrupt(patch, at=at, before=before, error=full if is_full else KilledError())
        if not is_full:
            # A killed process does not tidy up.
            patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises((KilledError, StoreError)) as caught:
            Story(PROBED).play(runs_dir)
    left = [path for path in seed_dir.iterdir() if path.suffix == ".tmp"]
    assert bool(left) == (how == "killed before")
    if is_full:
        assert f"{seed_dir}/" in str(caught.value)
        assert "no space is left" in str(caught.value)
    check_that_readers_see_a_run(seed_dir)
    found = inspect(seed_dir, arm=ARM, seed=0)
    assert found.notes == ()
    checkpoints_written = max(0, (at - 2 - (1 if before else 0)) // 3)
    if found.summary is None and checkpoints_written:
        assert found.checkpoint
        assert found.checkpoint.checkpoint.epoch == min(checkpoints_written, 4) - 1
    assert Story(PROBED).play(runs_dir) == []
    check_that_readers_see_a_run(seed_dir)
    assert results_of(seed_dir) == expected_with_probes
    assert not [p for p in seed_dir.iterdir() if p.suffix == ".tmp" or "checkpoint" in p.name]


def test_several_crashes_in_a_row(
    runs_dir: Path, seed_dir: Path, expected: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in (9, 4, 5, 3, 2):
        with monkeypatch.context() as patch:
            interrupt(patch, at=at, before=False, error=KilledError())
            with pytest.raises(KilledError):
                Story().play(runs_dir)
        check_that_readers_see_a_run(seed_dir)
    Story().play(runs_dir)
    assert results_of(seed_dir) == expected


@pytest.mark.parametrize("at", [1, 2])
def test_a_crash_while_targets_are_answered(
    runs_dir: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    asked = make_config(targets=[0.6])
    with monkeypatch.context() as patch:
        interrupt(patch, at=at, before=False, error=KilledError())
        with pytest.raises(KilledError):
            Story(asked).play(runs_dir)
        check_that_readers_see_a_run(finished)
    assert Story(asked).play(runs_dir) == []
    assert is_finished(runs_dir, asked, 0)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "zeros": lambda data: b"\0" * len(data),
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"\n0",
    "foreign": lambda data: b"PK\x03\x04 this is something else entirely",
    "changed": lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
}


@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
@pytest.mark.parametrize("name", [*FINISHED, "layers.safetensors"])
def test_damage_of_a_finished_run_is_named_and_repaired(
    runs_dir: Path, seed_dir: Path, expected_with_probes: Files, name: str, damage: str
) -> None:
    for seed in (0, 1):
        Story(PROBED, seed=seed).play(runs_dir)
    path = seed_dir / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert not is_finished(runs_dir, PROBED, 0)
    one, other = find_runs(runs_dir)
    assert other.status == "done"
    if name == "summary.json":
        assert one.status == ("partial" if damage == "missing" else "damaged")
        assert damage == "missing" or str(one.problem).startswith("summary.json: ")
    else:
        read: dict[str, Callable[[], object]] = {
            "metrics.csv": one.metrics,
            "steps.npy": one.step_losses,
            "final.safetensors": one.load_network,
            "layers.safetensors": one.layers,
        }
        assert one.status == "done"
        assert one.answers(PROBED) == (name != "layers.safetensors")
        with pytest.raises(StoreError) as caught:
            read[name]()
        assert caught.value.where == str(path)
    notes = Story(PROBED).play(runs_dir)
    if (name, damage) != ("summary.json", "missing"):
        (note,) = notes
        assert note.startswith(str(path))
        assert note.endswith("this run is trained again")
    assert results_of(seed_dir) == expected_with_probes


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "metrics.csv", "steps.npy"])
def test_damage_of_an_unfinished_run_is_named_and_repaired(
    runs_dir: Path, half: Path, expected: Files, name: str, damage: str
) -> None:
    path = half / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    [note] = Story().play(runs_dir)
    assert str(path) in note or (name in note and "do not belong to this checkpoint" in note)
    assert note.endswith("this run is trained again")
    assert results_of(half) == expected


@pytest.mark.parametrize("damage", ["empty", "zeros", "cut", "foreign", "missing"])
@pytest.mark.parametrize("begun", ["half", "finished"])
def test_a_damaged_config_or_environment_is_rewritten(
    runs_dir: Path, expected: Files, request: pytest.FixtureRequest, begun: str, damage: str
) -> None:
    folder = request.getfixturevalue(begun)
    path = folder / "config.yaml"
    if damage == "missing":
        path.unlink()
        assert Story().play(runs_dir) == []
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        (folder / "environment.json").write_text("{")
        notes = Story().play(runs_dir)
        assert str(path) in notes[0]
        assert all(note.endswith("it is rewritten") for note in notes)
        assert ("environment.json: not valid JSON" in notes[-1]) == (begun == "half")
    assert results_of(folder) == expected


def test_files_of_another_run_are_named(runs_dir: Path, finished: Path) -> None:
    other = finished.with_name("seed-1")
    for name, until in ((FINISHED, None), (("checkpoint.safetensors",), 1)):
        for seed in (0, 1):
            Story(seed=seed).play(runs_dir, until=until, fresh=True)
        for each in name:
            shutil.copy(finished / each, other / each)
        problem = Run(other).problem
        assert problem is None if until else "another run: arm" in str(problem)
        [note] = Story(seed=1).play(runs_dir)
        assert f"of another run: arm {ARM}, seed 0" in note
        assert is_finished(runs_dir, CONFIG, 1)


def test_a_damaged_summary_beside_a_checkpoint(runs_dir: Path, half: Path, expected: Files) -> None:
    (half / "summary.json").write_text("{")
    [note] = Story().play(runs_dir)
    assert note.endswith("this run is resumed")
    assert results_of(half) == expected


def check_refusal(folder: Path, call: Callable[[], object], *, says: str) -> StoreError:
    """It is refused, and what is there is left as it is."""
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    with pytest.raises(StoreError, match=says) as caught:
        call()
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    return caught.value


def test_what_a_newer_version_wrote_is_refused_unless_fresh(runs_dir: Path, finished: Path) -> None:
    def change(name: str, old: str, new: str) -> None:
        path = finished / name
        path.write_text(path.read_text().replace(old, new))

    def ask() -> None:
        is_finished(runs_dir, CONFIG, 0)

    change("summary.json", '"schema_version": 1', '"schema_version": 2')
    check_refusal(finished, ask, says="a newer bninit wrote this")
    check_refusal(finished, lambda: RunWriter(runs_dir, CONFIG, 0), says="a newer bninit")
    assert Run(finished).status == "damaged"
    change("config.yaml", "schema_version: 1", "schema_version: 2")
    error = check_refusal(finished, lambda: RunWriter(runs_dir, CONFIG, 0), says="a newer bninit")
    assert str(finished / "config.yaml") in str(error)
    assert "--fresh" in str(error)
    Story().play(runs_dir, fresh=True)
    assert is_finished(runs_dir, CONFIG, 0)


def test_the_folder_of_another_run_is_refused(runs_dir: Path, half: Path) -> None:
    other = make_config(train={"epochs": 7})
    for config, seed in ((other, 0), (CONFIG, 4)):
        taken = run_folder(runs_dir, config, seed)
        shutil.copytree(half, taken)
        for fresh in (False, True):

            def take(config: Any = config, seed: int = seed, fresh: bool = fresh) -> None:
                RunWriter(runs_dir, config, seed, fresh=fresh)

            check_refusal(taken, take, says="holds another run, and is left as it is")


def test_a_folder_where_a_file_should_be_is_refused(runs_dir: Path, half: Path) -> None:
    (half / "checkpoint.safetensors").unlink()
    (half / "summary.json").mkdir()
    assert Run(half).status == "damaged"
    error = check_refusal(half, lambda: RunWriter(runs_dir, CONFIG, 0), says="folder is in the way")
    assert error.where == str(half / "summary.json")


def test_an_error_gives_the_lock_back_and_other_seeds_train_meanwhile(
    runs_dir: Path, half: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("bninit.store.writer.inspect", fail)
        with pytest.raises(RuntimeError):
            RunWriter(runs_dir, CONFIG, 0)
    with RunWriter(runs_dir, CONFIG, 0):
        Story(seed=1).play(runs_dir)
        check_refusal(half, lambda: RunWriter(runs_dir, CONFIG, 0, fresh=True), says="another pro")


def test_folders_that_are_removed_replaced_or_moved(tmp_path: Path, runs_dir: Path) -> None:
    story = Story()
    with RunWriter(runs_dir, CONFIG, 0) as writer:
        writer.epoch(*story.epoch(0))
        shutil.rmtree(runs_dir)
        with pytest.raises(StoreError, match="its folder is not there"):
            writer.epoch(*story.epoch(1))
        Story().play(runs_dir, until=1)
        with pytest.raises(StoreError, match="replaced by another"):
            writer.epoch(*story.epoch(1))
    shutil.move(runs_dir, tmp_path / "elsewhere")
    assert Story().play(tmp_path / "elsewhere") == []
    assert is_finished(tmp_path / "elsewhere", CONFIG, 0)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)
@given(name=st.sampled_from(FINISHED), data=st.data())
def test_any_flipped_bit_of_a_finished_run_is_found(
    runs_dir: Path, finished: Path, name: str, data: st.DataObject
) -> None:
    path = finished / name
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        found = is_finished(runs_dir, CONFIG, 0)
    except StoreError as error:
        found = "newer" not in str(error)  # the version was flipped
    finally:
        path.write_bytes(whole)
    # White space between two values of a JSON file says nothing.
    assert not found or (name == "summary.json" and chr(whole[place]) in " \n")
    assert is_finished(runs_dir, CONFIG, 0)
