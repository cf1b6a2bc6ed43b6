"""The Ray engine: connect to a cluster or start one, and train stacks in its workers."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from bninit.config import Config
from bninit.engines.interface import (
    LAST,
    Ended,
    EngineChoice,
    Failed,
    Lost,
    Message,
    StackTask,
)
from bninit.engines.plan import DataKey, data_key, largest_stack, load_data, stacks_per_gpu
from bninit.engines.worker import DataArrays, StackWorker
from bninit.errors import DeviceError, UserError

_OPTION = "--engine ray"
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_ASK_A_GPU = 120.0
_TOKEN = Path.home() / ".ray" / "auth_token"
_LONGEST_FOLDER = 40
"""Ray's sockets lie below its folder, and their paths may have 107 characters."""


def import_ray(address: str | None) -> Any:
    """Imports the package, with its reports off and a token that keeps others out."""
    # Nothing is reported to anyone, from here or from what is started here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Read when Ray is imported. By itself, Ray would leave a token in the home.
    if "RAY_AUTH_MODE" not in os.environ:
        if _resolved(address) == "local":
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        elif _TOKEN.exists():
            os.environ["RAY_AUTH_MODE"] = "token"
    try:
        import ray
    except ImportError:
        raise UserError(
            "the package ray is not installed", where=_OPTION, hint='pip install "bninit[ray]"'
        ) from None
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connects to a cluster, or starts one of this machine; raises UserError if it cannot."""
    if ray.is_initialized():
        # By whoever called; it is theirs to end, too.
        yield
        return
    address = _resolved(address)
    folder = None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        folder = _new_folder()
        options |= {"include_dashboard": False, "_temp_dir": str(folder)}
    else:
        _look_for(address)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        _remove(folder)
        what = str(error).strip().partition("\n")[0]
        raise UserError(
            f"no Ray cluster can be reached: {what}",
            where=f"--address {address}",
            hint="start one with `ray start --head`, and give its HOST:PORT, or `auto` on one of "
            "its machines; RAY_AUTH_MODE and the token have to be those that it was started with",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()
        _remove(folder)


def alive_nodes(ray: Any) -> list[dict[str, Any]]:
    """The machines of the cluster that are there now."""
    return [node for node in ray.nodes() if node["Alive"]]


def most_of(nodes: list[dict[str, Any]], resource: str) -> float:
    """The largest amount of a resource that one of some machines has."""
    return max((node["Resources"].get(resource, 0.0) for node in nodes), default=0.0)


def num_slots(nodes: list[dict[str, Any]], needed: dict[str, float]) -> int:
    """How many workers, which each take these resources, some machines have room for."""
    return sum(
        # A third of a GPU is a bit less in binary, or a bit more.
        min(
            int(node["Resources"].get(name, 0.0) / amount + 1e-6) for name, amount in needed.items()
        )
        for node in nodes
    )


def smallest_gpu_bytes(ray: Any, nodes: list[dict[str, Any]]) -> int:
    """The memory of the smallest GPU of some machines, going by the first one of each."""
    with_gpus = [node["NodeID"] for node in nodes if node["Resources"].get("GPU", 0.0) > 0]
    if not with_gpus:
        raise DeviceError(
            "the cluster has no GPU", where=f"{_OPTION} --device cuda", hint="use --device cpu"
        )
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, num_gpus=0.01)(_gpu_bytes)
    asked = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in with_gpus
    ]
    try:
        found: list[int] = ray.get(asked, timeout=_SECONDS_TO_ASK_A_GPU)
    except (ray.exceptions.RayError, TimeoutError) as error:
        raise DeviceError(f"a GPU of the cluster does not answer: {error}", where=_OPTION) from None
    if not min(found):
        raise DeviceError(
            "torch cannot use the GPUs of the cluster",
            where=f"{_OPTION} --device cuda",
            hint="is a torch with CUDA installed on its machines? else use --device cpu",
        )
    return min(found)


def _gpu_bytes() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else 0


def _resolved(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _look_for(address: str) -> None:
    """Makes sure that something answers there; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host or int(port) > 65535:
        raise UserError(
            f"invalid cluster address: {address!r}",
            where="--address",
            hint="HOST:PORT as `ray start --head` prints it, or auto; start bninit on a machine "
            "of the cluster",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_ANSWER).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster can be reached: {error.strerror or error}",
            where=f"--address {address}",
            hint="is `ray start --head` running there, and is this its port?",
        ) from None


def _new_folder() -> Path:
    place = tempfile.gettempdir()
    return Path(
        tempfile.mkdtemp(prefix="bninit-", dir=place if len(place) < _LONGEST_FOLDER else "/tmp")
    )


def _remove(folder: Path | None) -> None:
    if folder is not None:
        with suppress(OSError):
            shutil.rmtree(folder, ignore_errors=True)


_SECONDS_TO_WAIT = 0.5
_SECONDS_TO_COUNT = 2.0
"""How long a count of the cluster's machines is good for."""

_SECONDS_TO_START = 3.0
"""How long a stack waits for its own worker while another is idle."""

_LOW_ON_MEMORY = "running low on memory"
"""In the text with which Ray ends the workers of a machine whose memory is nearly full."""

_CONTROL = "control"
"""Concurrency group in which a busy worker receives the request to stop."""


@dataclass
class _Executing:
    """A stack in a worker: since when, and whether a message has come."""

    worker: Any
    task: StackTask
    since: float
    heard: bool = False


class RayEngine:
    """Executes as many stacks at a time as the cluster has room for.

    Args:
        address: As in `EngineChoice`.
        cpus_per_stack: CPUs for each stack, and threads of its computations.
        device: ``auto`` (a GPU if the cluster has any), ``cpu`` or ``cuda``.
        data_dir: Folder searched first for data sets, on this machine.

    Raises:
        DeviceError: A device by its number, which is Ray's to choose.
        UserError: Ray is not installed.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus_per_stack: int = 1,
        device: str = "auto",
        data_dir: Path | None = None,
    ) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise DeviceError(
                "on a cluster, Ray chooses the GPU",
                where=f"device {device}",
                hint="use device: auto, cpu or cuda",
            )
        self._ray = import_ray(address)
        self._address = address
        self._cpus = cpus_per_stack
        self._device = device
        self._data_dir = data_dir
        self._gpu_bytes = 0
        self._data: dict[DataKey, Any] = {}
        self._executing: dict[int, _Executing] = {}
        self._awaited: dict[Any, int] = {}
        self._idle: list[Any] = []
        self._shape: dict[str, float] = {}
        self._counted: tuple[float, int] | None = None
        self._told_to_stop = False
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(connected(self._ray, self._address))
            nodes = alive_nodes(self._ray)
            if most_of(nodes, "CPU") < self._cpus:
                raise UserError(
                    f"no machine of the cluster has {self._cpus} CPUs for a stack",
                    where="--cpus-per-stack",
                    hint=f"the largest has {most_of(nodes, 'CPU'):g}",
                )
            if self._device == "auto":
                self._device = "cuda" if most_of(nodes, "GPU") > 0 else "cpu"
            if self._device == "cuda":
                self._gpu_bytes = smallest_gpu_bytes(self._ray, nodes)
            self._shape = self._shape_of(None)
            self._worker_class = self._ray.remote(
                concurrency_groups={_CONTROL: 1}, max_restarts=0, max_task_retries=0
            )(StackWorker)
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._executing):
            self.cancel(number)
        self._dismiss()
        self._data = {}
        self._held.close()

    def largest_stack(self, config: Config) -> int:
        """As much as the memory of a worker's device holds."""
        return largest_stack(config, device=torch.device(self._device), free_bytes=self._gpu_bytes)

    def prepare(self, config: Config) -> None:
        """Loads the data set, and puts it into the object store."""
        key = data_key(config)
        if key in self._data:
            return
        used = {data_key(executing.task.config) for executing in self._executing.values()}
        self._data = {key: kept for key, kept in self._data.items() if key in used}
        arrays = DataArrays.of(load_data(config, data_dir=self._data_dir))
        self._data[key] = self._ray.put(arrays)

    def has_room(self) -> bool:
        """Whether fewer stacks are executing than the cluster has room for."""
        # With none, one may always wait for a machine to come.
        return len(self._executing) < max(1, self._num_slots())

    def submit(self, number: int, task: StackTask) -> None:
        """Begins a stack in a worker that is idle, or in a new one."""
        shape = self._shape_of(task)
        if shape != self._shape:
            # Idle workers hold what those of another shape need.
            self._dismiss()
            self._shape, self._counted = shape, None
        self._begin(number, task)

    def wait(self, *, stop: Callable[[], bool]) -> Iterator[tuple[int, Message]]:
        """Waits for the next message of any stack."""
        if not self._executing:
            return
        if stop() and not self._told_to_stop:
            self._told_to_stop = True
            yield from self._stop()
        self._hand_over()
        if self._awaited:
            ready, _ = self._ray.wait(list(self._awaited), timeout=_SECONDS_TO_WAIT)
            for awaited in ready:
                number = self._awaited.pop(awaited)
                yield number, self._receive(number, awaited)

    def cancel(self, number: int) -> None:
        """Ends the stack, and its worker."""
        executing = self._executing.pop(number, None)
        if executing is not None:
            self._awaited = {ref: n for ref, n in self._awaited.items() if n != number}
            self._ray.kill(executing.worker)

    def _begin(self, number: int, task: StackTask) -> None:
        worker = self._idle.pop() if self._idle else self._new_worker()
        self._executing[number] = _Executing(worker, task, time.monotonic())
        data = self._data[data_key(task.config)]
        begun = worker.begin.remote(task, data, device=self._device, num_threads=self._cpus)
        self._awaited[begun] = number

    def _hand_over(self) -> None:
        """Gives stacks whose workers do not start to workers that are idle.

        When a machine goes, there may be more workers than the others have room for. Those that
        are idle then hold what those that cannot start are waiting for.
        """
        late = time.monotonic() - _SECONDS_TO_START
        for number, executing in list(self._executing.items()):
            if self._idle and not executing.heard and executing.since < late:
                self.cancel(number)
                self._begin(number, executing.task)

    def _stop(self) -> Iterator[tuple[int, Message]]:
        """Lets the workers end their steps; stacks that have not begun are left."""
        for number, executing in list(self._executing.items()):
            if executing.heard:
                executing.worker.stop.options(concurrency_group=_CONTROL).remote()
            else:
                self.cancel(number)
                yield number, Ended()

    def _receive(self, number: int, awaited: Any) -> Message:
        executing = self._executing[number]
        exceptions = self._ray.exceptions
        try:
            message: Message = self._ray.get(awaited)
        except exceptions.RayTaskError as error:
            self.cancel(number)
            return Failed(error=RuntimeError(str(error.cause)), out_of_memory=False)
        except exceptions.RayError as error:
            self.cancel(number)
            if "failed to import" in str(error):
                return Failed(error=_not_installed(), out_of_memory=False)
            if isinstance(error, exceptions.OutOfMemoryError) or _LOW_ON_MEMORY in str(error):
                return Failed(error=MemoryError(_LOW_ON_MEMORY), out_of_memory=True)
            # Those beside it may be gone with it.
            self._dismiss()
            return Lost(why=f"a worker was lost ({type(error).__name__})")
        executing.heard = True
        if isinstance(message, LAST):
            del self._executing[number]
            self._idle.append(executing.worker)
        else:
            self._awaited[executing.worker.next.remote()] = number
        return message

    def _new_worker(self) -> Any:
        return self._worker_class.options(
            num_cpus=self._shape["CPU"], num_gpus=self._shape.get("GPU", 0)
        ).remote()

    def _dismiss(self) -> None:
        """Ends the workers that are idle."""
        for worker in self._idle:
            self._ray.kill(worker)
        self._idle = []

    def _shape_of(self, task: StackTask | None) -> dict[str, float]:
        """What a stack needs of a machine."""
        shape = {"CPU": float(self._cpus)}
        if self._device == "cuda":
            number = 1
            if task is not None:
                number = stacks_per_gpu(
                    task.config, num_networks=len(task.replicas), gpu_bytes=self._gpu_bytes
                )
            # Rounded down: with more digits, Ray would add up to more than a GPU.
            shape["GPU"] = int(10_000 / number) / 10_000
        return shape

    def _num_slots(self) -> int:
        now = time.monotonic()
        if self._counted is None or now - self._counted[0] > _SECONDS_TO_COUNT:
            self._counted = now, num_slots(alive_nodes(self._ray), self._shape)
        return self._counted[1]


def open_engine(choice: EngineChoice, *, device: str, data_dir: Path | None) -> RayEngine:
    """For `bninit.engines.interface.ENGINES`."""
    return RayEngine(
        address=choice.address,
        cpus_per_stack=choice.cpus_per_stack,
        device=device,
        data_dir=data_dir,
    )


def _not_installed() -> UserError:
    return UserError(
        "the workers cannot import bninit",
        where="--engine ray",
        hint="install the same bninit on every machine of the cluster, in the environment from "
        "which `ray start` was called",
    )
