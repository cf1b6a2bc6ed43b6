"""``bninit bench``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import DataDirOption, DeviceOption, JsonOption, RunsDirOption
from bninit.errors import UserError

FAILED = 1


class Placement(str, Enum):  # noqa: UP042 (typer takes no StrEnum before 0.16)
    """Where batch norm stands."""

    NONE = "none"
    PRE = "pre"
    POST = "post"


def bench(
    hidden: Annotated[
        str | None,
        typer.Option(
            "--hidden", metavar="LIST", help="Units of each hidden layer, as in 256,256,256."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Examples of a step.")
    ] = None,
    placement: Annotated[
        Placement, typer.Option("--placement", help="Where batch norm stands.")
    ] = Placement.PRE,
    stacks: Annotated[
        str | None,
        typer.Option(
            "--stacks", metavar="LIST", help="Networks in the stacks, as in 2,5,10 (on the CPU)."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", help="Timed passes of each.")] = 5,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Steps of a pass at most; a whole epoch by default."),
    ] = None,
    scaling: Annotated[
        bool,
        typer.Option(
            "--scaling", help="How time and memory grow instead; a picture in RUNS_DIR/bench."
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few steps: shows that it works, not how fast it is.")
    ] = False,
    device: DeviceOption = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="A data set; MNIST where its files are, else the sample."),
    ] = None,
    data_dir: DataDirOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    as_json: JsonOption = False,
) -> None:
    """Time training on this machine, beside the loops that people write in PyTorch.

    All train the same networks on the same batches, which is checked before anything is timed, and
    take turns. Without --hidden and --batch-size: 3 x 256 with batches of 128, and 3 x 100 with
    batches of 60.
    """
    from bninit.store.files import json_text
    from bninit.verbs.bench import bench as benchmark
    from bninit.verbs.bench.baselines import UnequalLossesError
    from bninit.verbs.bench.tables import print_bench, print_scaling

    def note(line: str) -> None:
        typer.echo(line, err=True)

    if scaling:
        if hidden is not None or batch_size is not None or stacks is not None or steps is not None:
            raise UserError(
                "--hidden, --batch-size, --stacks and --steps do not go with it",
                where="--scaling",
                hint="it varies these itself",
            )
        result = benchmark.scaling(
            quick=quick,
            num_repeats=repeats,
            placement=placement.value,
            device=device or "auto",
            data_name=data,
            data_dir=data_dir,
            note=note,
        )
        folder = benchmark.keep_scaling(result, runs_dir=runs_dir)
        if as_json:
            typer.echo(json_text(result), nl=False)
        else:
            print_scaling(result)
        note(f"table and picture: {folder}")
        return
    try:
        found = benchmark.bench(
            hidden=None if hidden is None else _whole_numbers("--hidden", hidden),
            batch_size=batch_size,
            placement=placement.value,
            stacks=None if stacks is None else _whole_numbers("--stacks", stacks),
            num_repeats=repeats,
            max_steps=steps,
            quick=quick,
            device=device or "auto",
            data_name=data,
            data_dir=data_dir,
            note=note,
        )
    except UnequalLossesError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(FAILED) from None
    if as_json:
        typer.echo(json_text(found), nl=False)
    else:
        print_bench(found)


def _whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"{text!r} is no list of whole numbers", where=option, hint="as in 2,5,10"
        ) from None
