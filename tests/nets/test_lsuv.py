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
def test_every_layer_has_unit_variance_the_output_layer_included(piece: Piece) -> None:
    weights, x = network()
    assert max(abs(v - 1) for v in variances(weights, x, piece)) > 0.1
    scaled = lsuv_scale(weights, x, after=[piece] * 3)
    assert variances(scaled, x, piece) == pytest.approx([1] * 4, abs=0.02)


def test_only_a_positive_factor_is_applied_and_the_given_weights_stay() -> None:
    weights, x = network()
    before = [weight.clone() for weight in weights]
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3)
    for weight, kept, new in zip(weights, before, scaled, strict=True):
        assert torch.equal(weight, kept)
        factor = (new / weight).flatten()
        assert factor.min() > 0
        torch.testing.assert_close(factor, factor[:1].expand_as(factor))


def test_one_round_is_the_closed_form() -> None:
    weights, x = network()
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3, tolerance=0.0, max_rounds=1)
    expected = weights[0] / (x @ weights[0].T).numpy().std()
    torch.testing.assert_close(scaled[0], expected)


def test_biases_are_part_of_the_output() -> None:
    weights, x = network()
    biases = [
        0.5 * torch.randn(len(w), generator=generator(i, "b"), dtype=torch.float64)
        for i, w in enumerate(weights)
    ]
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3, biases=biases)
    assert variances(scaled, x, torch.relu, biases) == pytest.approx([1] * 4, abs=0.02)


def test_a_layer_within_the_tolerance_is_left_alone() -> None:
    weights, x = network()
    near = lsuv_scale(weights, x, after=[torch.relu] * 3)
    near[0] = near[0] * math.sqrt(1.015)
    again = lsuv_scale(near, x, after=[torch.relu] * 3, tolerance=0.02)
    assert torch.equal(again[0], near[0])
    finer = lsuv_scale(near, x, after=[torch.relu] * 3, tolerance=0.01)
    assert not torch.equal(finer[0], near[0])


def test_rounds_run_out() -> None:
    weights, x = network()
    untouched = lsuv_scale(weights, x, after=[torch.relu] * 3, max_rounds=0)
    assert all(torch.equal(a, b) for a, b in zip(untouched, weights, strict=True))


def test_the_gain_is_the_standard_deviation_that_is_reached() -> None:
    weights, x = network()
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3, gain=0.1)
    assert variances(scaled, x, torch.relu) == pytest.approx([0.01] * 4, rel=0.02)


def test_normalization_between_the_layers_is_seen() -> None:
    weights, x = network()
    norm = torch.nn.BatchNorm1d(30, dtype=torch.float64)
    pieces: list[Piece] = [lambda z: torch.relu(norm(z)), torch.relu, torch.relu]
    scaled = lsuv_scale(weights, x, after=pieces)
    first = x @ scaled[0].T
    hidden = torch.relu((first - first.mean(0)) / torch.sqrt(first.var(0, correction=0) + 1e-5))
    assert (hidden @ scaled[1].T).numpy().var() == pytest.approx(1, abs=0.02)
    assert not any(weight.requires_grad for weight in scaled)


def test_a_network_without_hidden_layers() -> None:
    weights, x = network()
    (scaled,) = lsuv_scale(weights[:1], x, after=[])
    assert (x @ scaled.T).numpy().var() == pytest.approx(1, abs=0.02)


def test_a_dead_layer_stays_as_it_is() -> None:
    weights, x = network()
    weights[1] = -weights[1].abs()  # After ReLU its output is negative: layer 3 reads zeros.
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3)
    assert not torch.equal(scaled[1], weights[1])
    assert torch.equal(scaled[2], weights[2])
    assert torch.equal(scaled[3], weights[3])


def test_rounding_errors_are_not_blown_up() -> None:
    weight = torch.full((3, 7), 0.1, dtype=torch.float64)
    weight[1] *= 1 + 2e-16
    x = torch.full((5, 7), 1 / 3, dtype=torch.float64)
    (scaled,) = lsuv_scale([weight], x, after=[])
    assert torch.equal(scaled, weight)


def test_what_is_not_finite_stays_as_it_is() -> None:
    weights, x = network()
    x[0, 0] = math.nan
    scaled = lsuv_scale(weights, x, after=[torch.relu] * 3)
    assert all(torch.equal(a, b) for a, b in zip(scaled, weights, strict=True))


@pytest.mark.parametrize("gain", [0.0, -1.0, math.inf, math.nan])
def test_gains_that_are_refused(gain: float) -> None:
    weights, x = network()
    with pytest.raises(ValueError, match="gain is"):
        lsuv_scale(weights, x, after=[torch.relu] * 3, gain=gain)


def test_pieces_and_biases_have_to_fit() -> None:
    weights, x = network()
    with pytest.raises(ValueError, match="4 layers cannot have 4 pieces"):
        lsuv_scale(weights, x, after=[torch.relu] * 4)
    with pytest.raises(ValueError, match="4 layers cannot have 1 biases"):
        lsuv_scale(weights, x, after=[torch.relu] * 3, biases=[None])
