"""What a metric is; they are in `bninit.analysis.metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bninit.analysis.readings import Measured

if TYPE_CHECKING:
    from bninit.config import Config


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a run.

    Attributes:
        name: In claims and tables.
        title: For people; ``{target}`` stands for the target.
        unit: Of the printed number; empty for a bare number.
        value: From a run and a target to the figure; NaN where the run has none: it diverged, or
            never reached the target.
        better: The end that is better, or None.
        needs_target: Whether it takes a target accuracy.
        censored: Whether NaN means "not within the epochs that were trained".
        clock: Whether it is wall-clock time. Networks of one stack share its clock, so their
            times are one measurement and not several.
        scale: Factor from the value to the printed number.
        num_decimals: Decimals of the printed number.
        resolution: From a config to the step in which the figure is recorded; 0 if continuous.
        probes: The group of probes that it is read from; None for what every run keeps.
    """

    name: str
    title: str
    unit: str
    value: Callable[[Measured, float], float]
    better: Literal["low", "high"] | None
    needs_target: bool = False
    censored: bool = False
    clock: bool = False
    scale: float = 1.0
    num_decimals: int = 3
    resolution: Callable[[Config], float] = lambda _config: 0.0
    probes: str | None = None

    @property
    def worse(self) -> Literal["low", "high"] | None:
        """The end at which a diverged run ranks."""
        return {"low": "high", "high": "low"}.get(self.better or "")  # type: ignore[return-value]
