"""Metrics as tidy tables: one row for each run and epoch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bninit.errors import StoreError
from bninit.store.listing import find_runs
from bninit.store.metrics import COLUMNS, Row
from bninit.store.runs import Folder, Run

if TYPE_CHECKING:
    import pandas as pd


def load_runs(*places: Folder | Run) -> pd.DataFrame:
    """The metrics of all runs as a tidy table: one row for each run and epoch.

    A run whose metrics are missing or damaged is left out, with a warning that names the file.

    Args:
        places: Runs, or folders as in `find_runs`; ``runs`` by default.

    Returns:
        name, arm, seed, status, and the columns of ``metrics.csv``.

    Raises:
        StoreError: One of the folders is none, or cannot be read.
    """
    import pandas as pd

    rows: list[Row] = []
    owners: list[tuple[str, str, int, str]] = []
    for run in _runs(places):
        try:
            own = run.plain_rows()
        except StoreError as error:
            if run.status not in ("partial", "running"):
                warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        rows += own
        owners += [(run.name, run.arm, run.seed, run.status)] * len(own)
    kinds = {"name": "str", "arm": "str", "seed": "int64", "status": "str"}
    about = pd.DataFrame.from_records(owners, columns=list(kinds)).astype(kinds)
    return pd.concat([about, table_of(rows)], axis=1)


def load_layers(*places: Folder | Run) -> pd.DataFrame:
    """What probes found inside runs as a tidy table: a row for each number.

    Runs without probes are passed over; one whose file is damaged is left out, with a warning.

    Args:
        places: Runs, or folders as in `find_runs`; ``runs`` by default.

    Returns:
        name, arm, seed, status, and the columns of `Run.layers`.

    Raises:
        StoreError: One of the folders is none, or cannot be read.
    """
    import pandas as pd

    from bninit.store.layers import COLUMNS as LAYER_COLUMNS

    tables = []
    for run in _runs(places):
        if not run.has_layers:
            continue
        try:
            table = run.layers()
        except StoreError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        about: dict[str, Any] = {
            "name": run.name,
            "arm": run.arm,
            "seed": run.seed,
            "status": run.status,
        }
        tables.append(table.assign(**about)[[*_OWNER, *LAYER_COLUMNS]])
    if not tables:
        return pd.DataFrame({name: [] for name in (*_OWNER, *LAYER_COLUMNS)})
    return pd.concat(tables, ignore_index=True)


def _runs(places: Sequence[Folder | Run]) -> Iterator[Run]:
    for place in places or ("runs",):
        yield from [place] if isinstance(place, Run) else find_runs(place)


def table_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a table, with the columns of ``metrics.csv``; a missing value is NaN.

    Args:
        rows: Epochs, of one run or of several.
    """
    import pandas as pd

    table = pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
    return table.astype({name: "int64" if name in _WHOLE else "float64" for name in COLUMNS})


_WHOLE = ("epoch", "step")
_OWNER = ("name", "arm", "seed", "status")
