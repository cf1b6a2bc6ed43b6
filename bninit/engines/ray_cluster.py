"""A Ray cluster: connecting to one or starting one, and what its machines have."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bninit.errors import DeviceError, UserError

_OPTION = "--engine ray"
_SECONDS_TO_ANSWER = 5.0
_SECONDS_TO_ASK_A_GPU = 120.0
_TOKEN = Path.home() / ".ray" / "auth_token"
_LONGEST_FOLDER = 40
"""Ray's sockets lie below its folder, and their paths may have 107 characters."""


def import_ray(address: str | None) -> Any:
    """The package, told to report nothing and to keep others out.

    Args:
        address: Where to connect, as in `bninit.engines.choice.EngineChoice`.

    Raises:
        UserError: It is not installed.
    """
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
    """Within this, the process is connected to a cluster.

    Args:
        ray: The package.
        address: As in `bninit.engines.choice.EngineChoice`.

    Raises:
        UserError: The cluster cannot be reached.
    """
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
    """How many workers some machines have room for.

    Args:
        nodes: As `alive_nodes` tells them.
        needed: Amounts above 0 of resources that each worker takes.
    """
    return sum(
        # A third of a GPU is a bit less in binary, or a bit more.
        min(
            int(node["Resources"].get(name, 0.0) / amount + 1e-6) for name, amount in needed.items()
        )
        for node in nodes
    )


def smallest_gpu_bytes(ray: Any, nodes: list[dict[str, Any]]) -> int:
    """The memory of the smallest GPU of some machines, each asked about its first one.

    Raises:
        DeviceError: There is no GPU, or torch cannot use it there.
    """
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
            f"{address!r} is no address of a cluster",
            where="--address",
            hint="HOST:PORT as `ray start --head` tells it, or auto; start bninit on a machine "
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
