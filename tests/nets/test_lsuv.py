"""LSUV on small networks: unit variances, layer by layer, and the cases without any."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from shapes import initial

from bninit.nets.start import draw_weight, lsuv_scale
from bninit.training.seeding import generator, weight_draws

WIDTHS = [20, 30, 25, 30, 10]
Piece = Callable[[torch.Tensor], torch.Tensor]


def network(seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor]:
    weights = [
        draw_weight(
            initial("lsuv"),
            fan_in=fan_in,
            fan_out=fan_out,
            draws=weight_draws(seed, layer),
            dtype=torch.float64,
        )
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(WIDTHS), start=1)
    ]
    x = torch.rand(200, 20, generator=generator(seed, "x"), dtype=torch.float64)
    return weights, x


def variances(
    weights: list[torch.Tensor],
    x: torch.Tensor,
    piece: Piece,
    biases: list[torch.Tensor] | None = None,
) -> list[float]:
    found = []
    for layer, weight in enumerate(weights):
        output = x @ weight.T + (0 if biases is None else biases[layer])
        found.append(output.numpy().var().item())
        x = piece(output)
    return found


@pytest.mark.parametrize("piece", [torch.relu, torch.tanh, torch.sigmoid])
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_every_layer_has_the_variance_the_output_layer_included(piece: Piece, gain: float) -> None:
    weights, x = network()
    before = [weight.clone() for weight in weights]
    assert max(abs(v - gain**2) for v in variances(weights, x, piece)) > 0.1 * gain**2
    scaled = lsuv_scale(weights, x, after=[piece] * 3, gain=gain)
    assert variances(scaled, x, piece) == pytest.approx([gain**2] * 4, rel=0.02)
    for weight, kept, new in zip(weights, before, scaled, strict=True):
        assert torch.equal(weight, kept), "the given ones stay"
        factor = (new / weight).flatten()
        assert factor.min() > 0
        torch.testing.assert_close(factor, factor[:1].expand_as(factor))


def test_biases_and_normalization_are_seen() -> None:
    weights, x = network()
    biases = [
        0.5 * torch.randn(len(w), generator=generator(i, "b"), dtype=torch.float64)
        for i, w in enumerate(weights)
    ]
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3, biases=biases)
    assert variances(scaled, x, torch.relu, biases) == pytest.approx([1] * 4, abs=0.02)
    norm = torch.nn.BatchNorm1d(30, dtype=torch.float64)
    pieces: list[Piece] = [lambda z: torch.relu(norm(z)), torch.relu, torch.relu]
    scaled = lsuv_scale(weights, x, after=pieces)
    first = x @ scaled[0].T
    hidden = torch.relu((first - first.mean(0)) / torch.sqrt(first.var(0, correction=0) + 1e-5))
    assert (hidden @ scaled[1].T).numpy().var() == pytest.approx(1, abs=0.02)
    assert not any(weight.requires_grad for weight in scaled)


def test_one_round_is_the_closed_form_and_without_rounds_nothing_changes() -> None:
    weights, x = network()
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3, tolerance=0.0, max_rounds=1)
    torch.testing.assert_close(scaled[0], weights[0] / (x @ weights[0].T).numpy().std())
    untouched = lsuv_scale(weights, x, after=[torch.relu] * 3, max_rounds=0)
    assert all(torch.equal(a, b) for a, b in zip(untouched, weights, strict=True))
    (alone,) = lsuv_scale(weights[:1], x, after=[])
    assert (x @ alone.T).numpy().var() == pytest.approx(1, abs=0.02)


def test_a_layer_within_the_tolerance_is_left_alone() -> None:
    weights, x = network()
    near = lsuv_scale(weights, x, after=[torch.relu] * 3)
    near[0] = near[0] * math.sqrt(1.015)
    again = lsuv_scale(near, x, after=[torch.relu] * 3, tolerance=0.02)
    assert torch.equal(again[0], near[0])
    finer = lsuv_scale(near, x, after=[torch.relu] * 3, tolerance=0.01)
    assert not torch.equal(finer[0], near[0])


def test_what_does_not_vary_or_is_not_finite_stays_as_it_is() -> None:
    weights, x = network()
    weights[1] = -weights[1].abs()  # After ReLU its output is negative: layer 3 reads zeros.
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3)
    stays = [torch.equal(a, b) for a, b in zip(scaled, weights, strict=True)]
    assert stays[1:] == [False, True, True]
    # Rounding errors are not blown up.
    weight = torch.full((3, 7), 0.1, dtype=torch.float64)
    weight[1] *= 1 + 2e-16
    (same,) = lsuv_scale([weight], torch.full((5, 7), 1 / 3, dtype=torch.float64), after=[])
    assert torch.equal(same, weight)
    x[0, 0] = math.nan
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3)
    assert all(torch.equal(a, b) for a, b in zip(scaled, weights, strict=True))


def test_what_is_refused() -> None:
    weights, x = network()
    for gain in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="gain is"):
            lsuv_scale(weights, x, after=[torch.relu] * 3, gain=gain)
    with pytest.raises(ValueError, match="4 layers cannot have 4 pieces"):
        lsuv_scale(weights, x, after=[torch.relu] * 4)
    with pytest.raises(ValueError, match="4 layers cannot have 1 biases"):
        lsuv_scale(weights, x, after=[torch.relu] * 3, biases=[None])
