"""``bninit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import RunsDirOption, SeedsOption, SetOption, overrides
from bninit.errors import UserError


def report(
    study: Annotated[
        str,
        typer.Argument(
            help="A study file, or the name of a study in RUNS_DIR/studies.", show_default=False
        ),
    ],
    settings: SetOption = None,
    seeds: SeedsOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The page; by default RUNS_DIR/studies/NAME/report.html.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write the report of a study from the networks that are there; train nothing."""
    from bninit.verbs.study import run as studies
    from bninit.verbs.study.evidence import missing_runs
    from bninit.verbs.study.report import FILE_NAME, write_report
    from bninit.verbs.study.tables import counts_line, missing_lines

    result = studies.run_study(
        study_file(study, runs_dir=runs_dir),
        overrides=overrides(settings, seeds=seeds),
        runs_dir=runs_dir,
        only_read=True,
    )
    missing = missing_runs(result.arms, runs=result.runs)
    num_networks = len(result.runs) + sum(map(len, missing.values()))
    for line in missing_lines(missing, num_networks=num_networks):
        typer.echo(line, err=True)
    path = write_report(result, path=out or result.folder / FILE_NAME)
    typer.echo(f"{path}: {counts_line(result.claims)}")


def study_file(study: str, *, runs_dir: Path) -> Path:
    """The file of a study that a user names.

    Args:
        study: A file, or the name of a study in the runs folder.
        runs_dir: The folder of all runs.

    Raises:
        UserError: There is neither.
    """
    asked = Path(study)
    if asked.is_file():
        return asked
    kept = runs_dir / "studies" / study / "study.yaml"
    if asked.name == study and kept.is_file():
        return kept
    known = sorted(path.parent.name for path in runs_dir.glob("studies/*/study.yaml"))
    raise UserError(
        f"there is no study {study!r}",
        where=str(runs_dir / "studies"),
        hint=f"there are: {', '.join(known)}; or give a study file" if known else "give a file",
    )
