"""Several networks at once: mean and spread over seeds, of an epoch or along the epochs.

Diverged networks are left out from where they diverged, and the count of what is in tells so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from bninit.training.records import EpochRecord

ARM_COLUMNS = ("name", "arm")
"""The columns of a tidy table that tell arms apart; ``seed`` tells the networks of an arm."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Some numbers in short.

    Attributes:
        mean: Arithmetic mean.
        sd: Sample standard deviation (divisor n - 1); None for a single number.
        low: The lowest.
        high: The highest.
        n: How many.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    n: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Sum up the finite numbers among the values; None when there are none."""
    kept = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not kept:
        return None
    return Spread(
        mean=statistics.fmean(kept),
        sd=statistics.stdev(kept) if len(kept) > 1 else None,
        low=min(kept),
        high=max(kept),
        n=len(kept),
    )


@dataclass(frozen=True, kw_only=True)
class EpochSpread:
    """One epoch of a stack in short, over the networks that are finite.

    Attributes:
        epoch: Finished epochs.
        stack_seconds: Wall-clock time of the epoch's steps.
        num_replicas: Networks that took part, the diverged ones included.
        num_diverged: Those that diverged in this epoch.
        batch_loss: Training loss that the steps saw, in nats; None at epoch 0.
        train_loss: On a fixed part of the training set, in nats.
        val_loss: On the validation set.
        val_accuracy: On the validation set, in [0, 1].
    """

    epoch: int
    stack_seconds: float
    num_replicas: int
    num_diverged: int
    batch_loss: Spread | None
    train_loss: Spread | None
    val_loss: Spread | None
    val_accuracy: Spread | None


def spread_of_epoch(record: EpochRecord) -> EpochSpread:
    """Sum up what the networks of a stack did in an epoch."""
    finite = [each.metrics for each in record.replicas if each.diverged_step is None]
    return EpochSpread(
        epoch=record.epoch,
        stack_seconds=record.stack_seconds,
        num_replicas=len(record.replicas),
        num_diverged=len(record.replicas) - len(finite),
        batch_loss=spread(metrics.batch_loss for metrics in finite),
        train_loss=spread(metrics.train_loss for metrics in finite),
        val_loss=spread(metrics.val_loss for metrics in finite),
        val_accuracy=spread(metrics.val_accuracy for metrics in finite),
    )


def finite_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that have not diverged yet.

    A diverged network's last row has losses that are not finite, and an accuracy that means
    nothing.

    Args:
        rows: One row per network and epoch, with ``train_loss`` and ``val_loss`` in nats.
    """
    losses = rows[["train_loss", "val_loss"]].astype("float64")
    return rows[(losses.abs() < math.inf).all(axis="columns")]


def bands(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median, lowest and highest over the seeds of each arm at each epoch.

    The median and not the mean: a network on its way to divergence would draw the mean with it.

    Args:
        rows: One row per network and epoch, with columns name, arm, seed, epoch and the losses.
        column: What to sum up.

    Returns:
        Columns name, arm, epoch, median, low, high, n (seeds that are in), ordered by arm as the
        rows are and by epoch.
    """
    groups = finite_rows(rows).groupby([*ARM_COLUMNS, "epoch"], sort=False)[column]
    table = groups.agg(median="median", low="min", high="max", n="count").reset_index()
    return table.sort_values("epoch", kind="stable", ignore_index=True)


def last_before_divergence(rows: pd.DataFrame) -> pd.DataFrame:
    """The last finite row of each network that diverged.

    A network has diverged when a row of it is not finite, or when a column ``status`` says so.

    Args:
        rows: As in `bands`.
    """
    finite = finite_rows(rows)
    network = [*ARM_COLUMNS, "seed"]
    lost = rows[~rows.index.isin(finite.index)]
    if "status" in rows:
        lost = rows[~rows.index.isin(finite.index) | (rows["status"] == "diverged")]
    if lost.empty:
        return finite.iloc[:0].reset_index(drop=True)
    last = finite.sort_values("epoch").drop_duplicates(network, keep="last")
    return last.merge(lost[network].drop_duplicates(), on=network, how="inner")


def median_of_censored(values: Sequence[float | None]) -> float | None:
    """The median of times of which some never came (None), which are later than all others.

    With an even count it is the mean of the two middle times, so it exists exactly when more
    than half of the times are known.
    """
    in_order = sorted(math.inf if value is None else float(value) for value in values)
    if not in_order:
        return None
    middle = statistics.median(in_order)
    return middle if math.isfinite(middle) else None
