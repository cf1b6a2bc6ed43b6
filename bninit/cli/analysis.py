"""``bninit explain``, ``inspect``, ``landscape`` and ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from bninit.cli import options as opt
from bninit.errors import UserError


def explain(
    configs: Annotated[
        list[Path],
        Argument(
            metavar="CONFIG...",
            help="Config files; several are set side by side.",
            show_default=False,
        ),
    ],
    settings: opt.Set = None,
    seeds: opt.Seeds = None,
    name: Annotated[str | None, opt.name_option("explain")] = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    data_dir: opt.DataDir = None,
    as_json: opt.Json = False,
) -> None:
    """Predict and measure what a config's networks do before any training.

    Each layer's law and what was drawn from it, its parameters, the signal forward, the gradient
    back, dead, saturated and equal units, and a verdict. One network is drawn, of the config's
    first seed, unless --seeds asks for more. A picture goes to RUNS_DIR/explain/NAME.
    """
    from bninit.verbs.explain import explain as api
    from bninit.verbs.explain.tables import print_explanations

    opt.check_name(name)
    found = api.explain(
        configs, overrides=opt.overrides(settings), seeds=opt.seed_list(seeds), data_dir=data_dir
    )
    if as_json:
        typer.echo(api.explanations_json(found), nl=False)
    else:
        print_explanations(found)
    folder = api.keep_explanations(found, runs_dir=runs_dir, name=name)
    opt.note(f"picture and figures: {folder}")


def inspect(
    runs: opt.RunArguments,
    name: Annotated[str | None, opt.name_option("inspect")] = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    as_json: opt.Json = False,
) -> None:
    """Look inside networks: what probes found while they trained, side by side.

    Distributions, signals and gradients of each layer over the training, dead and symmetric
    units, gamma and beta, and batch norm's averages against the population. Probes are taken where
    the config says probes: true. Pictures, with their figures beside them, go to
    RUNS_DIR/inspect/NAME.
    """
    from bninit.verbs.inspect.inspect import inspect as look_inside
    from bninit.verbs.inspect.tables import keep_inspection, print_inspection

    opt.check_name(name)
    found = look_inside(runs, runs_dir=runs_dir)
    print_inspection(found, as_json=as_json)
    folder = keep_inspection(found, runs_dir=runs_dir, name=name)
    opt.note(f"pictures and figures: {folder}")


def landscape(
    runs: opt.RunArguments,
    kinds: Annotated[
        list[str] | None,
        Option(
            "--kind",
            help="gradient, line, plane or trajectory; may be repeated. All by default.",
            metavar="KIND",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int, Option("--steps", help="Training steps to measure along their gradients.")
    ] = 30,
    lengths: Annotated[
        str | None,
        Option(
            "--lengths",
            help="Step lengths along the gradient, as in 0.05,0.1,0.2,0.4; by default 1/2 to 4 "
            "times each run's own learning rate.",
            metavar="LIST",
        ),
    ] = None,
    resolution: Annotated[
        int, Option("--resolution", help="Points of a line, and along each side of a plane; odd.")
    ] = 21,
    directions: Annotated[int, Option("--directions", help="Random directions of lines.")] = 5,
    extent: Annotated[
        float, Option("--extent", help="How far lines and planes go, in filter norms.")
    ] = 1.0,
    examples: Annotated[
        int, Option("--examples", help="Training examples on which slices are computed.")
    ] = 500,
    statistics: Annotated[
        str,
        Option(
            "--statistics",
            help="What batch norm goes by in slices: batch (that of the examples at each point) "
            "or running (the trained network's).",
        ),
    ] = "batch",
    name: Annotated[str | None, opt.name_option("landscape")] = None,
    device: opt.Device = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    data_dir: opt.DataDir = None,
    as_json: opt.Json = False,
) -> None:
    """Look at the loss along trainings and around trained networks, side by side.

    Along the gradient of training steps, as Santurkar et al. 2018 measure it; along random
    filter-normalized directions, as Li et al. 2018 have them; and on the plane in which most of a
    training lies. Runs are only read: what they did not keep is found by training them once more.
    Pictures, with their figures beside them, go to RUNS_DIR/landscape/NAME.
    """
    from bninit.show.progress import TrainingProgress
    from bninit.verbs.landscape import run as api
    from bninit.verbs.landscape.landscape import KINDS
    from bninit.verbs.landscape.tables import print_landscape

    opt.check_name(name)
    found = api.landscape(
        runs,
        kinds=kinds or KINDS,
        steps=steps,
        lengths=opt.listed(
            lengths, float, option="--lengths", what="step lengths", example="0.05,0.1,0.4"
        ),
        resolution=resolution,
        directions=directions,
        extent=extent,
        examples=examples,
        statistics=statistics,
        device=device,
        runs_dir=runs_dir,
        data_dir=data_dir,
        watcher=TrainingProgress(),
    )
    print_landscape(found, as_json=as_json)
    folder = api.keep_landscape(found, runs_dir=runs_dir, name=name)
    opt.note(f"pictures and figures: {folder}")


def bench(
    hidden: Annotated[
        str | None,
        Option("--hidden", metavar="LIST", help="Units of each hidden layer, as in 256,256,256."),
    ] = None,
    batch_size: Annotated[int | None, Option("--batch-size", help="Examples of a step.")] = None,
    placement: Annotated[
        opt.Placement, Option("--placement", help="Where batch norm stands.")
    ] = opt.Placement.PRE,
    stacks: Annotated[
        str | None,
        Option(
            "--stacks", metavar="LIST", help="Networks in the stacks, as in 2,5,10 (on the CPU)."
        ),
    ] = None,
    repeats: Annotated[int, Option("--repeats", help="Timed passes of each.")] = 5,
    steps: Annotated[
        int | None, Option("--steps", help="Steps of a pass at most; a whole epoch by default.")
    ] = None,
    scaling: Annotated[
        bool,
        Option("--scaling", help="How time and memory grow instead; a picture in RUNS_DIR/bench."),
    ] = False,
    quick: Annotated[
        bool, Option("--quick", help="Few steps: shows that it works, not how fast it is.")
    ] = False,
    device: opt.Device = None,
    data: Annotated[
        str | None, Option("--data", help="A data set; MNIST where its files are, else the sample.")
    ] = None,
    data_dir: opt.DataDir = None,
    runs_dir: opt.RunsDir = opt.RUNS,
    as_json: opt.Json = False,
) -> None:
    """Time training on this machine, beside the loops that people write in PyTorch.

    All train the same networks on the same batches, which is checked before anything is timed, and
    take turns. Without --hidden and --batch-size: 3 x 256 with batches of 128, and 3 x 100 with
    batches of 60.
    """
    from bninit.store.files import json_text
    from bninit.verbs.bench import bench as api
    from bninit.verbs.bench.baselines import UnequalLossesError
    from bninit.verbs.bench.tables import print_bench, print_scaling

    if scaling:
        if hidden is not None or batch_size is not None or stacks is not None or steps is not None:
            raise UserError(
                "not allowed together with --hidden, --batch-size, --stacks or --steps",
                where="--scaling",
                hint="it varies these itself",
            )
        growth = api.scaling(
            quick=quick,
            num_repeats=repeats,
            placement=placement.value,
            device=device or "auto",
            data_name=data,
            data_dir=data_dir,
            note=opt.note,
        )
        folder = api.keep_scaling(growth, runs_dir=runs_dir)
        if as_json:
            typer.echo(json_text(growth), nl=False)
        else:
            print_scaling(growth)
        opt.note(f"table and picture: {folder}")
        return
    whole = {"what": "whole numbers", "example": "2,5,10"}
    try:
        found = api.bench(
            hidden=opt.listed(hidden, int, option="--hidden", **whole),
            batch_size=batch_size,
            placement=placement.value,
            stacks=opt.listed(stacks, int, option="--stacks", **whole),
            num_repeats=repeats,
            max_steps=steps,
            quick=quick,
            device=device or "auto",
            data_name=data,
            data_dir=data_dir,
            note=opt.note,
        )
    except UnequalLossesError as error:
        opt.note(f"error: {error}")
        raise typer.Exit(opt.FAILED) from None
    if as_json:
        typer.echo(json_text(found), nl=False)
    else:
        print_bench(found)
