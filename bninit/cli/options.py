"""Options that several verbs share, and the parsing of what they hold."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Argument, Option

from bninit.engines.interface import ENGINES
from bninit.errors import UserError

if TYPE_CHECKING:
    from bninit.config import Override

T = TypeVar("T")

FAILED = 1
INTERRUPTED = 130


class OutputFormat(str, Enum):  # noqa: UP042 (typer takes no StrEnum before 0.16)
    """What is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


class Placement(str, Enum):  # noqa: UP042
    """Where batch norm stands."""

    NONE = "none"
    PRE = "pre"
    POST = "post"


def name_option(verb: str) -> Any:
    """The option ``--name`` of a verb's folder."""
    return Option("--name", help=f"Of the folder in RUNS_DIR/{verb}.")


RunArguments = Annotated[
    list[str],
    Argument(
        metavar="RUN...",
        help="Folders of runs or arms, NAME-ID/seed-N, or names or ids of arms.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set a key of the config, as in model.norm.placement=post. Repeatable.",
    ),
]
Seeds = Annotated[
    str | None, Option("--seeds", help="A count (5), a list (0,3,7) or a range (0-4).")
]
Epochs = Annotated[int | None, Option("--epochs", help="Epochs to train.")]
Device = Annotated[str | None, Option("--device", help="auto, cpu, cuda or cuda:N.")]
RunsDir = Annotated[Path, Option("--runs-dir", help="Folder of all runs.", show_default=True)]
DataDir = Annotated[
    Path | None,
    Option(
        "--data-dir", help="Folder of the data sets; else $BNINIT_DATA_DIR, else a cache folder."
    ),
]
Engine = Annotated[
    str, Option("--engine", help=f"Where to train: {' or '.join(ENGINES)}.", show_default=True)
]
Address = Annotated[
    str | None,
    Option(
        "--address",
        metavar="HOST:PORT",
        help="A Ray cluster, or auto on one of its machines; by default $RAY_ADDRESS, else this "
        "machine alone.",
    ),
]
Cpus = Annotated[
    int,
    Option(
        "--cpus-per-stack",
        help="With --engine ray, CPUs for each stack, and threads of its computations.",
        show_default=True,
    ),
]
Format = Annotated[OutputFormat, Option("--format", help="What is printed on standard output.")]
Json = Annotated[bool, Option("--json", help="Print JSON on standard output.")]

RUNS = Path("runs")


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


def seed_list(seeds: str | None) -> list[int] | None:
    """The seeds that ``--seeds`` names; None without the option."""
    from bninit.config import parse_seeds

    return None if seeds is None else list(parse_seeds(seeds))


def listed(
    text: str | None, kind: Callable[[str], T], *, option: str, what: str, example: str
) -> list[T] | None:
    """The numbers of an option that takes several, separated by commas; None without the option."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"invalid list of {what}: {text!r}", where=option, hint=f"as in {example}"
        ) from None


def check_name(name: str | None) -> None:
    """Refuse a name that cannot be that of a folder, before anything is computed."""
    from bninit.store.output import check_name

    if name is not None:
        check_name(name)


def note(line: str) -> None:
    """Print a line on standard error: results alone go to standard output."""
    typer.echo(line, err=True)
