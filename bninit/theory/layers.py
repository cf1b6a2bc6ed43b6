"""What a layer does to a mini-batch: second moments over the units, for each pair of examples.

In a wide layer the units are independent of each other, and each is one draw of a random vector
over the examples of the mini-batch. What matters of it are its mean (example,) and its covariance
(example, example); likewise for gradients, whose mean is 0. The weights of the way back count as
independent of those of the way forward (Schoenholz et al. 2017, arXiv:1611.01232; proved by Yang
2019, arXiv:1902.04760). The covariances of the batch tell what those of single examples cannot: the
gradient with respect to weights, which is a sum over the batch, and batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bninit.nets.architecture import POST, PRE
from bninit.nets.settings import NormSettings
from bninit.theory.gaussian import (
    Floats,
    Function,
    along_kernel,
    gaussian_mean,
    kernel,
    slope_kernel,
)

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Signal:
    """What the units of a layer give for a mini-batch.

    Attributes:
        mean: Over the units, (example,).
        second: Mean over the units of the product of two examples, (example, example).
    """

    mean: Floats
    second: Floats

    @property
    def covariance(self) -> Floats:
        """(example, example)."""
        found: Floats = self.second - np.outer(self.mean, self.mean)
        return found

    @property
    def mean_square(self) -> float:
        """Over units and examples."""
        return float(np.diagonal(self.second).mean())


@dataclass(frozen=True)
class Normalized:
    """What batch norm in training mode makes of a layer.

    Attributes:
        out: What it gives.
        inverse_variance: Mean over the units of 1 / (variance over the batch + eps): the factor
            on squared gradients.
    """

    out: Signal
    inverse_variance: float


def linear(
    signal: Signal,
    *,
    fan_in: int,
    weight_mean: float,
    weight_variance: float,
    bias_mean: float,
    bias_variance: float,
) -> Signal:
    """The output of a linear layer with independent weights (Poole et al. 2016, eq. 3 and 5)."""
    mean = fan_in * weight_mean * signal.mean + bias_mean
    covariance = fan_in * weight_variance * signal.second + bias_variance
    return Signal(mean, np.outer(mean, mean) + covariance)


def activate(function: Function, signal: Signal) -> Signal:
    """The output of an activation of Gaussian pre-activations."""
    covariance = signal.covariance
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    mean = gaussian_mean(function.value, mean=signal.mean, sd=sd)
    return Signal(mean, kernel(function, mean=signal.mean, covariance=covariance))


def centre(matrix: Floats) -> Floats:
    """Second moments of signals of which each unit's mean over the batch is taken off."""
    rows = matrix - matrix.mean(axis=0)
    centred: Floats = rows - rows.mean(axis=1, keepdims=True)
    return centred


def _times(scale: float) -> tuple[Floats, Floats]:
    """Nodes and steps of the integral over t, evenly spaced in its logarithm."""
    logs = np.linspace(-30.0, 30.0, 481)
    t = np.exp(logs) / scale
    return t, t * (logs[1] - logs[0])


class BatchNormTheory:
    """What batch norm in training mode makes of signals and gradients; gamma is 1, beta 0."""

    @staticmethod
    def normalize(signal: Signal, settings: NormSettings) -> Normalized:
        """Batch norm of Gaussian pre-activations, with gamma 1 and beta 0.

        A unit's variance over the batch differs from unit to unit where the batch varies in few
        directions. Second moments and the mean of 1 / variance are exact all the same: with the
        eigenvalues l_i of the centred covariance, E[1 / (s^2 + eps)] is the integral over t > 0 of
        exp(-t eps) prod_i (1 + 2 t l_i / B)^(-1/2), and each eigenvector's share of the output has
        another factor l_i / (1 + 2 t l_i / B) in it (Yang et al. 2019, arXiv:1902.08129, section
        3.1). Infinite where fewer than three eigenvalues are above 0 and eps is too small to
        matter.
        """
        size, eps = len(signal.mean), settings.eps
        centred_mean = signal.mean - signal.mean.mean()
        square = float(centred_mean @ centred_mean)
        own = float(np.trace(centre(signal.covariance)))
        if own <= _ROUNDING * size * signal.mean_square:
            # Every unit is the same up to a constant: there is nothing to average over.
            inverse = 1 / (square / size + eps)
            mean = centred_mean * np.sqrt(inverse)
            return Normalized(Signal(mean, np.outer(mean, mean)), inverse)
        values, vectors = np.linalg.eigh(centre(signal.second))
        values = np.where(values > _ROUNDING * values[-1], values, 0.0)
        t, step = _times(values.sum() / size + eps)
        stretched = 1 + 2 * np.outer(t, values) / size
        density = step * np.exp(-t * eps - np.log(stretched).sum(axis=1) / 2)
        inverse = float(density.sum())
        shares = density @ (values / stretched)
        second = (vectors * shares) @ vectors.T
        return Normalized(Signal(centred_mean * np.sqrt(inverse), second), inverse)

    @staticmethod
    def back(gradient: Floats, *, normalized: Normalized, along: float) -> Floats:
        """Second moments of the gradient before batch norm, from those after it.

        Of the gradient, batch norm takes off what is constant over the batch and what lies along
        its own output u, and divides by the standard deviation. The trace is exact where standard
        deviation and u are independent; between examples, the second part comes off as it lies in
        u.

        Args:
            gradient: (example, example).
            normalized: What batch norm did.
            along: E[(u . gradient)^2], summed over the batch.
        """
        second = normalized.out.second
        trace = float(np.trace(second))
        taken = second * (along / (len(gradient) * trace)) if trace > 0 else 0.0
        found: Floats = normalized.inverse_variance * centre(gradient - taken)
        return found


NORM_THEORIES: dict[str, type[BatchNormTheory]] = {"batch": BatchNormTheory}
"""The theory of each kind of normalization, by `NormSettings.kind`."""


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


def hidden_kinds(function: Function, linear: Signal, norm: NormSettings) -> list[Kind]:
    """Passes the linear output of a hidden layer, Gaussian pre-activations, on."""
    normalize = NORM_THEORIES[norm.kind].normalize
    if norm.placement == PRE:
        normalized = normalize(linear, norm)
        return [_kind(function, normalized.out, normalized=normalized)]
    if norm.placement != POST:
        return [_kind(function, linear)]
    kinds = []
    for probability, units in _by_common_part(linear):
        kind = _kind(function, units, probability=probability)
        kinds.append(replace(kind, normalized=normalize(kind.activation, norm)))
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


def back(kinds: Sequence[Kind], gradient: Floats, norm: NormSettings) -> Floats:
    """Second moments of the gradient at the linear output, from those at the layer's output."""
    back_through_norm = NORM_THEORIES[norm.kind].back
    found = np.zeros_like(gradient)
    for kind in kinds:
        if kind.normalized is None:
            before = kind.slopes * gradient
        elif norm.placement == PRE:
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
