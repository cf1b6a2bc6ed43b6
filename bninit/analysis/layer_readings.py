"""Readings of what probes found inside a run: functions from a run to one number.

They read the table of layers (`bninit.store.Run.layers`). NaN says that the run has no such
number: it has no batch norm, say, or no two hidden layers. Hidden layers are the linear layers
from 1 to the last but one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from bninit.analysis.landscapes import median
from bninit.analysis.readings import Measured

if TYPE_CHECKING:
    from bninit.store.layers import Trace

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
    population; see `bninit.training.normalization`.

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
    `bninit.training.along_gradient.AlongGradient`. Infinity is the largest number here, as a loss
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
