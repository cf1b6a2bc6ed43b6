"""The driver, with engines that fail in every way: nothing is lost, and nothing trained twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from kept import results, resumptions

from bninit.config import Config, config_from_dict
from bninit.engines import local
from bninit.engines.driver import MOST_LOSSES
from bninit.engines.interface import Job, Lost, Message, StackTask
from bninit.engines.local import LocalEngine
from bninit.errors import StoreError, TrainingError
from bninit.store import Run, RunWriter, run_folder
from bninit.store.files import RunLock

MakeConfig = Callable[..., Config]


def jobs_of(config: Config, number: int) -> list[Job]:
    return [Job(config, seed) for seed in range(number)]


class Fragile(LocalEngine):
    """Loses its worker after so many messages of each of the next stacks; keeps what it was given.

    Attributes:
        lose_after: Messages, for one stack after another; then it is as good as any.
        given: Epochs that the stacks had finished when they were submitted, by their sizes.
    """

    def __init__(self, *lose_after: int) -> None:
        super().__init__(device="cpu")
        self.lose_after = list(lose_after)
        self.given: list[tuple[int, int]] = []
        self._left: int | None = None

    def submit(self, number: int, task: StackTask) -> None:
        super().submit(number, task)
        checkpoint = task.replicas[0].checkpoint
        self.given.append((len(task.replicas), -1 if checkpoint is None else checkpoint.epoch))
        self._left = self.lose_after.pop(0) if self.lose_after else None

    def wait(self, *, stop: Callable[[], bool]) -> Iterator[tuple[int, Message]]:
        for number, message in super().wait(stop=stop):
            if self._left == 0:
                self.cancel(number)
                yield number, Lost(why="a worker was lost")
                return
            if self._left is not None:
                self._left -= 1
            yield number, message


def test_a_lost_stack_goes_on_from_what_is_kept(
    tmp_path: Path, make_config: MakeConfig, train: Any
) -> None:
    jobs = jobs_of(make_config(), 3)
    train(jobs, tmp_path / "whole")
    # After `Began` and epochs 0 and 1; then before anything; then in the middle of the ends.
    engine = Fragile(3, 0, 3)
    outcome, notes = train(jobs, tmp_path / "lost", engine=engine)
    assert engine.given == [(3, -1), (3, 1), (3, 1), (2, 2)]
    assert outcome.num_trained == 3
    assert not outcome.failures
    assert sum("resumes elsewhere" in note for note in notes) == 3
    assert results(tmp_path / "lost") == results(tmp_path / "whole")


def test_a_stack_that_is_lost_again_and_again_is_left_out(
    tmp_path: Path, make_config: MakeConfig, train: Any
) -> None:
    bad, good = make_config("bad"), make_config("good", batch_size=400)
    engine = Fragile(*[1] * (MOST_LOSSES + 1))
    outcome, _ = train(
        [Job(bad, 0), Job(good, 0)], tmp_path / "runs", engine=engine, keep_going=True
    )
    (failure,) = outcome.failures
    assert [job.config.name for job in failure.jobs] == ["bad"]
    assert "a worker was lost; 4 times in a row" in failure.why
    assert outcome.num_trained == 1
    with pytest.raises(TrainingError, match="4 times in a row"):
        train([Job(bad, 0)], tmp_path / "runs", engine=Fragile(*[1] * (MOST_LOSSES + 1)))


@pytest.mark.slow
def test_losses_count_only_without_progress(
    tmp_path: Path, make_config: MakeConfig, train: Any
) -> None:
    epochs = MOST_LOSSES + 3
    engine = Fragile(*[2] * (epochs + 1))
    outcome, _ = train(jobs_of(make_config(epochs=epochs), 1), tmp_path / "runs", engine=engine)
    assert outcome.num_trained == 1
    assert len(engine.given) == epochs + 2


OUT_OF_MEMORY: dict[str, Callable[[], Exception]] = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "python": MemoryError,
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"
    ),
    "c++": lambda: RuntimeError("std::bad_alloc"),
}


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets memory suffice for so many networks in a stack, and for a few records of more."""
    real = local.train_stack

    def make(*, most: int, after: int = 0, error: Callable[[], Exception] = MemoryError) -> None:
        def train_stack(settings: Any, plans: Any, data: Any, **options: Any) -> Iterator[Any]:
            for number, record in enumerate(real(settings, plans, data, **options)):
                if len(plans) > most and number == after:
                    raise error()
                yield record

        monkeypatch.setattr(local, "train_stack", train_stack)

    return make


def test_out_of_memory_is_told_from_other_errors() -> None:
    assert all(local.is_out_of_memory(make()) for make in OUT_OF_MEMORY.values())
    others = RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory")
    assert not any(map(local.is_out_of_memory, others))


@pytest.mark.parametrize(("kind", "after"), [("cuda", 0), ("cpu", 2)])
def test_out_of_memory_a_stack_is_halved(
    kind: str,
    after: int,
    tmp_path: Path,
    make_config: MakeConfig,
    train: Any,
    scarce: Callable[..., None],
) -> None:
    jobs = jobs_of(make_config(), 5)
    train(jobs, tmp_path / "whole")
    scarce(most=2, after=after, error=OUT_OF_MEMORY[kind])
    engine = Fragile()
    outcome, notes = train(jobs, tmp_path / "halved", engine=engine)
    begun = -1 if after == 0 else 1
    assert engine.given == [(5, -1), (2, begun), (1, begun), (2, begun)]
    assert "out of memory with 5 networks in a stack: continuing with 2" in notes
    assert outcome.num_trained == 5
    found, whole = results(tmp_path / "halved"), results(tmp_path / "whole")
    assert {k: v for k, v in found.items() if not k.endswith("summary.json")} == {
        k: v for k, v in whole.items() if not k.endswith("summary.json")
    }
    if after:
        assert set(map(tuple, resumptions(tmp_path / "halved").values())) == {((1, 0),)}


def test_stacks_to_come_are_made_smaller_at_once(
    tmp_path: Path,
    make_config: MakeConfig,
    train: Any,
    scarce: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scarce(most=2)
    monkeypatch.setattr(Fragile, "largest_stack", lambda *_: 4)
    engine = Fragile()
    outcome, notes = train(jobs_of(make_config(epochs=1), 8), tmp_path / "runs", engine=engine)
    assert [size for size, _ in engine.given] == [4, 2, 2, 2, 2]
    assert sum("out of memory" in note for note in notes) == 1
    assert outcome.num_trained == 8


@pytest.mark.slow
def test_a_network_too_large_for_memory_is_told_and_the_others_go_on(
    tmp_path: Path, make_config: MakeConfig, train: Any, scarce: Callable[..., None]
) -> None:
    scarce(most=0, error=OUT_OF_MEMORY["cpu"])
    jobs = jobs_of(make_config(), 2)
    outcome, notes = train(jobs, tmp_path / "runs", keep_going=True)
    assert [failure.jobs for failure in outcome.failures] == [(jobs[0],), (jobs[1],)]
    why = outcome.failures[0].why
    assert "x, seed 0: out of memory with a single network" in why
    assert "can't allocate memory" in why
    assert "smaller batch" in why
    assert any("continuing with 1" in note for note in notes)
    with pytest.raises(TrainingError, match="single network"):
        train(jobs, tmp_path / "runs")


def test_what_a_failed_training_held_is_freed(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def train_stack(settings: Any, plans: Any, data: Any, **_: Any) -> Iterator[Any]:
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        assert all(earlier() is None for earlier in held[:-1]), "the larger stack is still there"
        raise MemoryError
        yield

    monkeypatch.setattr(local, "train_stack", train_stack)
    outcome, _ = train(jobs_of(make_config(), 2), tmp_path / "runs", keep_going=True)
    assert len(outcome.failures) == 2
    assert len(held) == 3
    assert all(one() is None for one in held)


def test_a_run_that_cannot_be_kept_fails_alone(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = make_config("bad"), make_config("good", batch_size=400)
    real = RunWriter.epoch

    def epoch(self: RunWriter, metrics: Any, *rest: Any) -> None:
        if "bad" in str(self.folder) and metrics.epoch == 1:
            raise StoreError("no space is left", where=str(self.folder))
        real(self, metrics, *rest)

    monkeypatch.setattr(RunWriter, "epoch", epoch)
    outcome, notes = train([Job(bad, 0), Job(good, 0)], tmp_path / "runs", keep_going=True)
    assert ["no space is left" in failure.why for failure in outcome.failures] == [True]
    assert any("failed and skipped" in note for note in notes)
    assert outcome.num_trained == 1
    RunLock(run_folder(tmp_path / "runs", bad, 0)).release()


def test_networks_at_different_places_train_apart(
    tmp_path: Path, make_config: MakeConfig, train: Any
) -> None:
    config = make_config(epochs=3)
    train(jobs_of(config, 4), tmp_path / "whole")
    with pytest.raises(TrainingError):
        train([Job(config, 2)], tmp_path / "runs", engine=Fragile(3, *[0] * 4))
    train([Job(config, 3)], tmp_path / "runs")
    engine = Fragile()
    outcome, _ = train(jobs_of(config, 4), tmp_path / "runs", engine=engine)
    assert engine.given == [(2, -1), (1, 1)]
    assert outcome.num_trained == 3
    found, whole = results(tmp_path / "runs"), results(tmp_path / "whole")
    assert all(found[key] == whole[key] for key in whole if not key.endswith("summary.json")), (
        "stack sizes are another matter"
    )


def test_started_over_only_once(tmp_path: Path, make_config: MakeConfig, train: Any) -> None:
    jobs = jobs_of(make_config(), 2)
    train(jobs, tmp_path / "runs")
    engine = Fragile(3)
    outcome, _ = train(jobs, tmp_path / "runs", engine=engine, fresh=True)
    assert engine.given == [(2, -1), (2, 1)], "what is kept since is not removed again"
    assert outcome.num_trained == 2


def test_stacks_that_others_hold_come_last(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, free = make_config("held"), make_config("free", batch_size=400)
    folder = run_folder(tmp_path / "runs", held, 1)
    folder.mkdir(parents=True)
    lock = RunLock(folder)
    looks = 0

    def sleep(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            lock.release()

    monkeypatch.setattr("bninit.engines.driver.sleep", sleep)
    engine = Fragile()
    outcome, notes = train([*jobs_of(held, 3), *jobs_of(free, 2)], tmp_path / "runs", engine=engine)
    # The stack of which all is free; of the other what is free; and at last the one.
    assert [size for size, _ in engine.given] == [2, 2, 1]
    assert outcome.num_trained == 5
    assert notes.count("waiting for 1 network that another process is training") == 1


def test_what_others_have_trained_meanwhile_is_not_trained_again(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    folder = run_folder(tmp_path / "runs", config, 0)
    folder.mkdir(parents=True)
    lock = RunLock(folder)

    def sleep(_: float) -> None:
        lock.release()
        train([Job(config, 0)], tmp_path / "runs")

    monkeypatch.setattr("bninit.engines.driver.sleep", sleep)
    engine = Fragile()
    outcome, _ = train(jobs_of(config, 1), tmp_path / "runs", engine=engine)
    assert engine.given == []
    assert outcome.num_trained == 0


DIVERGES = config_from_dict(
    {
        "name": "diverges",
        "model": {"hidden": [20, 17], "activation": "identity"},
        "optim": {"lr": 10000.0},
        "train": {"epochs": 1, "batch_size": 100, "device": "cpu"},
    }
)
"""In its only, and so its last, epoch."""


def cut_off(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_cut_off_before_its_end_is_recorded_a_diverged_network_diverges_again(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(DIVERGES, 0)]
    train(jobs, tmp_path / "whole")
    whole = Run(run_folder(tmp_path / "whole", DIVERGES, 0)).summary
    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "finish", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(jobs, tmp_path / "cut")
    train(jobs, tmp_path / "cut")
    again = Run(run_folder(tmp_path / "cut", DIVERGES, 0)).summary
    assert whole is not None
    assert again is not None
    assert again["status"] == whole["status"] == "diverged"
    assert again["diverged_step"] == whole["diverged_step"]


def test_networks_of_which_one_has_a_checkpoint_and_one_has_none_resume(
    tmp_path: Path, make_config: MakeConfig, train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between the checkpoints of epoch 0, they are at the same epoch and no stack."""
    jobs, real, written = jobs_of(DIVERGES, 2), RunWriter._write_checkpoint, list[Path]()

    def once(self: RunWriter, *_: Any, **__: Any) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(self.folder)
        real(self, *_, **__)

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "_write_checkpoint", once)
        with pytest.raises(KeyboardInterrupt):
            train(jobs, tmp_path)
    train(jobs, tmp_path)
    assert [Run(run_folder(tmp_path, DIVERGES, seed)).status for seed in (0, 1)] == ["diverged"] * 2
