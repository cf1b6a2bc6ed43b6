"""``bninit init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.errors import UserError


def init(
    name: Annotated[str, typer.Argument(help="Name of the config; the file is NAME.yaml.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a starter config in which every key is explained."""
    from bninit.config import starter

    text = starter(name)
    path = Path(f"{name}.yaml")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            "the file is there already", where=str(path), hint="use --force to overwrite it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(path)) from None
    typer.echo(f"wrote {path}; train it with: bninit train --config {path}")
