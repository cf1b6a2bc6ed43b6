"""``bninit schema``."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of config files, for editors that complete and check them."""
    from bninit.config import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
