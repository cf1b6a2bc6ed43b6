"""The program ``bninit``."""

from __future__ import annotations

import contextlib
import os
import sys

import typer

from bninit import __version__
from bninit.cli import analysis, experiments, files
from bninit.cli import options as opt
from bninit.engines.stopping import TERMINATED
from bninit.errors import TrainingError, UserError

app = typer.Typer(
    name="bninit",
    help="Find out, with evidence, what batch normalization and weight initialization do to a "
    "network: paired, seeded trainings of MLPs on MNIST.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(experiments.train)
app.command("compare")(experiments.compare)
app.command("study")(experiments.study)
app.command("report")(experiments.report)
app.command("inspect")(analysis.inspect)
app.command("landscape")(analysis.landscape)
app.command("explain")(analysis.explain)
app.command("list")(files.list_runs)
app.command("show")(files.show)
app.command("data")(files.data)
app.command("init")(files.init)
app.command("schema")(files.schema)
app.command("bench")(analysis.bench)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bninit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    del version


def main() -> None:
    """Runs the program; exit code 0 fine, 1 something failed, 2 the input is wrong."""
    interrupted = "Interrupted. Progress is saved; rerun the command to resume."
    try:
        app()
    except SystemExit as end:
        if end.code in (opt.INTERRUPTED, TERMINATED):
            opt.note(interrupted)
        raise
    except UserError as error:
        from bninit.show.words import printable

        opt.note(f"error: {printable(str(error))}")
        sys.exit(error.exit_code)
    except TrainingError as error:
        opt.note(f"error: {error}")
        sys.exit(opt.FAILED)
    except KeyboardInterrupt:
        opt.note(interrupted)
        sys.exit(opt.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(opt.FAILED)
    except OSError as error:
        place = "standard output" if error.filename is None else str(error.filename)
        opt.note(f"error: {place}: {error.strerror or error}")
        _drop_output()
        sys.exit(opt.FAILED)


def _drop_output() -> None:
    """Lets what could not be printed go; at its end, Python would try once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
