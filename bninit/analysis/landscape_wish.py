"""What is asked of a landscape, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bninit.analysis.landscapes import KINDS
from bninit.errors import UserError

_FINEST = 201
_MOST_DIRECTIONS = 100
_FEWEST_EXAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class LandscapeWish:
    """How closely to look.

    Attributes:
        kinds: Some of `KINDS`.
        steps: Steps of the training to measure along their gradients.
        lengths: Step lengths, rising, the same for all runs; None for 1/2 to 4 times each run's
            own learning rate.
        resolution: Points of a line, and along each side of a plane; odd, so that the network
            itself is the one in the middle.
        directions: Random directions of lines.
        extent: How far lines and planes go, in filter norms.
        examples: Training examples on which slices are computed, the first ones of the set.
        statistics: ``batch`` or ``running``; see `bninit.nets.slices.slice_losses`.
    """

    kinds: tuple[str, ...] = KINDS
    steps: int = 30
    lengths: tuple[float, ...] | None = None
    resolution: int = 21
    directions: int = 5
    extent: float = 1.0
    examples: int = 500
    statistics: str = "batch"

    def check(self) -> None:
        """Makes sure that it can be fulfilled.

        Raises:
            UserError: It cannot.
        """
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            what = f"{unknown[0]!r} is no kind of landscape" if unknown else "no kind is named"
            raise UserError(what, where="--kind", hint=f"allowed: {', '.join(KINDS)}")
        if self.resolution % 2 == 0 or not 3 <= self.resolution <= _FINEST:
            raise UserError(
                f"{self.resolution} points have no good middle",
                where="--resolution",
                hint=f"an odd number from 3 to {_FINEST}: the one in the middle is the network",
            )
        if self.statistics not in ("batch", "running"):
            raise UserError(
                f"{self.statistics!r} is neither",
                where="--statistics",
                hint="allowed: batch, running",
            )
        for option, value, low, high in (
            ("--steps", self.steps, 1, None),
            ("--directions", self.directions, 1, _MOST_DIRECTIONS),
            ("--examples", self.examples, _FEWEST_EXAMPLES, None),
        ):
            if value < low or (high is not None and value > high):
                hint = f"{low} or more" if high is None else f"{low} to {high}"
                raise UserError(f"{value} is out of range", where=option, hint=hint)
        if not 0 < self.extent <= 100:
            hint = "above 0 and up to 100 filter norms"
            raise UserError(f"{self.extent:g} is out of range", where="--extent", hint=hint)
        lengths = self.lengths
        if lengths is not None and not (
            lengths
            and all(0 < length < float("inf") for length in lengths)
            and list(lengths) == sorted(set(lengths))
        ):
            raise UserError(
                f"{', '.join(f'{length:g}' for length in lengths) or 'nothing'} is no list of "
                "step lengths",
                where="--lengths",
                hint="rising numbers above 0, as in 0.05,0.1,0.2,0.4",
            )

    def settings(self) -> dict[str, Any]:
        """What was wished for, by name, in plain values."""
        return {
            "kinds": list(self.kinds),
            "steps": self.steps,
            "lengths": None if self.lengths is None else list(self.lengths),
            "resolution": self.resolution,
            "directions": self.directions,
            "extent": self.extent,
            "examples": self.examples,
            "statistics": self.statistics,
        }
