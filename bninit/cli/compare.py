"""``bninit compare``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import (
    AddressOption,
    CpusOption,
    DataDirOption,
    DeviceOption,
    EngineOption,
    EpochsOption,
    RunsDirOption,
    SeedsOption,
    SetOption,
    overrides,
)
from bninit.engines.interface import EngineChoice
from bninit.errors import UserError


class Format(str, Enum):  # noqa: UP042 (typer takes no StrEnum before 0.16)
    """What is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


def compare(
    arms: Annotated[
        list[str],
        typer.Argument(
            metavar="ARM...",
            help="Two or more: config files, folders of runs or arms, names or ids of arms.",
            show_default=False,
        ),
    ],
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", help="The arm that the others are held against; the first by default."
        ),
    ] = None,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Compare what is there, and train nothing.")
    ] = False,
    seeds: SeedsOption = None,
    epochs: EpochsOption = None,
    settings: SetOption = None,
    device: DeviceOption = None,
    targets: Annotated[
        str | None,
        typer.Option("--targets", help="Validation accuracies, as in 0.95,0.97.", metavar="LIST"),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the folder in RUNS_DIR/compare.")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="What is printed on standard output.")
    ] = Format.TABLE,
    runs_dir: RunsDirOption = Path("runs"),
    data_dir: DataDirOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_stack: CpusOption = 1,
) -> None:
    """Compare arms: train what is missing, then tell what differs and how sure that is.

    Report, tables and pictures go to RUNS_DIR/compare/NAME. --set and --epochs change each config
    file among the arms; --seeds is for all arms.
    """
    from bninit.config import parse_seeds
    from bninit.show.progress import TrainingProgress
    from bninit.store.output import check_name
    from bninit.verbs.compare import compare as comparisons
    from bninit.verbs.compare.tables import print_comparison

    if name is not None:
        check_name(name)
    found = comparisons.compare(
        arms,
        baseline=baseline,
        overrides=overrides(settings, epochs=epochs),
        seeds=None if seeds is None else parse_seeds(seeds),
        targets=None if targets is None else _parse_targets(targets),
        train_missing=not no_train,
        device=device,
        runs_dir=runs_dir,
        data_dir=data_dir,
        engine=EngineChoice(name=engine, address=address, cpus_per_stack=cpus_per_stack),
        watcher=None if no_train else TrainingProgress(),
    )
    # The answer comes first, as drawing takes longer; where it cannot be printed it is kept.
    try:
        print_comparison(found, form=form.value)
    finally:
        folder = comparisons.keep_comparison(found, runs_dir=runs_dir, name=name)
    typer.echo(f"report and pictures: {folder}", err=True)


def _parse_targets(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"{text!r} is no list of accuracies", where="--targets", hint="as in 0.95,0.97"
        ) from None
