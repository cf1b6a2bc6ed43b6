"""Which engine trains, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bninit.engines.plan import Engine

ENGINES = {
    "local": "bninit.engines.local:open_engine",
    "ray": "bninit.engines.ray:open_engine",
}
"""For each engine, where the function is that makes one, ``module:function``.

It takes an `EngineChoice`, and the keywords ``device`` and ``data_dir`` of `open_engine`.
"""


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """Where to train.

    Attributes:
        name: A key of `ENGINES`.
        address: Of a cluster, for the engine ``ray``: ``HOST:PORT`` or ``auto``; None for
            ``$RAY_ADDRESS``, and without it for a cluster of this machine alone.
        cpus_per_stack: CPUs for each stack on a cluster, and threads of its computations; at
            least 1.

    Raises:
        UserError: One of them is not allowed.
    """

    name: str = "local"
    address: str | None = None
    cpus_per_stack: int = 1

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise UserError(
                f"there is no engine {self.name!r}",
                where="--engine",
                hint=f"allowed: {', '.join(ENGINES)}",
            )
        if self.address is not None and self.name == "local":
            raise UserError(
                f"{self.address!r} is the address of a cluster, and this machine needs none",
                where="--address",
                hint="add --engine ray",
            )
        if self.cpus_per_stack < 1:
            raise UserError(
                f"{self.cpus_per_stack} is no number of CPUs",
                where="--cpus-per-stack",
                hint="at least 1",
            )


LOCAL = EngineChoice()
"""On this machine, in this process."""


def open_engine(choice: EngineChoice, *, device: str, data_dir: Path | None) -> Engine:
    """The engine that was chosen.

    Args:
        choice: Where to train.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        data_dir: Folder searched first for data sets.

    Raises:
        DeviceError: The device is not there.
        UserError: A package that the engine needs is not installed.
    """
    module, _, function = ENGINES[choice.name].partition(":")
    make: Callable[..., Engine] = getattr(import_module(module), function)
    return make(choice, device=device, data_dir=data_dir)
