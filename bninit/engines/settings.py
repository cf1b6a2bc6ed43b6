"""From a config to the plain values that `bninit.nets` and `bninit.training` take."""

from __future__ import annotations

from typing import Any, cast

import torch

from bninit.config import Config
from bninit.engines.interface import DataKey
from bninit.engines.plan import Job
from bninit.errors import DeviceError
from bninit.nets.initialisers import SCHEMES, Parameters
from bninit.nets.products import FULL, PRECISIONS
from bninit.nets.start import Initialisation
from bninit.store.networks import architecture_of, dtype_of
from bninit.training.loop import ReplicaPlan, TrainSettings
from bninit.training.optimisers import OptimiserSettings
from bninit.training.probing import ProbeSettings
from bninit.training.records import Checkpoint
from bninit.training.schedules import Schedule

CPU = torch.device("cpu")


def initialisation_of(config: Config) -> Initialisation:
    """How the config's networks start."""
    init = config.model.init
    return Initialisation(
        scheme=init.scheme,
        parameters=cast(Parameters, _given(init, *SCHEMES[init.scheme].takes)),
        bias_scheme=init.bias.scheme,
        bias_parameters=_given(init.bias, "std", "limit", "value"),
    )


def plan_of(job: Job, *, checkpoint: Checkpoint | None = None) -> ReplicaPlan:
    """A network to be trained.

    Args:
        job: Its config and its seed.
        checkpoint: Where it goes on; None for the beginning.
    """
    return ReplicaPlan(
        seed=job.seed, initialisation=initialisation_of(job.config), checkpoint=checkpoint
    )


def data_key_of(config: Config) -> DataKey:
    """What the config's networks are trained on."""
    data = config.data
    return DataKey(name=data.name, val_size=data.val_size, scale=data.scale, dtype=dtype_of(config))


def train_settings_of(config: Config, *, device: torch.device = CPU) -> TrainSettings:
    """What the config's networks have in common in training."""
    optim = config.optim
    given = {
        key: value
        for key in ("momentum", "betas", "eps")
        if (value := getattr(optim, key)) is not None
    }
    return TrainSettings(
        architecture=architecture_of(config),
        optimiser=OptimiserSettings(
            name=optim.name,
            nesterov=optim.nesterov,
            weight_decay=optim.weight_decay,
            **given,
        ),
        lr=optim.lr,
        schedule=Schedule(
            name=optim.schedule.name,
            step_epochs=optim.schedule.step_epochs,
            factor=1.0 if optim.schedule.factor is None else optim.schedule.factor,
            min_lr=0.0 if optim.schedule.min_lr is None else optim.schedule.min_lr,
        ),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        last_batch=config.train.last_batch,
        dtype=dtype_of(config),
        precision=products_of(config),
        device=device,
        probes=_probes_of(config),
    )


def products_of(config: Config) -> str:
    """The precision of the config's matrix products; see `bninit.nets.products.PRECISIONS`."""
    precision = config.train.precision
    return precision if precision in PRECISIONS else FULL


def _probes_of(config: Config) -> ProbeSettings | None:
    probes = config.probes
    if not probes.enabled:
        return None
    return ProbeSettings(
        groups=probes.groups,
        batch_size=probes.batch_size,
        steps_per_doubling=probes.steps_per_doubling,
        units=probes.units,
    )


def resolve_device(name: str) -> torch.device:
    """The device that a config's ``train.device`` means on this machine.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: A CUDA device was asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    hint = "use device: cpu, or device: auto, which takes a GPU where there is one"
    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; this torch is built without CUDA"
        raise DeviceError(f"no CUDA device is available{built}", where=f"device {name}", hint=hint)
    device = torch.device("cuda:0" if name == "cuda" else name)
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        last = f"cuda:{count - 1}"
        raise DeviceError(f"the last CUDA device is {last}", where=f"device {name}", hint=hint)
    return device


def _given(section: object, *keys: str) -> dict[str, Any]:
    found = {key: getattr(section, key) for key in keys}
    return {key: value for key, value in found.items() if value is not None}
