"""Named random streams: one seed gives each purpose a stream of its own.

A stream is derived from its name and never drawn in turn, so that runs with the same seed start
from the same raw draws and see the same batches whatever else differs between them. Seed 0 is a
seed like any other. All draws are on the CPU, also when the training is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch


def generator(seed: int, name: str) -> torch.Generator:
    """Open the stream of a name at its beginning.

    The stream is seeded with the first eight bytes, big-endian, of the SHA-256 of "seed/name".
    torch's CPU generator keeps the low 32 bits of it, so that among N streams about
    N^2 / 2^33 pairs coincide.

    Args:
        seed: Any integer.
        name: What the stream is for; see the functions below.

    Returns:
        A new generator on the CPU.
    """
    digest = hashlib.sha256(f"{seed:d}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def weight_stream(layer: int, family: str) -> str:
    """Name the stream of a layer's weights."""
    return f"weight/{layer}/{family}"


def bias_stream(layer: int, family: str) -> str:
    """Name the stream of a layer's biases; arguments as `weight_stream`."""
    return f"bias/{layer}/{family}"


def batch_stream(epoch: int) -> str:
    """Name the stream of the order of the examples in an epoch, the first being 1."""
    return f"batch/{epoch}"


def direction_stream(direction: int, layer: int) -> str:
    """Name the stream of a layer's part of a random direction."""
    return f"direction/{direction}/{layer}"


def weight_draws(seed: int, layer: int) -> Callable[[str, tuple[int, ...]], torch.Tensor]:
    """Make the source of a layer's raw draws, as `bninit.nets.start.draw_weight` wants it.

    Args:
        seed: Any integer.
        layer: As in `weight_stream`.

    Returns:
        A function from "normal" or "uniform" and a shape to float64 draws from N(0, 1) or from
        [0, 1). It starts its stream anew at each call.
    """
    return lambda family, shape: _raw(seed, weight_stream(layer, family), family, shape)


def bias_draws(seed: int, layer: int) -> Callable[[str, tuple[int, ...]], torch.Tensor]:
    """Make the source of a layer's raw draws for its biases; as `weight_draws`."""
    return lambda family, shape: _raw(seed, bias_stream(layer, family), family, shape)


def direction_draws(seed: int, direction: int) -> Callable[[int, tuple[int, ...]], torch.Tensor]:
    """Make the source of a random direction, as `bninit.verbs.landscape.evaluate` wants it.

    Args:
        seed: Any integer.
        direction: As in `direction_stream`.

    Returns:
        A function from a layer and a shape to float64 draws from N(0, 1), equal at each call.
    """
    return lambda layer, shape: _raw(seed, direction_stream(direction, layer), "normal", shape)


def _raw(seed: int, name: str, family: str, shape: tuple[int, ...]) -> torch.Tensor:
    stream = generator(seed, name)
    match family:
        case "normal":
            return torch.randn(shape, generator=stream, dtype=torch.float64)
        case "uniform":
            return torch.rand(shape, generator=stream, dtype=torch.float64)
    raise ValueError(f"unknown family of draws {family!r}; there are normal and uniform")
