"""What a training would do, for ``bninit train --dry-run``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.text import Text

from bninit.config import Config, config_to_yaml
from bninit.nets.initialisers import SCHEMES
from bninit.nets.inventory import parameter_rows
from bninit.store.names import run_folder
from bninit.store.networks import architecture_of
from bninit.views.tables import parameter_table
from bninit.views.text import plural


def print_plan(config: Config, *, runs_dir: Path, console: Console | None = None) -> None:
    """Prints the resolved config, the parameter table, the iterations and the folders.

    Args:
        config: What was asked.
        runs_dir: The folder of all runs.
        console: Where to; standard output by default.
    """
    console = console or Console()

    def say(line: str = "") -> None:
        console.print(Text(line), soft_wrap=True)

    say("# the config, every key resolved")
    say(config_to_yaml(config))
    console.print(parameter_table(parameter_rows(architecture_of(config))))
    scheme = SCHEMES[config.model.init.scheme]
    say()
    say(f"weights start as {scheme.name}: {scheme.law} ({scheme.source})")
    if scheme.note:
        say(f"  {scheme.note}")
    train, data = config.train, config.data
    whole, rest = divmod(data.num_train, train.batch_size)
    say()
    say(
        f"{data.num_train:,} training images in batches of {train.batch_size}: "
        f"{plural(config.iterations_per_epoch, 'iteration')} an epoch, "
        f"{config.iterations_per_epoch * train.epochs:,} in {plural(train.epochs, 'epoch')}"
    )
    if rest:
        done = "left out of each epoch" if train.last_batch == "drop" else "a batch of their own"
        say(f"  {data.num_train:,} = {whole} x {train.batch_size} + {rest}: the {rest} are {done}")
    say(f"{plural(len(train.seeds), 'network')}, one for each seed, would be written to")
    for seed in train.seeds[:5]:
        say(f"  {run_folder(runs_dir, config, seed)}")
    if len(train.seeds) > 5:
        say(f"  and {len(train.seeds) - 5} more")
