"""The program ``bninit``."""

from __future__ import annotations

import contextlib
import os
import sys

import typer

from bninit import __version__
from bninit.cli import (
    bench,
    compare,
    data,
    explain,
    init,
    inspect,
    landscape,
    list_runs,
    report,
    schema,
    show,
    study,
    train,
)
from bninit.engines.stopping import TERMINATED
from bninit.errors import TrainingError, UserError

FAILED = 1
INTERRUPTED = 130

app = typer.Typer(
    name="bninit",
    help="Find out, with evidence, what batch normalization and weight initialization do to a "
    "network: paired, seeded trainings of MLPs on MNIST.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("compare")(compare.compare)
app.command("study")(study.study)
app.command("report")(report.report)
app.command("inspect")(inspect.inspect)
app.command("landscape")(landscape.landscape)
app.command("explain")(explain.explain)
app.command("list")(list_runs.list_runs)
app.command("show")(show.show)
app.command("data")(data.data)
app.command("init")(init.init)
app.command("schema")(schema.schema)
app.command("bench")(bench.bench)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"bninit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    del version


def main() -> None:
    """Runs the program; exit code 0 fine, 1 something failed, 2 the input is wrong."""
    interrupted = "interrupted: what is finished is kept; the same command goes on from there"
    try:
        app()
    except SystemExit as end:
        if end.code in (INTERRUPTED, TERMINATED):
            typer.echo(interrupted, err=True)
        raise
    except UserError as error:
        from bninit.show.words import printable

        typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)
    except TrainingError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)
    except OSError as error:
        place = "standard output" if error.filename is None else str(error.filename)
        typer.echo(f"error: {place}: {error.strerror or error}", err=True)
        _drop_output()
        sys.exit(FAILED)


def _drop_output() -> None:
    """Lets what could not be printed go; at its end, Python would try once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
