"""How numbers are written: percent, losses, times, counts, and what stands for "no number".

Everything is ASCII, so that logs and pipes of any encoding can hold it.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bninit.config import Config
    from bninit.stats import Spread

MISSING = "-"
"""Written where there is no number."""

_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Classes of characters that turn the direction of writing (Unicode standard annex 9)."""


def printable(words: str) -> str:
    """Text of another's making, with what would command a terminal written out instead.

    Control characters (escape sequences begin with one) and those that turn the direction of
    writing; line breaks stay.
    """
    return "".join(
        char if char == "\n" or not _commands(char) else char.encode("unicode_escape").decode()
        for char in words
    )


def _commands(char: str) -> bool:
    return unicodedata.category(char) == "Cc" or unicodedata.bidirectional(char) in _TURNING


def percent(fraction: float | None, *, num_digits: int = 2) -> str:
    """Write a fraction in [0, 1] as ``98.12 %``.

    What is below 1 is never rounded up to 100 %, nor what is above 0 down to 0 %: one error among
    ten thousand images shows.

    Args:
        fraction: None for no number.
        num_digits: Digits after the point.
    """
    bare = _bare_percent(fraction, num_digits=num_digits)
    return bare if bare == MISSING else f"{bare} %"


def percent_points(difference: float | None) -> str:
    """Write a difference of two fractions: ``+1.25 points`` (of percent)."""
    if difference is None or not math.isfinite(difference):
        return MISSING
    return f"{100 * difference:+.2f} points"


def target_percent(target: float) -> str:
    """Write a target as short as it is: ``97 %``, ``97.5 %``."""
    return f"{round(100 * target, 8):g} %"


def percent_with_sd(spread: Spread | None, *, extra: str = "") -> str:
    """Write mean and standard deviation: ``98.12 % (SD 0.08)``, with one digit less from SD 1 on.

    Args:
        spread: None for no number; a single value has no standard deviation.
        extra: Goes into the brackets too.
    """
    if spread is None:
        return MISSING
    num_digits = 2 if spread.sd is None or spread.sd < 0.01 else 1
    sd = "" if spread.sd is None else f"SD {100 * spread.sd:.{num_digits}f}"
    return percent(spread.mean, num_digits=num_digits) + _brackets(sd, extra)


def percent_with_range(spread: Spread | None, *, extra: str = "") -> str:
    """Write mean, lowest and highest: ``97.1 % (96.8 to 97.3)``."""
    if spread is None:
        return MISSING
    low, high = (_bare_percent(end, num_digits=1) for end in (spread.low, spread.high))
    between = f"{low} to {high}" if spread.n > 1 else ""
    return percent(spread.mean, num_digits=1) + _brackets(between, extra)


def loss(nats: float | None) -> str:
    """Write a loss in nats with about four figures: ``0.0812``, ``2.3026``, ``1.20e-05``."""
    if nats is None:
        return MISSING
    if not math.isfinite(nats):
        return str(nats)
    size = abs(nats)
    if size >= 10_000 or 0 < size < 0.001:
        return f"{nats:.2e}"
    return f"{nats:.4f}" if size < 10 else f"{nats:.2f}"


def loss_with_range(spread: Spread | None) -> str:
    """Write mean, lowest and highest: ``0.0812 (0.0790 to 0.0844)``."""
    if spread is None:
        return MISSING
    if spread.n == 1:
        return loss(spread.mean)
    return f"{loss(spread.mean)} ({loss(spread.low)} to {loss(spread.high)})"


def seconds(value: float | None) -> str:
    """Write a duration: ``0.031 s``, ``2.1 s``, ``42 s``, ``1 min 15 s``, ``2 h 5 min``."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 1:
        return f"{value:.2g} s"
    if round(value, 1) < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(value / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(value / 3600)
    return f"{hours // 24} d {hours % 24} h"


def count(value: float | None) -> str:
    """Write a count or the median of counts: ``1,234``, ``2.5``."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def number(value: float | None) -> str:
    """Write a number with three digits: ``0.0124``, ``12.3``, ``1.2e-05``."""
    if value is None or math.isnan(value):
        return MISSING
    return "infinite" if math.isinf(value) else f"{value:.3g}"


def of(part: int, whole: int) -> str:
    """Write a part of a whole: ``2 of 5``, ``all 5``, ``none of 5``."""
    if part == whole and whole > 1:
        return f"all {whole}"
    return f"{part or 'none'} of {whole}"


def diverged(part: int, whole: int) -> str:
    """Write how many runs diverged: ``2 of 5``, ``all 5``, ``none``."""
    return of(part, whole) if part else "none"


def plural(number: int, noun: str) -> str:
    """Write a number of things: ``1 seed``, ``1,000 seeds``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(num_bytes: int) -> str:
    """Write the size of a file: ``312 B``, ``1.1 MB``."""
    value = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def decimal(value: float, *, num_decimals: int) -> str:
    """Write a number with its decimals, of a thousand and more without: ``-0.25``, ``1,234``."""
    if not math.isfinite(value):
        return MISSING
    said = f"{value:,.{0 if abs(value) >= 1000 else num_decimals}f}"
    return said.removeprefix("-") if float(said.replace(",", "")) == 0 else said


def signed(value: float, *, num_decimals: int) -> str:
    """Write a number with its sign, but for zero: ``+0.25``."""
    said = decimal(value, num_decimals=num_decimals)
    return said if value <= 0 or float(said.replace(",", "")) == 0 else f"+{said}"


def ranges(seeds: Sequence[int]) -> str:
    """Write seeds as briefly as ``--seeds`` takes them: ``0-4, 9``."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def seeds(numbers: Sequence[int]) -> str:
    """Write which seeds they are: ``seed 3``, ``seeds 0-4, 9``."""
    return f"{'seed' if len(numbers) == 1 else 'seeds'} {ranges(numbers)}"


def join(items: Sequence[str]) -> str:
    """Write a list as a sentence has it: ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), *items[-1:]]) if len(items) > 1 else "".join(items)


PLACEMENTS = {
    "none": "no batch norm",
    "pre": "batch norm before the activation",
    "post": "batch norm after the activation",
}
"""Values of ``model.norm.placement``."""


def describe(config: Config) -> str:
    """Write a config in a line: ``bn-pre: 3 hidden layers of 256 relu units, ...``."""
    hidden = config.model.hidden
    layers = "no hidden layer"
    if hidden:
        low, high = min(hidden), max(hidden)
        units = str(low) if low == high else f"{low} to {high}"
        layers = f"{plural(len(hidden), 'hidden layer')} of {units} {config.model.activation} units"
    norm = PLACEMENTS[config.model.norm.placement]
    return f"{config.name}: {layers}, {norm}, {config.model.init.scheme}"


def setting(value: object) -> str:
    """Write a value of a config as its YAML reads: ``[256, 256]``, ``true``, ``null``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return f"[{', '.join(setting(each) for each in value)}]"
    return str(value)


def flow(items: Iterable[str], *, width: int, gap: str = "   ") -> list[str]:
    """Set items side by side in as few lines as the width allows, none of them cut."""
    lines: list[str] = []
    for item in filter(None, items):
        if lines and len(lines[-1]) + len(gap) + len(item) <= width:
            lines[-1] += gap + item
        else:
            lines.append(item)
    return lines


def _brackets(*parts: str) -> str:
    inner = ", ".join(filter(None, parts))
    return f" ({inner})" if inner else ""


def _bare_percent(fraction: float | None, *, num_digits: int) -> str:
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    step = 10.0**-num_digits
    shown = round(100 * fraction, num_digits)
    if fraction < 1:
        shown = min(shown, 100 - step)
    if fraction > 0:
        shown = max(shown, step)
    return f"{shown:.{num_digits}f}"
