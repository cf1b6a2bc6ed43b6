"""An activation and its slope as functions of numpy arrays, made of the passes that networks use.

So there is one definition of each activation, and a new one is known here at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bninit.nets.activations import ACTIVATIONS

Floats = npt.NDArray[np.float64]

_NEAR = 1e-9


@dataclass(frozen=True)
class Function:
    """A function of one real variable.

    Attributes:
        value: Elementwise, float64 arrays of any shape.
        slope: Its derivative, likewise.
        slopes: (left, right) where the function is linear on both sides of 0 and 0 there.
        jump: How much larger the slope is right of 0 than left of it; 0 without a kink.
    """

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    slopes: tuple[float, float] | None
    jump: float


@cache
def function_of(activation: str) -> Function:
    """An activation as a function of numpy arrays; imports torch.

    Args:
        activation: A key of `bninit.nets.activations.ACTIVATIONS`.
    """
    import torch

    forward, backward = ACTIVATIONS[activation].passes()

    def value(u: Floats) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(u))
        out = torch.empty_like(x)
        forward(x, out=out)
        found: Floats = out.numpy()
        return found

    def slope(u: Floats) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(u))
        y, out = torch.empty_like(x), torch.empty_like(x)
        forward(x, out=y)
        backward(torch.ones_like(x), x=x, y=y, out=out)
        found: Floats = out.numpy()
        return found

    near = slope(np.array([-_NEAR, _NEAR]))
    jump = float(near[1] - near[0])
    return Function(value, slope, _slopes(value), jump if abs(jump) > 1e3 * _NEAR else 0.0)


def _slopes(value: Callable[[Floats], Floats]) -> tuple[float, float] | None:
    """Both slopes of a function that consists of two rays from the origin, else None."""
    reach = np.logspace(-4, 4, 33)
    left, right = value(-reach) / -reach, value(reach) / reach
    bent = np.ptp(left) > 1e-12 or np.ptp(right) > 1e-12 or value(np.zeros(1))[0] != 0
    return None if bent else (float(left[0]) + 0.0, float(right[0]) + 0.0)
