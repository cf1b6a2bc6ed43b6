"""Train jobs in stacks: resume, retry, halve when out of memory, share work between processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import sleep
from typing import Any

from bninit.engines.interface import (
    Began,
    Ended,
    Engine,
    Failed,
    Job,
    Lost,
    Message,
    Progress,
    Recorded,
    StackTask,
)
from bninit.engines.plan import plan_stacks, replica_plan, stack_key
from bninit.engines.stopping import stopping
from bninit.errors import TrainingError, UserError, WriteError
from bninit.store import EventWriter, RunWriter, is_finished, run_folder
from bninit.store.environment import request
from bninit.store.files import HeldError, is_locked
from bninit.training.probing import rows_of
from bninit.training.records import EpochRecord, FinalRecord, InterruptedEpoch, ReplicaEpoch

MOST_LOSSES = 3
"""Times in a row that a stack may lose its worker without having finished an epoch."""

_SECONDS_BETWEEN_LOOKS = 0.5

FAULTS = (UserError, RuntimeError, MemoryError)
"""What may go wrong with one stack while the others proceed."""


@dataclass(frozen=True)
class Failure:
    """Networks of a stack that could not be trained, and why."""

    jobs: tuple[Job, ...]
    why: str


@dataclass
class Outcome:
    """What became of some jobs.

    Attributes:
        failures: The stacks that failed; none unless told to keep going.
        num_trained: Networks that were trained to their end; the others were finished already,
            failed, or were trained by another process.
    """

    failures: list[Failure] = field(default_factory=list)
    num_trained: int = 0


@dataclass(frozen=True)
class QueuedStack:
    """Networks that are to train together.

    Attributes:
        jobs: At least one.
        fresh: Whether existing results are discarded.
        num_losses: Times in a row that their worker was lost.
        partly: Whether to take those that no other process holds, and not all or none.
    """

    jobs: tuple[Job, ...]
    fresh: bool = False
    num_losses: int = 0
    partly: bool = False


@dataclass
class ActiveStack:
    """A stack in training: its entry in the queue, a recorder a network, and its open runs."""

    queued: QueuedStack
    recorders: list[RunRecorder]
    held: ExitStack


class RunRecorder:
    """Writes what one network does into its run, and event files if they are wanted."""

    def __init__(self, job: Job, writer: RunWriter) -> None:
        self.job = job
        self.writer = writer
        self.checkpoint = writer.resume()
        self._events: EventWriter | None = None

    @property
    def place(self) -> tuple[int, int]:
        """How far it is; only networks that are equally far can train together."""
        # A training from epoch 0's checkpoint does not record that epoch again.
        return (-1, 0) if self.checkpoint is None else self.checkpoint.place

    @property
    def is_finished(self) -> bool:
        """Whether the end is recorded."""
        return self.writer.status == "finished"

    def begin(self, about: Mapping[str, Any]) -> None:
        """Records what the network is trained with."""
        self.writer.describe(about)

    def open_events(self, held: ExitStack) -> None:
        """Opens event files if the config wants them; what is held closes them."""
        if self.job.config.train.tensorboard:
            events = EventWriter(self.writer.folder, rows=self.writer.rows)
            self._events = held.enter_context(events)

    def epoch(self, record: ReplicaEpoch, *, products: Mapping[str, str]) -> None:
        """Records an epoch; of a diverged network, the end."""
        self.checkpoint = record.checkpoint()
        diverged = record.diverged_step is not None
        # Killed between the two writes, a diverged network goes back an epoch and diverges again.
        checkpoint = None if diverged else self.checkpoint
        self.writer.epoch(record.metrics, record.step_losses, checkpoint)
        if self._events is not None:
            self._events.epoch(record.metrics)
        if diverged:
            self.finish(None, record.diverged_step, products=products)

    def finish(
        self,
        final: FinalRecord | None,
        diverged_step: int | None = None,
        *,
        products: Mapping[str, str],
    ) -> None:
        """Records the end."""
        last = self.checkpoint
        assert last is not None, "an epoch or a checkpoint comes before the end"
        layers = rows_of(last.probes) if last.probes else None
        self.writer.finish(last.network, final, diverged_step, products=products, layers=layers)


def train_jobs(
    jobs: Sequence[Job],
    *,
    engine: Engine,
    runs_dir: Path,
    progress: Progress,
    fresh: bool = False,
    keep_going: bool = False,
) -> Outcome:
    """Trains what is not finished, and resumes what was interrupted.

    Args:
        jobs: Any number of networks.
        engine: What executes their stacks; entered already.
        runs_dir: The folder of all runs.
        progress: Follows the training.
        fresh: Whether to discard existing results.
        keep_going: Whether the other stacks are trained when one fails.

    Raises:
        DataError: The data set is not available.
        StoreError: Files cannot be read or written.
        TrainingError: A network does not fit into memory, or its workers were lost again and
            again.
        RuntimeError: A training failed otherwise.
    """
    pending = [job for job in jobs if fresh or not is_finished(runs_dir, job.config, job.seed)]
    if not pending:
        return Outcome()
    return _Driver(engine, runs_dir, progress, keep_going=keep_going).run(pending, fresh=fresh)


def _work_of(jobs: Sequence[Job]) -> float:
    """Multiplications of a stack's training, up to a factor, with something for each step."""
    config = jobs[0].config
    weights = sum(fan_in * fan_out for fan_in, fan_out in config.architecture.fans())
    steps = config.train.epochs * config.iterations_per_epoch
    return steps * (len(jobs) * weights * config.train.batch_size + 5_000_000.0)


def _networks(number: int) -> str:
    return "1 network" if number == 1 else f"{number} networks"


class _Driver:
    def __init__(
        self, engine: Engine, runs_dir: Path, progress: Progress, *, keep_going: bool
    ) -> None:
        self._engine = engine
        self._runs_dir = runs_dir
        self._progress = progress
        self._keep_going = keep_going
        self._queue: deque[QueuedStack] = deque()
        self._active: dict[int, ActiveStack] = {}
        self._elsewhere: list[QueuedStack] = []
        self._largest: dict[str, int] = {}
        self._num_begun = 0
        self._work_done = 0.0
        self._is_waiting = False
        self._outcome = Outcome()

    def run(self, jobs: Sequence[Job], *, fresh: bool) -> Outcome:
        stacks = plan_stacks(jobs, largest=self._engine.largest_stack)
        self._queue.extend(QueuedStack(tuple(stack), fresh=fresh) for stack in stacks)
        self._work = sum(map(_work_of, stacks))
        self._began = time.monotonic()
        self._request = request()
        while self._queue or self._elsewhere:
            # While nothing trains, there is nothing to be saved, and signals act at once.
            self._fill()
            try:
                with stopping() as stop:
                    while self._active:
                        for number, message in self._engine.wait(stop=stop):
                            if number in self._active:
                                self._hear(number, message)
                        if self._active and self._engine.has_room() and not stop():
                            self._fill()
                    stop.check()
            finally:
                for number in list(self._active):
                    self._leave(number)
        return self._outcome

    def _fill(self) -> None:
        """Begins stacks as long as there is room."""
        if self._elsewhere and not self._queue and self._engine.has_room():
            self._look_elsewhere()
        while self._queue and self._engine.has_room():
            self._begin(self._queue.popleft())

    def _begin(self, queued: QueuedStack) -> None:
        jobs = queued.jobs
        if len(jobs) > self._largest.get(stack_key(jobs[0].config), len(jobs)):
            self._halve(queued)
        elif not queued.partly and any(self._is_locked(job) for job in jobs):
            self._elsewhere.append(queued)
        else:
            try:
                self._engine.prepare(jobs[0].config)
                self._open(queued)
            except FAULTS as error:
                self._fail(jobs, error)

    def _open(self, queued: QueuedStack) -> None:
        """Opens the runs of a stack; submits those that are as far as the first one."""
        opened: list[RunRecorder] = []
        held_elsewhere: list[Job] = []
        with ExitStack() as held:
            for job in queued.jobs:
                try:
                    writer = held.enter_context(
                        RunWriter(self._runs_dir, job.config, job.seed, fresh=queued.fresh)
                    )
                except HeldError:
                    held_elsewhere.append(job)
                    if queued.partly:
                        continue
                    # Two processes that take turns would both end up with torn stacks.
                    self._elsewhere.append(queued)
                    return
                for note in writer.notes:
                    self._progress.note(note)
                if writer.status != "finished":
                    opened.append(RunRecorder(job, writer))
            if held_elsewhere:
                self._elsewhere.append(replace(queued, jobs=tuple(held_elsewhere)))
            if not opened:
                return
            members = [one for one in opened if one.place == opened[0].place]
            others = [one for one in opened if one.place != opened[0].place]
            for one in others:
                one.writer.close()
            # What was to be discarded has been by now.
            queued = replace(queued, fresh=False)
            if others:
                self._queue.appendleft(replace(queued, jobs=tuple(one.job for one in others)))
            for one in members:
                one.open_events(held)
            queued = replace(queued, jobs=tuple(one.job for one in members))
            self._submit(queued, members, held)

    def _submit(self, queued: QueuedStack, recorders: list[RunRecorder], held: ExitStack) -> None:
        number = self._num_begun
        self._num_begun += 1
        jobs = queued.jobs
        config, checkpoint = jobs[0].config, recorders[0].checkpoint
        num_stacks = self._num_begun + len(self._queue) + len(self._elsewhere)
        if num_stacks > 1:
            self._progress.note(
                f"stack {number + 1} of {num_stacks}: {_networks(len(jobs))}{self._time_left()}"
            )
        self._progress.start(
            stack=number,
            labels=[job.config.name for job in jobs],
            num_epochs=config.train.epochs,
            first_epoch=0 if checkpoint is None else checkpoint.epoch,
            steps_per_epoch=config.iterations_per_epoch,
        )
        replicas = tuple(replica_plan(one.job, checkpoint=one.checkpoint) for one in recorders)
        self._engine.submit(number, StackTask(config=config, replicas=replicas))
        self._active[number] = ActiveStack(queued, recorders, held.pop_all())

    def _hear(self, number: int, message: Message) -> None:
        try:
            self._record(number, message)
        except UserError as error:
            # It cannot be written.
            self._engine.cancel(number)
            self._fail(self._leave(number).jobs, error)

    def _record(self, number: int, message: Message) -> None:
        stack = self._active[number]
        match message:
            case Began():
                about = {
                    **self._request,
                    **message.machine,
                    "stack_size": len(stack.recorders),
                    "data_checksum": message.data_checksum,
                }
                for recorder in stack.recorders:
                    recorder.begin(about)
            case Recorded(record=EpochRecord() as record):
                for one in record.replicas:
                    stack.recorders[one.replica].epoch(one, products=message.products)
                stack.queued = replace(stack.queued, num_losses=0)
                self._progress.epoch(record, stack=number)
            case Recorded(record=FinalRecord() as record):
                stack.recorders[record.replica].finish(record, products=message.products)
            case Recorded(record=InterruptedEpoch() as record):
                for replica, checkpoint_of in record.checkpoints.items():
                    stack.recorders[replica].writer.cut(checkpoint_of())
                self._progress.note(f"saved after step {record.steps} of epoch {record.epoch + 1}")
            case Ended():
                self._work_done += _work_of(self._leave(number).jobs)
            case Failed(error=error, out_of_memory=out_of_memory):
                queued = self._leave(number)
                if not out_of_memory:
                    self._fail(queued.jobs, error)
                elif len(queued.jobs) == 1:
                    self._fail(queued.jobs, _too_large(queued.jobs[0], error))
                else:
                    self._shrink(queued)
            case Lost(why=why):
                self._retry(self._leave(number), why)

    def _leave(self, number: int) -> QueuedStack:
        """Closes the runs of a stack."""
        stack = self._active.pop(number)
        stack.held.close()
        self._outcome.num_trained += sum(recorder.is_finished for recorder in stack.recorders)
        self._progress.end(stack=number)
        return stack.queued

    def _shrink(self, queued: QueuedStack) -> None:
        half = len(queued.jobs) // 2
        self._largest[stack_key(queued.jobs[0].config)] = half
        self._progress.note(
            f"out of memory with {len(queued.jobs)} networks in a stack: continuing with {half}"
        )
        self._halve(queued)

    def _halve(self, queued: QueuedStack) -> None:
        middle = (len(queued.jobs) + 1) // 2
        for part in (queued.jobs[middle:], queued.jobs[:middle]):
            self._queue.appendleft(replace(queued, jobs=part))

    def _retry(self, queued: QueuedStack, why: str) -> None:
        again = replace(queued, num_losses=queued.num_losses + 1)
        if again.num_losses > MOST_LOSSES:
            what = f"{why}; {again.num_losses} times in a row this stack did not finish an epoch"
            self._fail(queued.jobs, TrainingError(what))
            return
        self._progress.note(f"{why}: its stack resumes elsewhere from its last checkpoint")
        self._queue.appendleft(again)

    def _fail(self, jobs: tuple[Job, ...], error: Exception) -> None:
        if not self._keep_going or isinstance(error, WriteError):
            # What cannot be written for one stack cannot for the next one.
            raise error
        self._outcome.failures.append(Failure(jobs, str(error)))
        self._work_done += _work_of(jobs)
        self._progress.note(f"failed and skipped: {error}")

    def _look_elsewhere(self) -> None:
        """Checks what has become of the networks that other processes train."""
        free: list[Job] = []
        still: list[QueuedStack] = []
        for queued in self._elsewhere:
            locked = tuple(job for job in queued.jobs if self._is_locked(job))
            free += [
                job
                for job in queued.jobs
                if job not in locked and not is_finished(self._runs_dir, job.config, job.seed)
            ]
            if locked:
                still.append(replace(queued, jobs=locked))
        self._elsewhere = still
        if free:
            stacks = plan_stacks(free, largest=self._engine.largest_stack)
            self._queue.extend(QueuedStack(tuple(stack), partly=True) for stack in stacks)
        elif still and not self._active:
            if not self._is_waiting:
                self._is_waiting = True
                num = sum(len(queued.jobs) for queued in still)
                self._progress.note(
                    f"waiting for {_networks(num)} that another process is training"
                )
            sleep(_SECONDS_BETWEEN_LOOKS)

    def _is_locked(self, job: Job) -> bool:
        return is_locked(run_folder(self._runs_dir, job.config, job.seed))

    def _time_left(self) -> str:
        """An estimate for the end of a line; empty before anything is done."""
        if not self._work_done:
            return ""
        rate = (time.monotonic() - self._began) / self._work_done
        seconds = rate * (self._work - self._work_done)
        if seconds < 90:
            return f", about {seconds:.0f} s left"
        return f", about {seconds / 60:.0f} min left"


def _too_large(job: Job, error: Exception) -> TrainingError:
    first = str(error).strip().partition("\n")[0]
    return TrainingError(
        f"{job.config.name}, seed {job.seed}: out of memory with a single network "
        f"({first or type(error).__name__}); choose smaller layers or a smaller batch, or a "
        "device with more memory"
    )
