"""The table of metrics: name, title, unit, direction, and how each is read from a finished run.

A further metric is one entry in `METRICS`, and its reading function here if none fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from bninit.data.catalog import DATASETS
from bninit.stats import Floats, Worse, median
from bninit.training.targets import first_reached

if TYPE_CHECKING:
    import numpy.typing as npt

    from bninit.config import Config
    from bninit.store.epochs import Row
    from bninit.store.layers import StoredLayers, Trace


class Measured(Protocol):
    """What a metric reads of a finished run; `bninit.store.Run` has it."""

    @property
    def config(self) -> Config:
        """The resolved config."""

    @property
    def summary(self) -> dict[str, Any] | None:
        """The contents of summary.json; None while it is not finished."""

    def rows(self) -> Sequence[Row]:
        """The rows of metrics.csv, one for each epoch from 0."""

    def step_losses(self) -> npt.NDArray[np.floating]:
        """Training loss of each step, (step,)."""

    def stored_layers(self) -> StoredLayers:
        """What probes found inside it."""


Reading: TypeAlias = Callable[[Measured, float], float]
"""From a run and a target accuracy to a figure; NaN where the run has none."""

_DECIMALS = {"%": 2, "points": 2, "epochs": 1, "steps": 0, "units": 0}


@dataclass(frozen=True)
class Metric:
    """One figure of a run.

    Attributes:
        name: In claims and tables.
        title: For people; ``{target}`` stands for the target accuracy, where it takes one.
        unit: Of the printed number; empty for a bare number.
        value: From a run and a target to the figure, as a fraction for percentages and points;
            NaN where the run has none: it diverged, or never reached the target.
        better: The end that is better, or None.
        censored: Whether NaN means "not within the epochs that were trained".
        clock: Whether it is wall-clock time. Networks of one stack share its clock, so their
            times are one measurement and not several.
        is_share: Whether it is 1 or 0: it happens to a run, or it does not.
        decimals: Of the printed number; by default as its unit has them.
        resolution: From a config to the step in which the figure is recorded; 0 if continuous.
        horizon: From a config to what a run counts as that never reached the target: the
            earliest that it could have; None where the config sets no bound.
        probes: The group of probes that it is read from; None for what every run keeps.
    """

    name: str
    title: str
    unit: str
    value: Reading
    better: Literal["low", "high"] | None
    censored: bool = False
    clock: bool = False
    is_share: bool = False
    decimals: int | None = None
    resolution: Callable[[Config], float] = lambda _config: 0.0
    horizon: Callable[[Config], float] | None = None
    probes: str | None = None

    @property
    def needs_target(self) -> bool:
        """Whether it takes a target accuracy."""
        return "{target}" in self.title

    @property
    def worse(self) -> Worse | None:
        """The end at which a diverged run ranks."""
        return None if self.better is None else "high" if self.better == "low" else "low"

    @property
    def scale(self) -> float:
        """Factor from the value to the printed number."""
        return 100.0 if self.unit in ("%", "points") else 1.0

    @property
    def num_decimals(self) -> int:
        """Decimals of the printed number."""
        return _DECIMALS.get(self.unit, 3) if self.decimals is None else self.decimals


def horizon_of(metric: Metric, config: Config) -> float | None:
    """What a run that never reached its target counts as: the earliest that it could have.

    Args:
        metric: Any metric.
        config: Of the run.

    Returns:
        One epoch after the last; None for metrics that are not censored, and for seconds, which
        are not bounded by the config.
    """
    return None if metric.horizon is None else metric.horizon(config)


# -- readings of summary.json, metrics.csv and steps.npy ---------------------------------------


def _summary(run: Measured) -> dict[str, Any]:
    if run.summary is None:
        raise ValueError("only a finished run can be measured")
    return run.summary


def _has_diverged(run: Measured) -> bool:
    return bool(_summary(run)["status"] == "diverged")


def _first_reached(run: Measured, target: float) -> Row | None:
    """The row of the first epoch whose validation accuracy reached the target."""
    rows = run.rows()
    epoch = first_reached([row.val_accuracy for row in rows], target)
    return None if epoch is None else rows[epoch]


def of_summary(*keys: str) -> Reading:
    """Makes the reading of a figure in summary.json, by the keys that lead to it."""

    def value(run: Measured, _target: float) -> float:
        found: Any = _summary(run)
        for key in keys:
            found = found[key]
        return math.nan if found is None else float(found)

    return value


def of_last_row(column: str) -> Reading:
    """Makes the reading of a column of metrics.csv after the last epoch."""

    def value(run: Measured, _target: float) -> float:
        return math.nan if _has_diverged(run) else float(getattr(run.rows()[-1], column))

    return value


def at_target(column: str) -> Reading:
    """Makes the reading of a column at the first epoch that reached the target."""

    def value(run: Measured, target: float) -> float:
        row = _first_reached(run, target)
        return math.nan if row is None else float(getattr(row, column))

    return value


def reached(run: Measured, target: float) -> float:
    """1 when the target was reached, else 0."""
    return float(_first_reached(run, target) is not None)


def diverged(run: Measured, _target: float) -> float:
    """1 when the run diverged, else 0."""
    return float(_has_diverged(run))


def initial_train_loss(run: Measured, _target: float) -> float:
    """Training loss at epoch 0, in nats."""
    return run.rows()[0].train_loss


def loss_fluctuation(run: Measured, _target: float) -> float:
    """SD of the difference between neighbouring steps over sqrt 2, in the second half.

    The difference of two independent equal noises has sqrt 2 times their SD, and a slow trend
    cancels in it: this is the mean square successive difference of von Neumann et al. 1941,
    "The mean square successive difference", Ann. Math. Statist. 12, 153.
    """
    losses = np.asarray(run.step_losses(), dtype=np.float64)
    second_half = losses[len(losses) // 2 :]
    if _has_diverged(run) or len(second_half) < 2:
        return math.nan
    return float(np.sqrt(np.mean(np.diff(second_half) ** 2) / 2))


def worst_loss_rise(run: Measured, _target: float) -> float:
    """Largest rise of the validation loss from one epoch to the next, 0 if it never rose."""
    if _has_diverged(run):
        return math.nan
    return float(max([0.0, *np.diff([row.val_loss for row in run.rows()])]))


def min_distinct_units(run: Measured, _target: float) -> float:
    """Distinct units in the hidden layer that has the fewest; see `bninit.nets.signals`."""
    return float(min(_summary(run)["distinct_units"] or (), default=math.nan))


# -- readings of probes, layers.safetensors ----------------------------------------------------

SMALLEST = 2.0**-149
"""float32's smallest number above 0: what a gradient of 0 counts as among logarithms."""

_REDUCE: dict[str, Callable[[Floats], float]] = {
    "mean": lambda values: float(values.mean()),
    "min": lambda values: float(values.min()),
    "rms": lambda values: float(np.sqrt((values**2).mean())),
}


def _hidden(run: Measured, place: str, quantity: str) -> Trace:
    """A quantity of the hidden layers alone; place ``output`` is what a layer hands on."""
    from bninit.store.layers import Trace

    if place == "output":
        place = "norm" if run.config.model.norm.placement == "post" else "activation"
    trace = run.stored_layers().trace(place, quantity)
    is_hidden = (trace.layers >= 1) & (trace.layers <= len(run.config.model.hidden))
    return Trace(
        layers=trace.layers[is_hidden],
        steps=trace.steps,
        epochs=trace.epochs,
        values=trace.values[:, is_hidden],
    )


def over_hidden(
    place: str, quantity: str, *, when: Literal["start", "end"], by: str = "mean"
) -> Reading:
    """Makes the reading of a quantity over the hidden layers, before the training or at its end."""

    def value(run: Measured, _target: float) -> float:
        values = _hidden(run, place, quantity).values
        return _REDUCE[by](values[0 if when == "start" else -1]) if values.size else math.nan

    return value


def first_layer(place: str, quantity: str) -> Reading:
    """Makes the reading of a quantity of the first layer, before the training."""

    def value(run: Measured, _target: float) -> float:
        trace = run.stored_layers().trace(place, quantity)
        at = np.flatnonzero(trace.layers == 1)
        return float(trace.values[0, at[0]]) if at.size and trace.steps.size else math.nan

    return value


def factor_per_layer(place: str, quantity: str, *, towards: Literal["input", "output"]) -> Reading:
    """Makes the reading of the factor by which a quantity grows from one hidden layer to the next.

    The geometric mean over the hidden layers, before the training: below 1 it vanishes, above 1
    it explodes. NaN with fewer than two hidden layers, or where there is nothing to begin with.
    """

    def value(run: Measured, _target: float) -> float:
        trace = _hidden(run, place, quantity)
        if trace.layers.size < 2 or trace.steps.size == 0:
            return math.nan
        begins, ends = trace.values[0, [-1, 0] if towards == "input" else [0, -1]]
        if not begins > 0:
            return math.nan
        return float((ends / begins) ** (1 / (trace.layers[-1] - trace.layers[0])))

    return value


def gradient_decades(run: Measured, _target: float) -> float:
    """Powers of ten between the gradient's SD at the first hidden layer and at the last.

    Before the training; negative where it vanishes on its way to the input.
    """
    trace = _hidden(run, "gradient", "sd")
    if trace.layers.size < 2 or trace.steps.size == 0 or not np.isfinite(trace.values[0]).all():
        return math.nan
    first, last = np.maximum(trace.values[0, [0, -1]], SMALLEST)
    return float(np.log10(first / last))


def distribution_shift(run: Measured, _target: float) -> float:
    """How far the inputs of the layers moved in the training, in SDs.

    The distance that the units' means moved from probe to probe, in the units' SDs (root mean
    squares over units), summed over the training, averaged over the outputs of hidden layers,
    which are the inputs of the layers after them. It grows with the number of probes, so only
    runs with the same steps and the same probes can be compared.
    """
    values = _hidden(run, "output", "shift").values
    return float(values.sum(axis=0).mean()) if values.size else math.nan


def statistics_gap(kind: str | None, *, early: bool = False) -> Reading:
    """Makes the reading of how far moving averages are from the population, in its SDs.

    Root mean square over batch norms and units of the averages' means minus those of the
    population; see `bninit.training.probes`.
    """

    def value(run: Measured, _target: float) -> float:
        chosen = run.config.model.norm.running if kind is None else kind
        trace = run.stored_layers().trace("norm", f"mean_gap_{chosen}")
        if trace.values.size == 0:
            return math.nan
        gaps = np.sqrt((trace.values**2).mean(axis=1))
        if not early:
            return float(gaps[-1])
        is_early = (trace.steps > 0) & (trace.steps <= run.config.iterations_per_epoch)
        return float(gaps[is_early].mean()) if is_early.any() else math.nan

    return value


def statistics_advantage(run: Measured, target: float) -> float:
    """How much closer the exponential average is to the population than the cumulative one."""
    cumulative, ema = (statistics_gap(kind)(run, target) for kind in ("cumulative", "ema"))
    return cumulative - ema


def mode_gap(*, when: Literal["worst", "end"]) -> Reading:
    """Makes the reading of what evaluation loses against training mode, in validation accuracy.

    Of the same examples, with the statistics of mini-batches minus with those that the run uses
    in evaluation; the largest loss over the training, or the one at its end.
    """

    def value(run: Measured, _target: float) -> float:
        layers, own = run.stored_layers(), run.config.model.norm.running
        trained = layers.trace("network", "accuracy_train_mode")
        evaluated = layers.trace("network", f"accuracy_{own}")
        lost = (trained.values - evaluated.values)[trained.steps > 0]
        if lost.size == 0:
            return math.nan
        return float(lost.max() if when == "worst" else lost[-1, 0])

    return value


def along_gradient(quantity: str) -> Reading:
    """Makes the reading of what a training meets along its gradient: the median over epochs.

    Of the steps that follow the epochs' ends, the first step of the training among them; see
    `bninit.training.along_gradient.AlongGradient`. Infinity is the largest number here, as a loss
    that leaves all bounds on the way is; a step with a gradient of 0 counts for nothing. NaN of a
    run that diverged.
    """

    def value(run: Measured, _target: float) -> float:
        trace = run.stored_layers().trace("network", quantity)
        at_epoch = trace.steps == trace.epochs * run.config.iterations_per_epoch
        found = median(trace.values[at_epoch].ravel().tolist())
        return math.nan if found is None or _has_diverged(run) else found

    return value


# -- the table ---------------------------------------------------------------------------------


def _one(_config: Config) -> float:
    return 1.0


def _one_test_image(config: Config) -> float:
    return 1.0 / DATASETS[config.data.name].num_test


def _one_val_image(config: Config) -> float:
    return 1.0 / config.data.val_size


def _steps_per_epoch(config: Config) -> float:
    return float(config.iterations_per_epoch)


def _one_epoch_later(config: Config) -> float:
    return float(config.train.epochs + 1)


def _one_epoch_of_steps_later(config: Config) -> float:
    return float((config.train.epochs + 1) * config.iterations_per_epoch)


_ALL = (
    Metric(
        "test_accuracy", "test accuracy", "%", of_summary("test_accuracy"), "high",
        resolution=_one_test_image,
    ),
    Metric("test_loss", "test loss", "nats", of_summary("test_loss"), "low"),
    Metric(
        "generalization_gap", "generalization gap (training minus test accuracy)", "points",
        of_summary("generalization_gap"), "low", resolution=_one_test_image,
    ),
    Metric(
        "final_train_accuracy", "training accuracy at the end", "%",
        of_summary("train_accuracy"), "high",
    ),
    Metric(
        "final_train_loss", "training loss at the end", "nats", of_summary("train_loss"), "low",
    ),
    Metric(
        "final_val_accuracy", "validation accuracy at the end", "%",
        of_last_row("val_accuracy"), "high", resolution=_one_val_image,
    ),
    Metric(
        "final_val_loss", "validation loss at the end", "nats", of_last_row("val_loss"), "low",
    ),
    Metric(
        "best_val_accuracy", "best validation accuracy", "%",
        of_summary("best", "val_accuracy"), "high", resolution=_one_val_image,
    ),
    Metric(
        "best_val_loss", "best validation loss", "nats", of_summary("best", "val_loss"), "low",
    ),
    Metric(
        "initial_train_loss", "training loss before training", "nats", initial_train_loss, "low",
    ),
    Metric(
        "epochs_to_accuracy", "epochs to {target}", "epochs", at_target("epoch"), "low",
        censored=True, resolution=_one, horizon=_one_epoch_later,
    ),
    Metric(
        "steps_to_accuracy", "steps to {target}", "steps", at_target("step"), "low",
        censored=True, resolution=_steps_per_epoch, horizon=_one_epoch_of_steps_later,
    ),
    Metric(
        "seconds_to_accuracy", "seconds to {target}", "s", at_target("seconds"), "low",
        censored=True, clock=True, decimals=2,
    ),
    Metric(
        "reached", "{target} reached", "", reached, "high",
        is_share=True, decimals=2, resolution=_one,
    ),
    Metric(
        "diverged", "diverged", "", diverged, "low",
        is_share=True, decimals=2, resolution=_one,
    ),
    Metric(
        "loss_fluctuation", "fluctuation of the training loss from step to step", "nats",
        loss_fluctuation, "low",
    ),
    Metric(
        "worst_loss_rise", "largest rise of the validation loss between two epochs", "nats",
        worst_loss_rise, "low",
    ),
    Metric(
        "min_distinct_units", "distinct units in the layer that has the fewest", "units",
        min_distinct_units, None, resolution=_one,
    ),
    Metric(
        "seconds_per_epoch", "seconds per epoch", "s", of_summary("seconds_per_epoch"), "low",
        clock=True,
    ),
    Metric(
        "num_parameters", "trained parameters", "", of_summary("num_parameters"), None,
        decimals=0, resolution=_one,
    ),
    Metric(
        "gradient_factor",
        "factor on the gradient's SD from a hidden layer to the one before it, at the start",
        "", factor_per_layer("gradient", "sd", towards="input"), None, probes="gradients",
    ),
    Metric(
        "gradient_decades",
        "gradient's SD at the first hidden layer over that at the last, at the start",
        "powers of ten", gradient_decades, None, decimals=2, probes="gradients",
    ),
    Metric(
        "first_layer_gradient", "norm of the first layer's weight gradient before training", "",
        first_layer("weight", "gradient_norm"), None, decimals=4, probes="gradients",
    ),
    Metric(
        "signal_factor", "factor on the signal's SD from a hidden layer to the next, at the start",
        "", factor_per_layer("linear", "sd", towards="output"), None, probes="signals",
    ),
    Metric(
        "distribution_shift", "total drift of layer inputs", "SDs",
        distribution_shift, "low", decimals=2, probes="signals",
    ),
    Metric(
        "running_statistics_gap", "running means against the population's, at the end", "SDs",
        statistics_gap(None), "low", probes="batch_norm",
    ),
    Metric(
        "early_running_statistics_gap",
        "running means against the population's, in the first epoch", "SDs",
        statistics_gap(None, early=True), "low", probes="batch_norm",
    ),
    Metric(
        "ema_gap", "exponentially weighted means against the population's, at the end", "SDs",
        statistics_gap("ema"), "low", probes="batch_norm",
    ),
    Metric(
        "cumulative_gap", "cumulative means against the population's, at the end", "SDs",
        statistics_gap("cumulative"), "low", probes="batch_norm",
    ),
    Metric(
        "batch_gap", "a mini-batch's means against the population's, at the end", "SDs",
        statistics_gap("batch"), "low", probes="batch_norm",
    ),
    Metric(
        "ema_advantage",
        "how much closer the exponentially weighted means are than cumulative ones", "SDs",
        statistics_advantage, None, probes="batch_norm",
    ),
    Metric(
        "mode_gap", "accuracy lost by evaluation against training mode, at the end", "points",
        mode_gap(when="end"), "low", probes="batch_norm",
    ),
    Metric(
        "worst_mode_gap",
        "accuracy lost by evaluation against training mode, at the worst moment", "points",
        mode_gap(when="worst"), "low", probes="batch_norm",
    ),
    Metric(
        "gamma_drift", "drift of gamma from 1", "",
        over_hidden("norm", "gamma_drift", when="end", by="rms"), None, probes="batch_norm",
    ),
    Metric(
        "beta_drift", "drift of beta from 0", "",
        over_hidden("norm", "beta_drift", when="end", by="rms"), None, probes="batch_norm",
    ),
    Metric(
        "initial_distinct_units",
        "distinct units before training in the layer that has the fewest", "units",
        over_hidden("weight", "distinct_units", when="start", by="min"), None,
        resolution=_one, probes="units",
    ),
    Metric(
        "dead_fraction", "dead units at the end", "%",
        over_hidden("activation", "dead_fraction", when="end"), "low",
        decimals=1, probes="units",
    ),
    Metric(
        "initial_dead_fraction", "dead units before training", "%",
        over_hidden("activation", "dead_fraction", when="start"), "low",
        decimals=1, probes="units",
    ),
    Metric(
        "saturated_fraction", "saturated activations at the end", "%",
        over_hidden("activation", "saturated_fraction", when="end"), "low",
        decimals=1, probes="units",
    ),
    Metric(
        "initial_saturated_fraction", "saturated activations before training", "%",
        over_hidden("activation", "saturated_fraction", when="start"), "low",
        decimals=1, probes="units",
    ),
    Metric(
        "effective_rank", "effective rank of the hidden layers' outputs at the end, the lowest",
        "", over_hidden("output", "effective_rank", when="end", by="min"), "high",
        decimals=1, probes="units",
    ),
    Metric(
        "initial_effective_rank",
        "effective rank of the hidden layers' outputs before training, the lowest",
        "", over_hidden("output", "effective_rank", when="start", by="min"), "high",
        decimals=1, probes="units",
    ),
    Metric(
        "loss_range_along_gradient", "range of the loss along the gradient", "nats",
        along_gradient("loss_range"), "low", probes="landscape",
    ),
    Metric(
        "gradient_change", "change of the gradient along itself", "",
        along_gradient("gradient_change"), "low", probes="landscape",
    ),
    Metric(
        "relative_gradient_change", "relative change of the gradient along itself", "",
        along_gradient("relative_gradient_change"), "low", decimals=2, probes="landscape",
    ),
    Metric(
        "effective_smoothness", "effective smoothness along the gradient (less: smoother)", "",
        along_gradient("smoothness"), "low", decimals=2, probes="landscape",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
