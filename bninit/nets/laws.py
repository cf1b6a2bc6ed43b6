"""What the laws of `bninit.nets.initialisers` say of one layer, in numbers. Nothing is drawn.

Importable without torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from bninit.nets.initialisers import ALIASES, BIAS_SCHEMES, SCHEMES, Layer, Parameters, Scheme

TRUNCATION = 2.0
"""Where a truncated normal is cut, in standard deviations of the normal that is cut."""

TRUNCATED_SD = 0.87962566103423978
"""Standard deviation of N(0, 1) cut at 2: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)), as in Keras, JAX."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """The law of one weight, or of one bias, of a layer.

    Attributes:
        text: The law with the layer's numbers in it: ``N(0, 2 / 784)``.
        mean: Its mean.
        sd: Its standard deviation; for `lsuv` that of the orthogonal start.
        limit: Largest absolute value; None where there is none.
        scaled_by_data: Whether the weights are scaled on training images afterwards.
    """

    text: str
    mean: float
    sd: float
    limit: float | None
    scaled_by_data: bool = False


def weight_law(scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]) -> Law:
    """The law of a layer's weights.

    Args:
        scheme: A key of `SCHEMES`.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        **parameters: What the scheme takes of `Parameters`.

    Raises:
        ValueError: As `bninit.nets.draws.draw_weight`.
    """
    return _law(*layer_law(SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters))


def bias_law(scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]) -> Law:
    """The law of a layer's biases; ``scheme`` is a key of `BIAS_SCHEMES`, else as `weight_law`."""
    return _law(*layer_law(BIAS_SCHEMES, scheme, fan_in=fan_in, fan_out=fan_out, **parameters))


def weight_sd(scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]) -> float:
    """The standard deviation of one weight; see `Law` and `weight_law`.

    A limit l gives l / sqrt(3). Truncated laws keep the standard deviation of the uncut ones. An
    entry of an orthogonal matrix has variance gain^2 / max(fan_in, fan_out), because its
    shorter side consists of unit vectors of the longer one.
    """
    return weight_law(scheme, fan_in=fan_in, fan_out=fan_out, **parameters).sd


def weight_limit(
    scheme: str, *, fan_in: int, fan_out: int, **parameters: Unpack[Parameters]
) -> float | None:
    """The largest absolute value of a weight; None for an uncut normal; see `weight_law`."""
    return weight_law(scheme, fan_in=fan_in, fan_out=fan_out, **parameters).limit


def layer_law(
    table: Mapping[str, Scheme],
    scheme: str,
    *,
    fan_in: int,
    fan_out: int,
    **parameters: Unpack[Parameters],
) -> tuple[Scheme, Layer]:
    """Look a scheme up and check what it was given against what it takes.

    Args:
        table: `SCHEMES` or `BIAS_SCHEMES`.
        scheme: A key of it.
        fan_in: Units that the layer reads.
        fan_out: Units of the layer.
        **parameters: What the scheme takes of `Parameters`.

    Raises:
        ValueError: The scheme is unknown, a parameter is missing, is not one of the scheme's, or
            is out of range.
    """
    if scheme not in table:
        of = f" (another name of {ALIASES[scheme][0]})" if scheme in ALIASES else ""
        raise ValueError(f"unknown scheme {scheme!r}{of}; there are {', '.join(table)}")
    row = table[scheme]
    layer = Layer(fan_in=fan_in, fan_out=fan_out, **parameters)
    if min(fan_in, fan_out) < 1:
        raise ValueError(f"fan_in {fan_in} and fan_out {fan_out} must be at least 1")
    left_out = Layer(fan_in=fan_in, fan_out=fan_out)
    for name in ("gain", "std", "limit", "value", "truncated"):
        setting = getattr(layer, name)
        if name in row.needs and setting is None:
            raise ValueError(f"scheme {scheme} needs {name}")
        if name not in row.takes and setting != getattr(left_out, name):
            raise ValueError(f"scheme {scheme} takes no {name}, and got {setting}")
    for name in ("gain", "std", "limit"):
        setting = getattr(layer, name)
        if setting is not None and not 0 <= setting < math.inf:
            raise ValueError(f"{name} is {setting}, and must be finite and not negative")
    return row, layer


def law_size(row: Scheme, layer: Layer) -> float:
    """The size of the law, gain included: a value, a standard deviation, a limit or a factor."""
    return layer.gain * row.size(layer)


def _law(row: Scheme, layer: Layer) -> Law:
    size = law_size(row, layer)
    mean, sd, limit = 0.0, size, None
    match row.family:
        case "none":
            mean, sd, limit = size, 0.0, abs(size)
        case "normal":
            limit = size * TRUNCATION / TRUNCATED_SD if layer.truncated else None
        case "uniform":
            sd, limit = size / math.sqrt(3), size
        case _:
            sd, limit = size / math.sqrt(max(layer.fan_in, layer.fan_out)), size
    return Law(
        text=_written_out(row, layer),
        mean=mean,
        sd=sd,
        limit=limit,
        scaled_by_data=row.name == "lsuv",
    )


def _written_out(row: Scheme, layer: Layer) -> str:
    """The line of the scheme's law with numbers for its names: ``N(0, 2 / 784)``."""
    said = row.law
    if layer.gain == 1:
        said = re.sub(r"\bgain(\^2)? \* ", "", said)
        said = re.sub(r"\bgain(\^2)?(?!\w)", "1", said)
    longer = "rows" if layer.fan_out <= layer.fan_in else "columns"
    said = re.sub(r"rows \(fan_out <= fan_in\) or columns", longer, said)
    numbers = {"fan_in": layer.fan_in, "fan_out": layer.fan_out, "gain": layer.gain}
    for name in row.needs:
        numbers[name] = getattr(layer, name)
    for name, number in numbers.items():
        said = re.sub(rf"\b{name}\b", f"{number:.6g}", said)
    return said
