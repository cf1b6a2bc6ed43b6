"""``bninit study``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.compare import Format
from bninit.cli.options import (
    AddressOption,
    CpusOption,
    DataDirOption,
    DeviceOption,
    EngineOption,
    RunsDirOption,
    SeedsOption,
    SetOption,
    overrides,
)
from bninit.engines.interface import EngineChoice
from bninit.errors import DataError

FAILED = 1


def study(
    file: Annotated[Path, typer.Argument(help="The study, a YAML file.", show_default=False)],
    settings: SetOption = None,
    seeds: SeedsOption = None,
    device: DeviceOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    data_dir: DataDirOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_stack: CpusOption = 1,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be trained and for how long; no more."),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first training that fails.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when a required claim is not supported.")
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", help="What is printed on standard output.")
    ] = Format.TABLE,
) -> None:
    """Train what a study asks for, and decide its claims.

    Networks that are already trained are used, not trained again. Verdicts and the report go to
    RUNS_DIR/studies/NAME. --set changes a key of the study, or a key of all its configs.
    """
    from bninit.show.progress import TrainingProgress
    from bninit.store import files as atomic
    from bninit.verbs.study import run as studies
    from bninit.verbs.study.report import FILE_NAME, write_report
    from bninit.verbs.study.tables import csv_text, print_study_plan, print_verdicts

    where = EngineChoice(name=engine, address=address, cpus_per_stack=cpus_per_stack)
    changes = overrides(settings, seeds=seeds)
    on = device or "auto"
    if dry_run:
        plan = studies.plan_study(file, overrides=changes, runs_dir=runs_dir, device=on)
        seconds = None
        try:
            seconds = studies.estimate_seconds(plan, data_dir=data_dir, device=on)
        except DataError as error:
            typer.echo(f"the time is not known: {error}", err=True)
        print_study_plan(plan, seconds=seconds)
        return
    try:
        result = studies.run_study(
            file,
            overrides=changes,
            runs_dir=runs_dir,
            data_dir=data_dir,
            device=on,
            fail_fast=fail_fast,
            engine=where,
            watcher=TrainingProgress(),
        )
    except (RuntimeError, MemoryError) as error:
        # Only with --fail-fast; else failures are in the result.
        typer.echo(f"error: a training failed: {error}", err=True)
        raise typer.Exit(FAILED) from None
    rows = studies.verdict_rows(result)
    atomic.write_text(result.folder / "verdicts.csv", csv_text(rows))
    report = write_report(result, path=result.folder / FILE_NAME)
    print_verdicts(result.claims, rows=rows, form=form.value)
    for failure in result.failures:
        names = ", ".join(dict.fromkeys(job.config.name for job in failure.jobs))
        typer.echo(f"failed: {names}: {failure.why}", err=True)
    if strict:
        for found in result.unmet:
            typer.echo(f"required, and {found.outcome}: {found.claim.id}", err=True)
    typer.echo(f"report: {report}", err=True)
    if result.failures or (strict and result.unmet):
        raise typer.Exit(FAILED)
