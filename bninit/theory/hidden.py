"""One hidden layer after its linear part: batch norm before, after or without, and the activation.

What the units do differs where batch norm stands after the activation and examples are alike, as
pictures are before the first layer: a unit whose pre-activations are low for the whole batch gives
little, and batch norm blows that up. Such units are told apart by the mean of their pre-activations
over the batch; elsewhere all units are of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bninit.nets.architecture import POST, PRE
from bninit.theory.batch_kernel import (
    Normalized,
    Signal,
    activate,
    back_through_norm,
    normalize,
)
from bninit.theory.functions import Floats, Function
from bninit.theory.gaussian import along_kernel, slope_kernel

NUM_KINDS = 12
"""Gauss-Hermite nodes for the mean of a unit's pre-activations over the batch."""

_ALIKE = 0.03
"""Share of a common part in the mean square, from which on kinds of units are told apart."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Units of one kind.

    Attributes:
        probability: Their share.
        activation: What the activation gives.
        normalized: What batch norm does; None without one.
        slopes: E[f'(u_a) f'(u_b)], (example, example).
        along: E[u_a f'(u_a) u_b f'(u_b)] where batch norm gives u; None elsewhere.
    """

    probability: float
    activation: Signal
    normalized: Normalized | None
    slopes: Floats
    along: Floats | None


def hidden_kinds(function: Function, linear: Signal, *, placement: str, eps: float) -> list[Kind]:
    """Passes the linear output of a hidden layer on.

    Args:
        function: The activation.
        linear: Gaussian pre-activations.
        placement: Of batch norm.
        eps: Of batch norm.
    """
    if placement == PRE:
        normalized = normalize(linear, eps=eps)
        return [_kind(function, normalized.out, normalized=normalized)]
    if placement != POST:
        return [_kind(function, linear)]
    kinds = []
    for probability, units in _by_common_part(linear):
        kind = _kind(function, units, probability=probability)
        kinds.append(replace(kind, normalized=normalize(kind.activation, eps=eps)))
    return kinds


def passed_on(kinds: Sequence[Kind], *, placement: str) -> Signal:
    """What the layer gives to the next one."""
    return _average(
        kinds,
        [
            kind.normalized.out if placement == POST and kind.normalized else kind.activation
            for kind in kinds
        ],
    )


def activation_of(kinds: Sequence[Kind]) -> Signal:
    """What the activation gives."""
    return _average(kinds, [kind.activation for kind in kinds])


def norm_of(kinds: Sequence[Kind]) -> Signal | None:
    """What batch norm gives; None without one."""
    found = [kind.normalized.out for kind in kinds if kind.normalized]
    return _average(kinds, found) if found else None


def back(kinds: Sequence[Kind], gradient: Floats, *, placement: str) -> Floats:
    """Second moments of the gradient at the linear output, from those at the layer's output."""
    found = np.zeros_like(gradient)
    for kind in kinds:
        if kind.normalized is None:
            before = kind.slopes * gradient
        elif placement == PRE:
            assert kind.along is not None
            before = back_through_norm(
                kind.slopes * gradient,
                normalized=kind.normalized,
                along=float((kind.along * gradient).sum()),
            )
        else:
            along = float((kind.normalized.out.second * gradient).sum())
            before = kind.slopes * back_through_norm(
                gradient, normalized=kind.normalized, along=along
            )
        found += kind.probability * before
    return found


def _kind(
    function: Function,
    at: Signal,
    *,
    probability: float = 1.0,
    normalized: Normalized | None = None,
) -> Kind:
    mean, covariance = at.mean, at.covariance
    along = None
    if normalized is not None:
        along = along_kernel(function, mean=mean, covariance=covariance)
    return Kind(
        probability=probability,
        activation=activate(function, at),
        normalized=normalized,
        slopes=slope_kernel(function, mean=mean, covariance=covariance),
        along=along,
    )


def _by_common_part(signal: Signal) -> list[tuple[float, Signal]]:
    """Units by their mean over the batch, each with what is Gaussian about it; and their shares."""
    covariance = signal.covariance
    shared = covariance.mean(axis=0)
    variance = float(shared.mean())
    if variance <= _ALIKE * float(np.diagonal(covariance).mean()):
        return [(1.0, signal)]
    rest = covariance - np.outer(shared, shared) / variance
    places, weights = np.polynomial.hermite_e.hermegauss(NUM_KINDS)
    found = []
    for place, weight in zip(places, weights / weights.sum(), strict=True):
        mean = signal.mean + shared * (place / np.sqrt(variance))
        found.append((float(weight), Signal(mean, rest + np.outer(mean, mean))))
    return found


def _average(kinds: Sequence[Kind], signals: Sequence[Signal]) -> Signal:
    mean, second = np.zeros_like(signals[0].mean), np.zeros_like(signals[0].second)
    for kind, signal in zip(kinds, signals, strict=True):
        mean = mean + kind.probability * signal.mean
        second = second + kind.probability * signal.second
    return Signal(mean, second)
