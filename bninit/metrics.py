"""What a metric is; they are in `bninit.metrics`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from bninit.data.catalog import DATASETS
from bninit.stats import median
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import pandas as pd

    from bninit.config import Config
    from bninit.store.layers import StoredLayers, Trace


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a run.

    Attributes:
        name: In claims and tables.
        title: For people; ``{target}`` stands for the target.
        unit: Of the printed number; empty for a bare number.
        value: From a run and a target to the figure; NaN where the run has none: it diverged, or
            never reached the target.
        better: The end that is better, or None.
        needs_target: Whether it takes a target accuracy.
        censored: Whether NaN means "not within the epochs that were trained".
        clock: Whether it is wall-clock time. Networks of one stack share its clock, so their
            times are one measurement and not several.
        scale: Factor from the value to the printed number.
        num_decimals: Decimals of the printed number.
        resolution: From a config to the step in which the figure is recorded; 0 if continuous.
        probes: The group of probes that it is read from; None for what every run keeps.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Measured, float], float]
    better: Literal["low", "high"] | None
    needs_target: bool = False
    censored: bool = False
    clock: bool = False
    scale: float = 1.0
    num_decimals: int = 3
    resolution: Callable[[Config], float] = lambda _config: 0.0
    probes: str | None = None

    @property
    def worse(self) -> Literal["low", "high"] | None:
        """The end at which a diverged run ranks."""
        return {"low": "high", "high": "low"}.get(self.better or "")  # type: ignore[return-value]


class Measured(Protocol):
    """What a metric reads of a finished run; `bninit.store.Run` has it."""

    @property
    def config(self) -> Config:
        """The resolved config."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """The contents of summary.json; None while it is not finished."""

    def metrics(self) -> pd.DataFrame:
        """The rows of metrics.csv."""

    def step_losses(self) -> npt.NDArray[np.floating]:
        """Training loss of each step, (step,)."""

    def stored_layers(self) -> StoredLayers:
        """What probes found inside it."""


def _summary(run: Measured) -> dict[str, Any]:
    if run.summary is None:
        raise ValueError("only a finished run can be measured")
    return run.summary


def _has_diverged(run: Measured) -> bool:
    return bool(_summary(run)["status"] == "diverged")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def of_summary(*keys: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a figure in summary.json, by the keys that lead to it."""

    def value(run: Measured, _target: float) -> float:
        found: Any = _summary(run)
        for key in keys:
            found = found[key]
        return _number(found)

    return value


def of_last_row(column: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a column of metrics.csv after the last epoch."""

    def value(run: Measured, _target: float) -> float:
        if _has_diverged(run):
            return math.nan
        return float(run.metrics()[column].iloc[-1])

    return value


def at_target(column: str) -> Callable[[Measured, float], float]:
    """Makes the reading of a column at the first epoch that reached the target."""

    def value(run: Measured, target: float) -> float:
        rows = run.metrics()
        reached = first_reached(rows["val_accuracy"].to_list(), target)
        return math.nan if reached is None else float(rows[column].iloc[reached])

    return value


def reached(run: Measured, target: float) -> float:
    """1 when the target was reached, else 0."""
    return float(first_reached(run.metrics()["val_accuracy"].to_list(), target) is not None)


def initial_train_loss(run: Measured, _target: float) -> float:
    """Training loss at epoch 0, in nats."""
    return float(run.metrics()["train_loss"].iloc[0])


def loss_fluctuation(run: Measured, _target: float) -> float:
    """SD of the difference between neighbouring steps over sqrt 2, in the second half.

    The difference of two independent equal noises has sqrt 2 times their SD, and a slow trend
    cancels in it: this is the mean square successive difference of von Neumann et al. 1941,
    "The mean square successive difference", Ann. Math. Statist. 12, 153.
    """
    import numpy as np

    losses = np.asarray(run.step_losses(), dtype=np.float64)
    second_half = losses[len(losses) // 2 :]
    if _has_diverged(run) or len(second_half) < 2:
        return math.nan
    return float(np.sqrt(np.mean(np.diff(second_half) ** 2) / 2))


def worst_loss_rise(run: Measured, _target: float) -> float:
    """Largest rise of the validation loss from one epoch to the next, 0 if it never rose."""
    if _has_diverged(run):
        return math.nan
    return max(0.0, float(run.metrics()["val_loss"].diff().max()))


def min_distinct_units(run: Measured, _target: float) -> float:
    """Distinct units in the hidden layer that has the fewest; see `bninit.nets.signals`."""
    counts = _summary(run)["distinct_units"]
    return math.nan if not counts else float(min(counts))


def diverged(run: Measured, _target: float) -> float:
    """1 when the run diverged, else 0."""
    return float(_has_diverged(run))


Reading = Callable[[Measured, float], float]
Floats = npt.NDArray[np.float64]
When = Literal["start", "end"]

SMALLEST = 2.0**-149
"""float32's smallest number above 0: what a gradient of 0 counts as among logarithms."""


def over_hidden(place: str, quantity: str, *, when: When, by: str = "mean") -> Reading:
    """Makes the reading of a quantity over the hidden layers, before the training or at its end.

    Args:
        place: Where it is read; ``output`` for what a hidden layer hands to the next one.
        quantity: Its name.
        when: At the first moment, or the last one.
        by: ``mean``, ``min`` or ``max`` over layers, or ``rms``, the root of the mean square.
    """

    def value(run: Measured, _target: float) -> float:
        trace = _hidden(run, _output_place(run) if place == "output" else place, quantity)
        if trace.values.size == 0:
            return np.nan
        return _REDUCE[by](trace.values[0 if when == "start" else -1])

    return value


def first_layer(place: str, quantity: str) -> Reading:
    """Makes the reading of a quantity of the first layer, before the training."""

    def value(run: Measured, _target: float) -> float:
        trace = run.stored_layers().trace(place, quantity)
        at = np.flatnonzero(trace.layers == 1)
        return float(trace.values[0, at[0]]) if at.size and trace.steps.size else np.nan

    return value


def factor_per_layer(place: str, quantity: str, *, towards: Literal["input", "output"]) -> Reading:
    """Makes the reading of the factor by which a quantity grows from one hidden layer to the next.

    The geometric mean over the hidden layers, before the training: below 1 it vanishes, above 1
    it explodes. NaN with fewer than two hidden layers, or where there is nothing to begin with.

    Args:
        place: Where it is read.
        quantity: Its name; a scale, such as an SD.
        towards: Which way the layers are gone.
    """

    def value(run: Measured, _target: float) -> float:
        trace = _hidden(run, place, quantity)
        if trace.layers.size < 2 or trace.steps.size == 0:
            return np.nan
        first, last = trace.values[0, [0, -1]]
        begins, ends = (last, first) if towards == "input" else (first, last)
        if not begins > 0:
            return np.nan
        return float((ends / begins) ** (1 / (trace.layers[-1] - trace.layers[0])))

    return value


def gradient_decades(run: Measured, _target: float) -> float:
    """Powers of ten between the gradient's SD at the first hidden layer and at the last.

    Before the training; negative where it vanishes on its way to the input.
    """
    trace = _hidden(run, "gradient", "sd")
    if trace.layers.size < 2 or trace.steps.size == 0 or not np.isfinite(trace.values[0]).all():
        return np.nan
    first, last = np.maximum(trace.values[0, [0, -1]], SMALLEST)
    return float(np.log10(first / last))


def distribution_shift(run: Measured, _target: float) -> float:
    """How far the inputs of the layers have moved in the training, in SDs.

    The way that the units' means have gone, from probe to probe, in the units' SDs (root mean
    squares over units), summed over the training, averaged over the outputs of hidden layers,
    which are the inputs of the layers after them. It grows with the number of probes, so only
    runs with the same steps and the same probes can be compared.
    """
    trace = _hidden(run, _output_place(run), "shift")
    return float(trace.values.sum(axis=0).mean()) if trace.values.size else np.nan


def statistics_gap(kind: str | None, *, early: bool = False) -> Reading:
    """Makes the reading of how far moving averages are from the population, in its SDs.

    Root mean square over batch norms and units of the averages' means minus those of the
    population; see `bninit.training.probes`.

    Args:
        kind: ``ema``, ``cumulative`` or ``batch`` (of a mini-batch); None for what the run itself
            goes by in evaluation: NaN for population statistics, which lag behind nothing.
        early: Whether the mean over the moments of the first epoch is taken (the first one, at
            which nothing is trained, left out), and not the last moment.
    """

    def value(run: Measured, _target: float) -> float:
        chosen = run.config.model.norm.running if kind is None else kind
        trace = run.stored_layers().trace("norm", f"mean_gap_{chosen}")
        if trace.values.size == 0:
            return np.nan
        gaps = np.sqrt((trace.values**2).mean(axis=1))
        if not early:
            return float(gaps[-1])
        is_early = (trace.steps > 0) & (trace.steps <= run.config.iterations_per_epoch)
        return float(gaps[is_early].mean()) if is_early.any() else np.nan

    return value


def statistics_advantage(run: Measured, target: float) -> float:
    """How much closer the exponential average is to the population than the cumulative one."""
    cumulative, ema = (statistics_gap(kind)(run, target) for kind in ("cumulative", "ema"))
    return cumulative - ema


def mode_gap(*, when: Literal["worst", "end"]) -> Reading:
    """Makes the reading of what evaluation loses against training mode, in validation accuracy.

    Of the same examples, with the statistics of mini-batches minus with those that the run goes
    by in evaluation; the largest loss over the training, or the one at its end.
    """

    def value(run: Measured, _target: float) -> float:
        layers, own = run.stored_layers(), run.config.model.norm.running
        trained = layers.trace("network", "accuracy_train_mode")
        evaluated = layers.trace("network", f"accuracy_{own}")
        lost = (trained.values - evaluated.values)[trained.steps > 0]
        if lost.size == 0:
            return np.nan
        return float(lost.max() if when == "worst" else lost[-1, 0])

    return value


def along_gradient(quantity: str) -> Reading:
    """Makes the reading of what a training meets along its gradient: the median over epochs.

    Of the steps that follow the epochs' ends, the first step of the training among them; see
    `bninit.training.probes.AlongGradient`. Infinity is the largest number here, as a loss
    that leaves all bounds on the way is; a step with a gradient of 0 counts for nothing. NaN of a
    run that diverged.

    Args:
        quantity: ``loss_range``, ``gradient_change``, ``relative_gradient_change`` or
            ``smoothness``.
    """

    def value(run: Measured, _target: float) -> float:
        trace = run.stored_layers().trace("network", quantity)
        at_epoch = trace.steps == trace.epochs * run.config.iterations_per_epoch
        values = trace.values[at_epoch].ravel()
        has_diverged = run.summary is not None and run.summary["status"] == "diverged"
        found = None if has_diverged else median(values.tolist())
        return np.nan if found is None else found

    return value


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


_REDUCE: dict[str, Callable[[Floats], float]] = {
    "mean": lambda values: float(values.mean()),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
    "rms": _rms,
}


def _output_place(run: Measured) -> str:
    return "norm" if run.config.model.norm.placement == "post" else "activation"


def _hidden(run: Measured, place: str, quantity: str) -> Trace:
    """A quantity of the hidden layers alone."""
    from bninit.store.layers import Trace

    trace = run.stored_layers().trace(place, quantity)
    is_hidden = (trace.layers >= 1) & (trace.layers <= len(run.config.model.hidden))
    return Trace(
        layers=trace.layers[is_hidden],
        steps=trace.steps,
        epochs=trace.epochs,
        values=trace.values[:, is_hidden],
    )


LAYER_METRICS = (
    Metric(
        name="gradient_factor",
        title="factor on the gradient's SD from a hidden layer to the one before it, at the start",
        unit="",
        value=factor_per_layer("gradient", "sd", towards="input"),
        better=None,
        probes="gradients",
    ),
    Metric(
        name="gradient_decades",
        title="gradient's SD at the first hidden layer over that at the last, at the start",
        unit="powers of ten",
        value=gradient_decades,
        better=None,
        num_decimals=2,
        probes="gradients",
    ),
    Metric(
        name="first_layer_gradient",
        title="norm of the first layer's weight gradient before training",
        unit="",
        value=first_layer("weight", "gradient_norm"),
        better=None,
        num_decimals=4,
        probes="gradients",
    ),
    Metric(
        name="signal_factor",
        title="factor on the signal's SD from a hidden layer to the next, at the start",
        unit="",
        value=factor_per_layer("linear", "sd", towards="output"),
        better=None,
        probes="signals",
    ),
    Metric(
        name="distribution_shift",
        title="way that the inputs of the layers go in the training",
        unit="SDs",
        value=distribution_shift,
        better="low",
        num_decimals=2,
        probes="signals",
    ),
    Metric(
        name="running_statistics_gap",
        title="running means against the population's, at the end",
        unit="SDs",
        value=statistics_gap(None),
        better="low",
        probes="batch_norm",
    ),
    Metric(
        name="early_running_statistics_gap",
        title="running means against the population's, in the first epoch",
        unit="SDs",
        value=statistics_gap(None, early=True),
        better="low",
        probes="batch_norm",
    ),
    Metric(
        name="ema_gap",
        title="exponentially weighted means against the population's, at the end",
        unit="SDs",
        value=statistics_gap("ema"),
        better="low",
        probes="batch_norm",
    ),
    Metric(
        name="cumulative_gap",
        title="cumulative means against the population's, at the end",
        unit="SDs",
        value=statistics_gap("cumulative"),
        better="low",
        probes="batch_norm",
    ),
    Metric(
        name="batch_gap",
        title="a mini-batch's means against the population's, at the end",
        unit="SDs",
        value=statistics_gap("batch"),
        better="low",
        probes="batch_norm",
    ),
    Metric(
        name="ema_advantage",
        title="how much closer the exponentially weighted means are than cumulative ones",
        unit="SDs",
        value=statistics_advantage,
        better=None,
        probes="batch_norm",
    ),
    Metric(
        name="mode_gap",
        title="accuracy lost by evaluation against training mode, at the end",
        unit="points",
        value=mode_gap(when="end"),
        better="low",
        scale=100,
        num_decimals=2,
        probes="batch_norm",
    ),
    Metric(
        name="worst_mode_gap",
        title="accuracy lost by evaluation against training mode, at the worst moment",
        unit="points",
        value=mode_gap(when="worst"),
        better="low",
        scale=100,
        num_decimals=2,
        probes="batch_norm",
    ),
    Metric(
        name="gamma_drift",
        title="drift of gamma from 1",
        unit="",
        value=over_hidden("norm", "gamma_drift", when="end", by="rms"),
        better=None,
        probes="batch_norm",
    ),
    Metric(
        name="beta_drift",
        title="drift of beta from 0",
        unit="",
        value=over_hidden("norm", "beta_drift", when="end", by="rms"),
        better=None,
        probes="batch_norm",
    ),
    Metric(
        name="initial_distinct_units",
        title="distinct units before training in the layer that has the fewest",
        unit="units",
        value=over_hidden("weight", "distinct_units", when="start", by="min"),
        better=None,
        num_decimals=0,
        resolution=lambda _config: 1.0,
        probes="units",
    ),
    Metric(
        name="dead_fraction",
        title="dead units at the end",
        unit="%",
        value=over_hidden("activation", "dead_fraction", when="end"),
        better="low",
        scale=100,
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="initial_dead_fraction",
        title="dead units before training",
        unit="%",
        value=over_hidden("activation", "dead_fraction", when="start"),
        better="low",
        scale=100,
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="saturated_fraction",
        title="saturated activations at the end",
        unit="%",
        value=over_hidden("activation", "saturated_fraction", when="end"),
        better="low",
        scale=100,
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="initial_saturated_fraction",
        title="saturated activations before training",
        unit="%",
        value=over_hidden("activation", "saturated_fraction", when="start"),
        better="low",
        scale=100,
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="effective_rank",
        title="effective rank of the hidden layers' outputs at the end, the lowest",
        unit="",
        value=over_hidden("output", "effective_rank", when="end", by="min"),
        better="high",
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="initial_effective_rank",
        title="effective rank of the hidden layers' outputs before training, the lowest",
        unit="",
        value=over_hidden("output", "effective_rank", when="start", by="min"),
        better="high",
        num_decimals=1,
        probes="units",
    ),
    Metric(
        name="loss_range_along_gradient",
        title="range of the loss along the gradient",
        unit="nats",
        value=along_gradient("loss_range"),
        better="low",
        probes="landscape",
    ),
    Metric(
        name="gradient_change",
        title="change of the gradient along itself",
        unit="",
        value=along_gradient("gradient_change"),
        better="low",
        probes="landscape",
    ),
    Metric(
        name="relative_gradient_change",
        title="change of the gradient along itself, as part of it",
        unit="",
        value=along_gradient("relative_gradient_change"),
        better="low",
        num_decimals=2,
        probes="landscape",
    ),
    Metric(
        name="effective_smoothness",
        title="effective smoothness along the gradient (less: smoother)",
        unit="",
        value=along_gradient("smoothness"),
        better="low",
        num_decimals=2,
        probes="landscape",
    ),
)
"""Each is one reading in `bninit.metrics` and one entry here."""


def _one_of_test(config: Config) -> float:
    return 1.0 / DATASETS[config.data.name].num_test


def _one_of_val(config: Config) -> float:
    return 1.0 / config.data.val_size


def _one(_config: Config) -> float:
    return 1.0


def _epoch_in_steps(config: Config) -> float:
    return float(config.iterations_per_epoch)


_ALL = (
    Metric(
        name="test_accuracy",
        title="test accuracy",
        unit="%",
        value=of_summary("test_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="test_loss",
        title="test loss",
        unit="nats",
        value=of_summary("test_loss"),
        better="low",
    ),
    Metric(
        name="generalization_gap",
        title="generalization gap (training minus test accuracy)",
        unit="points",
        value=of_summary("generalization_gap"),
        better="low",
        scale=100,
        num_decimals=2,
        resolution=_one_of_test,
    ),
    Metric(
        name="final_train_accuracy",
        title="training accuracy at the end",
        unit="%",
        value=of_summary("train_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
    ),
    Metric(
        name="final_train_loss",
        title="training loss at the end",
        unit="nats",
        value=of_summary("train_loss"),
        better="low",
    ),
    Metric(
        name="final_val_accuracy",
        title="validation accuracy at the end",
        unit="%",
        value=of_last_row("val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="final_val_loss",
        title="validation loss at the end",
        unit="nats",
        value=of_last_row("val_loss"),
        better="low",
    ),
    Metric(
        name="best_val_accuracy",
        title="best validation accuracy",
        unit="%",
        value=of_summary("best", "val_accuracy"),
        better="high",
        scale=100,
        num_decimals=2,
        resolution=_one_of_val,
    ),
    Metric(
        name="best_val_loss",
        title="best validation loss",
        unit="nats",
        value=of_summary("best", "val_loss"),
        better="low",
    ),
    Metric(
        name="initial_train_loss",
        title="training loss before training",
        unit="nats",
        value=initial_train_loss,
        better="low",
    ),
    Metric(
        name="epochs_to_accuracy",
        title="epochs to {target}",
        unit="epochs",
        value=at_target("epoch"),
        better="low",
        needs_target=True,
        censored=True,
        num_decimals=1,
        resolution=_one,
    ),
    Metric(
        name="steps_to_accuracy",
        title="steps to {target}",
        unit="steps",
        value=at_target("step"),
        better="low",
        needs_target=True,
        censored=True,
        num_decimals=0,
        resolution=_epoch_in_steps,
    ),
    Metric(
        name="seconds_to_accuracy",
        title="seconds to {target}",
        unit="s",
        value=at_target("seconds"),
        better="low",
        clock=True,
        needs_target=True,
        censored=True,
        num_decimals=2,
    ),
    Metric(
        name="reached",
        title="{target} reached",
        unit="",
        value=reached,
        better="high",
        needs_target=True,
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="diverged",
        title="diverged",
        unit="",
        value=diverged,
        better="low",
        num_decimals=2,
        resolution=_one,
    ),
    Metric(
        name="loss_fluctuation",
        title="fluctuation of the training loss from step to step",
        unit="nats",
        value=loss_fluctuation,
        better="low",
    ),
    Metric(
        name="worst_loss_rise",
        title="largest rise of the validation loss between two epochs",
        unit="nats",
        value=worst_loss_rise,
        better="low",
    ),
    Metric(
        name="min_distinct_units",
        title="distinct units in the layer that has the fewest",
        unit="units",
        value=min_distinct_units,
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
    Metric(
        name="seconds_per_epoch",
        title="seconds per epoch",
        unit="s",
        value=of_summary("seconds_per_epoch"),
        better="low",
        clock=True,
    ),
    Metric(
        name="num_parameters",
        title="trained parameters",
        unit="",
        value=of_summary("num_parameters"),
        better=None,
        num_decimals=0,
        resolution=_one,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_ALL, *LAYER_METRICS)}


def horizon_of(metric: Metric, config: Config) -> float | None:
    """What a run that never reached its target counts as: the earliest that it could have.

    Args:
        metric: Any metric.
        config: Of the run.

    Returns:
        One epoch after the last; None for metrics that are not censored, and for seconds, which
        are not bounded by the config.
    """
    later = config.train.epochs + 1
    return {
        "epochs_to_accuracy": float(later),
        "steps_to_accuracy": float(later * config.iterations_per_epoch),
    }.get(metric.name)
