"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bninit.engines.interface import ENGINES

if TYPE_CHECKING:
    from bninit.config import Override

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of the config, as in model.norm.placement=post. Repeatable.",
    ),
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", help="A count (5), a list (0,3,7) or a range (0-4).")
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Epochs to train.")]
DeviceOption = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
RunsDirOption = Annotated[
    Path, typer.Option("--runs-dir", help="Folder of all runs.", show_default=True)
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of the data sets; else $BNINIT_DATA_DIR, else a cache folder."
    ),
]
EngineOption = Annotated[
    str,
    typer.Option("--engine", help=f"Where to train: {' or '.join(ENGINES)}.", show_default=True),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="A Ray cluster, or auto on one of its machines; by default $RAY_ADDRESS, else this "
        "machine alone.",
    ),
]
CpusOption = Annotated[
    int,
    typer.Option(
        "--cpus-per-stack",
        help="With --engine ray, CPUs for each stack, and threads of its computations.",
        show_default=True,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def overrides(
    settings: list[str] | None,
    *,
    seeds: str | None = None,
    epochs: int | None = None,
    device: str | None = None,
    tensorboard: bool = False,
) -> list[str | Override]:
    """What the options change in a config, the named options last."""
    from bninit.config import Override, parse_seeds

    changes: list[str | Override] = [*(settings or [])]
    if seeds is not None:
        changes.append(Override("train.seeds", list(parse_seeds(seeds)), f"--seeds {seeds}"))
    if epochs is not None:
        changes.append(Override("train.epochs", epochs, f"--epochs {epochs}"))
    if device is not None:
        changes.append(Override("train.device", device, f"--device {device}"))
    if tensorboard:
        changes.append(Override("train.tensorboard", True, "--tensorboard"))
    return changes
