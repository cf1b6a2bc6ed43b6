"""The command line inside this process, which starts at once; code in a process of its own."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import typer.main

from bninit.cli.app import main

_get_command = functools.cache(typer.main.get_command)
"""Builds the commands once: that takes longer than most of what they are asked to do here."""


def bninit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``bninit`` in a folder, on a terminal of 100 columns that is none."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["bninit", *arguments]),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        mock.patch.object(typer.main, "get_command", _get_command),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int), code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def python(code: str, *arguments: str, cwd: Path) -> str:
    """Runs code in a process of its own; what it prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
