"""Which engine trains, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bninit.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bninit.engines.interface import Engine

ENGINES = {"local": "bninit.engines.local:open_engine"}
"""For each engine, where the function is that makes one, ``module:function``.

It takes an `EngineChoice`, and the keywords ``device`` and ``data_dir`` of `open_engine`.
"""


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """Where to train.

    Attributes:
        name: A key of `ENGINES`.
    """

    name: str = "local"


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
        UserError: There is no such engine, or it cannot be had.
    """
    if choice.name not in ENGINES:
        raise UserError(
            f"there is no engine {choice.name!r}",
            where="--engine",
            hint=f"allowed: {', '.join(ENGINES)}",
        )
    module, _, function = ENGINES[choice.name].partition(":")
    make: Callable[..., Engine] = getattr(import_module(module), function)
    return make(choice, device=device, data_dir=data_dir)
