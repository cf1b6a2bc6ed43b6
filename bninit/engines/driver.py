"""How long the stacks to come will take, from how long those before took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import sleep
from typing import Any

from bninit.engines.plan import (
    Began,
    Ended,
    Engine,
    Failed,
    Job,
    Lost,
    Message,
    Recorded,
    StackTask,
    data_key_of,
    plan_of,
    plan_stacks,
    stack_key,
    train_settings_of,
)
from bninit.engines.stopping import stopping
from bninit.engines.watcher import Watcher
from bninit.errors import TrainingError, UserError, WriteError
from bninit.store import EventWriter, RunWriter, is_finished, run_folder
from bninit.store.environment import request
from bninit.store.files import HeldError, is_locked
from bninit.store.networks import architecture_of
from bninit.training.probing import rows_of
from bninit.training.records import (
    Checkpoint,
    CutRecord,
    EpochRecord,
    FinalRecord,
    ReplicaEpoch,
)


class Clock:
    """Tells the time that is left.

    Args:
        total: Work of all networks together, as `work_of` tells.
        now: Seconds since any moment.
    """

    def __init__(self, total: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._total = total
        self._done = 0.0

    def done(self, work: float) -> None:
        """Some networks are trained, or left out."""
        self._done += work

    def time_left(self) -> str:
        """In words, for a line that goes on; empty at the beginning."""
        if not self._done:
            return ""
        seconds = (self._now() - self._began) * (self._total - self._done) / self._done
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        return f", about {seconds / 60:.0f} min left"


def work_of(stack: Sequence[Job]) -> float:
    """Multiplications of a stack's training, up to a factor, with something for each step."""
    config = stack[0].config
    weights = sum(fan_in * fan_out for fan_in, fan_out in architecture_of(config).fans())
    steps = config.train.epochs * config.iterations_per_epoch
    return steps * (len(stack) * weights * config.train.batch_size + 5_000_000.0)


@dataclass(frozen=True)
class Failure:
    """A stack that could not be trained.

    Attributes:
        jobs: Its networks.
        why: The error's text.
    """

    jobs: tuple[Job, ...]
    why: str


@dataclass
class Outcome:
    """What became of some jobs.

    Attributes:
        failures: The stacks that failed; none unless told to keep going.
        num_trained: Networks that were trained to their end; the others were there, failed, or
            were trained by another process.
    """

    failures: list[Failure] = field(default_factory=list)
    num_trained: int = 0


@dataclass(frozen=True)
class Waiting:
    """Networks that are to train together.

    Attributes:
        jobs: At least one.
        fresh: Whether what is there of them is started over.
        num_losses: Times in a row that their worker was lost.
        partly: Whether to take those that no other process holds, and not all or none.
    """

    jobs: tuple[Job, ...]
    fresh: bool = False
    num_losses: int = 0
    partly: bool = False


@dataclass
class Running:
    """A stack in training.

    Attributes:
        waiting: What it was made from.
        keepers: One for each network.
        held: Gives its runs free.
    """

    waiting: Waiting
    keepers: list[Keeper]
    held: ExitStack


@dataclass(frozen=True)
class Opened:
    """A network whose run is taken.

    Attributes:
        job: The network.
        writer: Of its run.
        checkpoint: Where it goes on; None for the beginning.
    """

    job: Job
    writer: RunWriter
    checkpoint: Checkpoint | None

    @property
    def place(self) -> tuple[int, int]:
        """How far it is; only networks that are as far can train together."""
        # A training from epoch 0's checkpoint does not record that epoch again.
        return (-1, 0) if self.checkpoint is None else self.checkpoint.place


def too_large(job: Job, error: Exception) -> TrainingError:
    """What to tell of a network that does not fit into memory."""
    first = str(error).strip().partition("\n")[0]
    return TrainingError(
        f"{job.config.name}, seed {job.seed}: out of memory with a single network "
        f"({first or type(error).__name__}); choose smaller layers or a smaller batch, or a "
        "device with more memory"
    )


class Keeper:
    """Keeps what one network does: its run, and its event files if they are wanted.

    Args:
        writer: Of its run.
        held: Closes the event files in the end.
        tensorboard: Whether event files are wanted.
    """

    def __init__(self, writer: RunWriter, held: ExitStack, *, tensorboard: bool) -> None:
        self._writer = writer
        self._last: Checkpoint | None = writer.resume()
        self._events = (
            held.enter_context(EventWriter(writer.folder, rows=writer.rows))
            if tensorboard
            else None
        )

    @property
    def is_finished(self) -> bool:
        """Whether the end is kept."""
        return self._writer.status == "finished"

    def begin(self, environment: Mapping[str, Any]) -> None:
        """Keeps what the network is trained with."""
        self._writer.describe(environment)

    def epoch(self, record: ReplicaEpoch, *, products: Mapping[str, str]) -> None:
        """Keeps an epoch; of a diverged network, the end."""
        self._last = record.checkpoint()
        diverged = record.diverged_step is not None
        # Killed between the two writes, a diverged network goes back an epoch and diverges again.
        self._writer.epoch(record.metrics, record.step_losses, None if diverged else self._last)
        if self._events is not None:
            self._events.epoch(record.metrics)
        if diverged:
            self._finish(None, record.diverged_step, products=products)

    def cut(self, checkpoint: Checkpoint) -> None:
        """Keeps what is done of an epoch that is left before its end."""
        self._writer.cut(checkpoint)

    def finish(self, record: FinalRecord, *, products: Mapping[str, str]) -> None:
        """Keeps the end."""
        self._finish(record, None, products=products)

    def _finish(
        self, final: FinalRecord | None, diverged_step: int | None, *, products: Mapping[str, str]
    ) -> None:
        last = self._last
        assert last is not None, "an epoch or a checkpoint comes before the end"
        self._writer.finish(
            last.network,
            final,
            diverged_step,
            products=products,
            layers=rows_of(last.probes) if last.probes else None,
        )


MOST_LOSSES = 3
"""Times in a row that a stack may lose its worker without having finished an epoch."""

_SECONDS_BETWEEN_LOOKS = 0.5

FAULTS = (UserError, RuntimeError, MemoryError)
"""What may go wrong with one stack while the others go on."""


def train_jobs(
    jobs: Sequence[Job],
    *,
    engine: Engine,
    runs_dir: Path,
    watcher: Watcher,
    fresh: bool = False,
    keep_going: bool = False,
) -> Outcome:
    """Trains what is not finished, and goes on where it was interrupted.

    Args:
        jobs: Any number of networks.
        engine: What executes their stacks; entered already.
        runs_dir: The folder of all runs.
        watcher: Told what happens.
        fresh: Whether to start over what is there.
        keep_going: Whether the other stacks are trained when one fails.

    Raises:
        DataError: The data set is not to be had.
        StoreError: Files cannot be read or written.
        TrainingError: A network does not fit into memory, or its workers were lost again and
            again.
        RuntimeError: A training failed otherwise.
    """
    driver = _Driver(
        engine=engine, runs_dir=runs_dir, watcher=watcher, fresh=fresh, keep_going=keep_going
    )
    return driver.run(jobs)


class _Driver:
    def __init__(
        self, *, engine: Engine, runs_dir: Path, watcher: Watcher, fresh: bool, keep_going: bool
    ) -> None:
        self._engine = engine
        self._runs_dir = runs_dir
        self._watcher = watcher
        self._fresh = fresh
        self._keep_going = keep_going
        self._queue: deque[Waiting] = deque()
        self._running: dict[int, Running] = {}
        self._elsewhere: list[Waiting] = []
        self._largest: dict[str, int] = {}
        self._num_begun = 0
        self._told_waiting = False
        self._outcome = Outcome()

    def run(self, jobs: Sequence[Job]) -> Outcome:
        pending = [job for job in jobs if self._fresh or not self._is_finished(job)]
        if not pending:
            return self._outcome
        stacks = plan_stacks(pending, largest=self._engine.largest_stack)
        self._queue.extend(Waiting(tuple(stack), fresh=self._fresh) for stack in stacks)
        self._clock = Clock(sum(map(work_of, stacks)))
        self._request = request()
        while self._queue or self._elsewhere:
            # While nothing trains, there is nothing to be saved, and signals act at once.
            self._fill()
            try:
                with stopping() as stop:
                    while self._running:
                        for number, message in self._engine.wait(stop=stop):
                            if number in self._running:
                                self._hear(number, message)
                        if self._running and self._engine.has_room() and not stop():
                            self._fill()
                    stop.check()
            finally:
                for number in list(self._running):
                    self._leave(number)
        return self._outcome

    def _fill(self) -> None:
        """Begins stacks as long as there is room."""
        if self._elsewhere and not self._queue and self._engine.has_room():
            self._look_elsewhere()
        while self._queue and self._engine.has_room():
            self._begin(self._queue.popleft())

    def _begin(self, waiting: Waiting) -> None:
        jobs = waiting.jobs
        largest = self._largest.get(stack_key(jobs[0].config), len(jobs))
        if len(jobs) > largest:
            self._halve(waiting)
            return
        if not waiting.partly and any(self._is_locked(job) for job in jobs):
            self._elsewhere.append(waiting)
            return
        try:
            self._engine.prepare(data_key_of(jobs[0].config))
            self._open(waiting)
        except FAULTS as error:
            self._fail(jobs, error)

    def _open(self, waiting: Waiting) -> None:
        """Takes the runs of a stack; submits those that are as far as the first one."""
        opened: list[Opened] = []
        held_elsewhere: list[Job] = []
        with ExitStack() as held:
            for job in waiting.jobs:
                try:
                    writer = held.enter_context(
                        RunWriter.open(self._runs_dir, job.config, job.seed, fresh=waiting.fresh)
                    )
                except HeldError:
                    held_elsewhere.append(job)
                    if waiting.partly:
                        continue
                    # Two processes that take turns would both end up with torn stacks.
                    self._elsewhere.append(waiting)
                    return
                for note in writer.notes:
                    self._watcher.note(note)
                if writer.status != "finished":
                    opened.append(Opened(job, writer, writer.resume()))
            if held_elsewhere:
                self._elsewhere.append(replace(waiting, jobs=tuple(held_elsewhere)))
            if not opened:
                return
            members = [one for one in opened if one.place == opened[0].place]
            others = [one for one in opened if one.place != opened[0].place]
            for one in others:
                one.writer.close()
            if others:
                # What was to be started over has been by now.
                rest = tuple(one.job for one in others)
                self._queue.appendleft(replace(waiting, jobs=rest, fresh=False))
            self._submit(waiting, members, held.pop_all())

    def _submit(self, waiting: Waiting, members: Sequence[Opened], held: ExitStack) -> None:
        jobs = tuple(one.job for one in members)
        config = jobs[0].config
        number = self._num_begun
        self._num_begun += 1
        checkpoint = members[0].checkpoint
        with held:
            keepers = [
                Keeper(one.writer, held, tensorboard=one.job.config.train.tensorboard)
                for one in members
            ]
            num_stacks = self._num_begun + len(self._queue) + len(self._elsewhere)
            if num_stacks > 1:
                networks = "1 network" if len(jobs) == 1 else f"{len(jobs)} networks"
                self._watcher.note(
                    f"stack {number + 1} of {num_stacks}: {networks}{self._clock.time_left()}"
                )
            self._watcher.start(
                stack=number,
                labels=[job.config.name for job in jobs],
                num_epochs=config.train.epochs,
                first_epoch=0 if checkpoint is None else checkpoint.epoch,
                steps_per_epoch=config.iterations_per_epoch,
            )
            task = StackTask(
                settings=train_settings_of(config),
                plans=tuple(plan_of(one.job, checkpoint=one.checkpoint) for one in members),
                data=data_key_of(config),
            )
            self._engine.submit(number, task)
            self._running[number] = Running(
                replace(waiting, jobs=jobs, fresh=False), keepers, held.pop_all()
            )

    def _hear(self, number: int, message: Message) -> None:
        try:
            self._keep(number, message)
        except UserError as error:
            # It cannot be kept.
            self._engine.cancel(number)
            self._fail(self._leave(number).jobs, error)

    def _keep(self, number: int, message: Message) -> None:
        running = self._running[number]
        match message:
            case Began():
                about = {
                    **self._request,
                    **message.machine,
                    "stack_size": len(running.keepers),
                    "data_checksum": message.data_checksum,
                }
                for keeper in running.keepers:
                    keeper.begin(about)
            case Recorded(record=EpochRecord() as record):
                for one in record.replicas:
                    running.keepers[one.replica].epoch(one, products=message.products)
                running.waiting = replace(running.waiting, num_losses=0)
                self._watcher.epoch(record, stack=number)
            case Recorded(record=FinalRecord() as record):
                running.keepers[record.replica].finish(record, products=message.products)
            case Recorded(record=CutRecord() as record):
                for replica, checkpoint_of in record.checkpoints.items():
                    running.keepers[replica].cut(checkpoint_of())
                self._watcher.note(f"saved after step {record.steps} of epoch {record.epoch + 1}")
            case Ended():
                waiting = self._leave(number)
                self._clock.done(work_of(waiting.jobs))
            case Failed(error=error, out_of_memory=out_of_memory):
                waiting = self._leave(number)
                if not out_of_memory:
                    self._fail(waiting.jobs, error)
                elif len(waiting.jobs) == 1:
                    self._fail(waiting.jobs, too_large(waiting.jobs[0], error))
                else:
                    self._shrink(waiting)
            case Lost(why=why):
                self._try_again(self._leave(number), why)

    def _leave(self, number: int) -> Waiting:
        """Gives the runs of a stack free."""
        running = self._running.pop(number)
        running.held.close()
        self._outcome.num_trained += sum(keeper.is_finished for keeper in running.keepers)
        self._watcher.end(stack=number)
        return running.waiting

    def _shrink(self, waiting: Waiting) -> None:
        half = len(waiting.jobs) // 2
        self._largest[stack_key(waiting.jobs[0].config)] = half
        self._watcher.note(
            f"out of memory with {len(waiting.jobs)} networks in a stack: going on with {half}"
        )
        self._halve(waiting)

    def _halve(self, waiting: Waiting) -> None:
        middle = (len(waiting.jobs) + 1) // 2
        for part in (waiting.jobs[middle:], waiting.jobs[:middle]):
            self._queue.appendleft(replace(waiting, jobs=part))

    def _try_again(self, waiting: Waiting, why: str) -> None:
        again = replace(waiting, num_losses=waiting.num_losses + 1)
        if again.num_losses > MOST_LOSSES:
            error = TrainingError(
                f"{why}; {again.num_losses} times in a row this stack did not finish an epoch"
            )
            self._fail(waiting.jobs, error)
            return
        self._watcher.note(f"{why}: its stack goes on elsewhere from its last checkpoint")
        self._queue.appendleft(again)

    def _fail(self, jobs: tuple[Job, ...], error: Exception) -> None:
        if not self._keep_going or isinstance(error, WriteError):
            # What cannot be written for one stack cannot for the next one.
            raise error
        self._outcome.failures.append(Failure(jobs, str(error)))
        self._clock.done(work_of(jobs))
        self._watcher.note(f"failed, and left out: {error}")

    def _look_elsewhere(self) -> None:
        """Sees what has become of the networks that other processes train."""
        free: list[Job] = []
        still: list[Waiting] = []
        for waiting in self._elsewhere:
            locked = tuple(job for job in waiting.jobs if self._is_locked(job))
            free += [
                job for job in waiting.jobs if job not in locked and not self._is_finished(job)
            ]
            if locked:
                still.append(replace(waiting, jobs=locked))
        self._elsewhere = still
        if free:
            stacks = plan_stacks(free, largest=self._engine.largest_stack)
            self._queue.extend(Waiting(tuple(stack), partly=True) for stack in stacks)
        elif still and not self._running:
            if not self._told_waiting:
                self._told_waiting = True
                num = sum(len(waiting.jobs) for waiting in still)
                networks = "a network" if num == 1 else f"{num} networks"
                self._watcher.note(f"waiting for {networks} that another process is training")
            sleep(_SECONDS_BETWEEN_LOOKS)

    def _is_finished(self, job: Job) -> bool:
        return is_finished(self._runs_dir, job.config, job.seed)

    def _is_locked(self, job: Job) -> bool:
        return is_locked(run_folder(self._runs_dir, job.config, job.seed))
