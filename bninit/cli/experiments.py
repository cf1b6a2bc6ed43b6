"""``bninit train``, ``compare``, ``study`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bninit.cli import options as opt
from bninit.engines.interface import EngineChoice
from bninit.errors import DataError, UserError


def train(
    config: Annotated[Path, Option("--config", "-c", help="The config, a YAML file.")],
    settings: opt.Set = None,
    seeds: opt.Seeds = None,
    epochs: opt.Epochs = None,
    device: opt.Device = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    data_dir: opt.DataDir = None,
    engine: opt.Engine = "local",
    address: opt.Address = None,
    cpus_per_stack: opt.Cpus = 1,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print what would be trained, and train nothing.")
    ] = False,
    fresh: Annotated[
        bool, Option("--fresh", help="Discard existing results of these runs and retrain.")
    ] = False,
    tensorboard: Annotated[
        bool, Option("--tensorboard", help="Write TensorBoard event files as well.")
    ] = False,
) -> None:
    """Train one network for each seed of a config, all of them together.

    Finished runs are not trained again, and interrupted ones resume after their last epoch.
    Progress goes to standard error, the table at the end to standard output.
    """
    from bninit.config import load_config
    from bninit.verbs import train as verb

    changes = opt.overrides(
        settings, seeds=seeds, epochs=epochs, device=device, tensorboard=tensorboard
    )
    resolved = load_config(config, overrides=changes)
    if dry_run:
        verb.print_plan(resolved, runs_dir=runs_dir)
        return

    from bninit.show.progress import TrainingProgress

    runs = verb.train(
        resolved,
        runs_dir=runs_dir,
        data_dir=data_dir,
        fresh=fresh,
        engine=EngineChoice(name=engine, address=address, cpus_per_stack=cpus_per_stack),
        watcher=TrainingProgress(),
    )
    verb.print_outcome(resolved, runs, runs_dir=runs_dir)


def compare(
    arms: Annotated[
        list[str],
        Argument(
            metavar="ARM...",
            help="Two or more: config files, folders of runs or arms, names or ids of arms.",
            show_default=False,
        ),
    ],
    baseline: Annotated[
        str | None,
        Option("--baseline", help="The arm that the others are compared with; default: the first."),
    ] = None,
    no_train: Annotated[
        bool, Option("--no-train", help="Compare the finished runs, and train nothing.")
    ] = False,
    seeds: opt.Seeds = None,
    epochs: opt.Epochs = None,
    settings: opt.Set = None,
    device: opt.Device = None,
    targets: Annotated[
        str | None,
        Option("--targets", help="Validation accuracies, as in 0.95,0.97.", metavar="LIST"),
    ] = None,
    name: Annotated[str | None, opt.name_option("compare")] = None,
    form: opt.Format = opt.OutputFormat.TABLE,
    runs_dir: opt.RunsDir = opt.RUNS,
    data_dir: opt.DataDir = None,
    engine: opt.Engine = "local",
    address: opt.Address = None,
    cpus_per_stack: opt.Cpus = 1,
) -> None:
    """Compare arms: train what is missing, then report paired differences with intervals.

    Report, tables and pictures go to RUNS_DIR/compare/NAME. --set and --epochs change each config
    file among the arms; --seeds is for all arms.
    """
    from bninit.show.progress import TrainingProgress
    from bninit.verbs.compare.compare import compare as compare_arms
    from bninit.verbs.compare.pictures import keep_comparison
    from bninit.verbs.compare.tables import print_comparison

    opt.check_name(name)
    found = compare_arms(
        arms,
        baseline=baseline,
        overrides=opt.overrides(settings, epochs=epochs),
        seeds=opt.seed_list(seeds),
        targets=opt.listed(
            targets, float, option="--targets", what="accuracies", example="0.95,0.97"
        ),
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
        folder = keep_comparison(found, runs_dir=runs_dir, name=name)
    opt.note(f"report and pictures: {folder}")


def study(
    file: Annotated[Path, Argument(help="The study, a YAML file.", show_default=False)],
    settings: opt.Set = None,
    seeds: opt.Seeds = None,
    device: opt.Device = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    data_dir: opt.DataDir = None,
    engine: opt.Engine = "local",
    address: opt.Address = None,
    cpus_per_stack: opt.Cpus = 1,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print what would be trained and for how long; no more.")
    ] = False,
    fail_fast: Annotated[
        bool, Option("--fail-fast", help="Stop at the first training that fails.")
    ] = False,
    strict: Annotated[
        bool, Option("--strict", help="Exit with 1 when a required claim is not supported.")
    ] = False,
    form: opt.Format = opt.OutputFormat.TABLE,
) -> None:
    """Train the networks of a study, and decide its claims.

    Networks that are already trained are used, not trained again. Verdicts and the report go to
    RUNS_DIR/studies/NAME. --set changes a key of the study, or a key of all its configs.
    """
    from bninit.show.progress import TrainingProgress
    from bninit.store.files import write_text
    from bninit.verbs.study import run as studies
    from bninit.verbs.study.report import FILE_NAME, write_report
    from bninit.verbs.study.tables import csv_text, print_study_plan, print_verdicts

    where = EngineChoice(name=engine, address=address, cpus_per_stack=cpus_per_stack)
    changes = opt.overrides(settings, seeds=seeds)
    device = device or "auto"
    if dry_run:
        plan = studies.plan_study(file, overrides=changes, runs_dir=runs_dir, device=device)
        seconds = None
        try:
            seconds = studies.estimate_seconds(plan, data_dir=data_dir, device=device)
        except DataError as error:
            opt.note(f"no estimate of the time: {error}")
        print_study_plan(plan, seconds=seconds)
        return
    try:
        result = studies.run_study(
            file,
            overrides=changes,
            runs_dir=runs_dir,
            data_dir=data_dir,
            device=device,
            fail_fast=fail_fast,
            engine=where,
            watcher=TrainingProgress(),
        )
    except (RuntimeError, MemoryError) as error:
        # Only with --fail-fast; else failures are in the result.
        opt.note(f"error: a training failed: {error}")
        raise typer.Exit(opt.FAILED) from None
    rows = studies.verdict_rows(result)
    write_text(result.folder / "verdicts.csv", csv_text(rows))
    page = write_report(result, path=result.folder / FILE_NAME)
    print_verdicts(result.claims, rows=rows, form=form.value)
    for failure in result.failures:
        names = ", ".join(dict.fromkeys(job.config.name for job in failure.jobs))
        opt.note(f"failed: {names}: {failure.why}")
    if strict:
        for found in result.unmet:
            opt.note(f"required, and {found.outcome}: {found.claim.id}")
    opt.note(f"report: {page}")
    if result.failures or (strict and result.unmet):
        raise typer.Exit(opt.FAILED)


def report(
    name: Annotated[
        str,
        Argument(
            metavar="STUDY",
            help="A study file, or the name of a study in RUNS_DIR/studies.",
            show_default=False,
        ),
    ],
    settings: opt.Set = None,
    seeds: opt.Seeds = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    out: Annotated[
        Path | None,
        Option(
            "--out", help="The page; by default RUNS_DIR/studies/NAME/report.html.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write the report of a study from its finished networks; train nothing."""
    from bninit.verbs.study import run as studies
    from bninit.verbs.study.evidence import missing_runs
    from bninit.verbs.study.report import FILE_NAME, write_report
    from bninit.verbs.study.tables import counts_line, missing_lines

    result = studies.run_study(
        study_file(name, runs_dir=runs_dir),
        overrides=opt.overrides(settings, seeds=seeds),
        runs_dir=runs_dir,
        only_read=True,
    )
    missing = missing_runs(result.arms, runs=result.runs)
    num_networks = len(result.runs) + sum(map(len, missing.values()))
    for line in missing_lines(missing, num_networks=num_networks):
        opt.note(line)
    path = write_report(result, path=out or result.folder / FILE_NAME)
    typer.echo(f"{path}: {counts_line(result.claims)}")


def study_file(study: str, *, runs_dir: Path) -> Path:
    """The file of a study that a user names."""
    path = Path(study)
    if path.is_file():
        return path
    kept = runs_dir / "studies" / study / "study.yaml"
    if path.name == study and kept.is_file():
        return kept
    known = sorted(path.parent.name for path in runs_dir.glob("studies/*/study.yaml"))
    raise UserError(
        f"unknown study: {study!r}",
        where=str(runs_dir / "studies"),
        hint=f"known: {', '.join(known)}; or give a study file" if known else "give a study file",
    )
