"""``bninit train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bninit.cli.options import (
    AddressOption,
    CpusOption,
    DataDirOption,
    DeviceOption,
    EngineOption,
    EpochsOption,
    RunsDirOption,
    SeedsOption,
    SetOption,
    overrides,
)
from bninit.engines.interface import EngineChoice


def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="The config, a YAML file.")],
    settings: SetOption = None,
    seeds: SeedsOption = None,
    epochs: EpochsOption = None,
    device: DeviceOption = None,
    runs_dir: RunsDirOption = Path("runs"),
    data_dir: DataDirOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    cpus_per_stack: CpusOption = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained, and train nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over what is there of these runs.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's event files, too.")
    ] = False,
) -> None:
    """Train one network for each seed of a config, all of them together.

    Finished runs are not trained again, and interrupted ones go on from their last epoch.
    Progress goes to standard error, the table at the end to standard output.
    """
    from bninit.config import load_config

    asked = load_config(
        config,
        overrides=overrides(
            settings, seeds=seeds, epochs=epochs, device=device, tensorboard=tensorboard
        ),
    )
    where = EngineChoice(name=engine, address=address, cpus_per_stack=cpus_per_stack)
    if dry_run:
        from bninit.show.old_tables import print_plan

        print_plan(asked, runs_dir=runs_dir)
        return

    from bninit.show.progress import TrainingProgress
    from bninit.verbs.train import train as api
    from bninit.verbs.train.tables import print_outcome

    runs = api.train(
        asked,
        runs_dir=runs_dir,
        data_dir=data_dir,
        fresh=fresh,
        engine=where,
        watcher=TrainingProgress(),
    )
    print_outcome(asked, runs, runs_dir=runs_dir)
