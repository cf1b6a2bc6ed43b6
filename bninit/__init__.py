"""bninit: what batch normalization and weight initialization do to a network, with evidence.

The functions below are those that the command line calls. They are loaded when they are first
used, so that ``import bninit`` is quick.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# libgomp reads this when torch is loaded. By default its threads spin while they wait for each
# other, and a second busy process then slows a training several times.
if "GOMP_SPINCOUNT" not in os.environ:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from bninit.config import Config, arm_id, config_from_dict, load_config
    from bninit.errors import ConfigError, DataError, DeviceError, StoreError, UserError
    from bninit.store import Run, find_runs, load_layers, load_runs
    from bninit.verbs.compare.compare import compare
    from bninit.verbs.explain.explain import explain
    from bninit.verbs.inspect.inspect import inspect
    from bninit.verbs.landscape.run import landscape
    from bninit.verbs.train import train

_HOMES = {
    "train": "bninit.verbs.train",
    "compare": "bninit.verbs.compare.compare",
    "inspect": "bninit.verbs.inspect.inspect",
    "explain": "bninit.verbs.explain.explain",
    "landscape": "bninit.verbs.landscape.run",
    "Config": "bninit.config",
    "arm_id": "bninit.config",
    "config_from_dict": "bninit.config",
    "load_config": "bninit.config",
    "ConfigError": "bninit.errors",
    "DataError": "bninit.errors",
    "DeviceError": "bninit.errors",
    "StoreError": "bninit.errors",
    "UserError": "bninit.errors",
    "Run": "bninit.store",
    "find_runs": "bninit.store",
    "load_layers": "bninit.store",
    "load_runs": "bninit.store",
}

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Run",
    "StoreError",
    "UserError",
    "__version__",
    "arm_id",
    "compare",
    "config_from_dict",
    "explain",
    "find_runs",
    "inspect",
    "landscape",
    "load_config",
    "load_layers",
    "load_runs",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
