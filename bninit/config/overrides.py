"""Options that win over a config file: ``--set KEY=VALUE`` and ``--seeds``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bninit.config.source import Place, Source
from bninit.config.yaml_source import parse_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, dotted, path_in, shown_value, value_at
from bninit.training.settings import MAX_SEED, MAX_SEEDS


@dataclass(frozen=True)
class Override:
    """A value that takes the place of the file's.

    Attributes:
        key: Dotted path, as in ``train.epochs``.
        value: A plain value; None stands for the default.
        option: The option as the user gave it, for messages.
    """

    key: str
    value: Plain
    option: str


def parse_override(text: str) -> Override:
    """Parse what stands after ``--set``.

    Args:
        text: ``key=value``; the value follows the rules of YAML, and an empty one is null.

    Raises:
        ConfigError: No equals sign, an empty key, or a value that is not YAML.
    """
    option = _shown_option("--set", text)
    key, sign, value_text = text.partition("=")
    key = key.strip()
    if not sign or not all(key.split(".")):
        hint = "as in --set model.norm.placement=post"
        raise ConfigError([Problem(option, "", "this is not KEY=VALUE", hint)])
    source = parse_yaml(value_text, place=Place(option, is_option=True))
    if source.problems:
        raise ConfigError([problem for _, problem in source.problems])
    return Override(key, source.value, option)


def apply_overrides(source: Source, overrides: Sequence[str | Override]) -> Source:
    """Lay options over a source; later ones win.

    Args:
        source: What the file says; its root should be a mapping.
        overrides: Options, as text after ``--set`` or parsed.

    Raises:
        ConfigError: An option that cannot be read, or one for a key below a value that is not a
            mapping. All such options at once.
    """
    problems: list[Problem] = []
    for override in overrides:
        try:
            parsed = parse_override(override) if isinstance(override, str) else override
            source = _lay_over(source, parsed)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return source


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse what stands after ``--seeds``: a count, a list or a range.

    Args:
        text: ``5`` (the seeds 0 to 4), ``0,3,7`` or ``0-4`` (both ends included); ``7,`` is the
            one seed 7. Lists and ranges mix: ``0-4,9``.

    Raises:
        ConfigError: Anything else, a seed twice, or seeds out of range.
    """

    def problem(what: str) -> ConfigError:
        where = _shown_option("--seeds", text)
        return ConfigError([Problem(where, "", what, "as in 5, or 0,3,7, or 0-4")])

    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not parts[-1]:
        parts.pop()
    seeds: list[int] = []
    for part in parts:
        match = re.fullmatch(r"([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?", part, re.ASCII)
        if match is None:
            raise problem(f"{shown_value(part)} is neither a seed nor a range of seeds")
        first, last = int(match[1]), int(match[2] or match[1])
        if "," not in text and match[2] is None:
            first, last = 0, first - 1
        if last < first or last > MAX_SEED or len(seeds) + last - first >= MAX_SEEDS:
            raise problem(f"allowed: 1 to {MAX_SEEDS} seeds from 0 to {MAX_SEED}")
        seeds.extend(range(first, last + 1))
    if len(set(seeds)) < len(seeds):
        raise problem("a seed is given twice")
    return tuple(seeds)


def _lay_over(source: Source, override: Override) -> Source:
    """Return a source with one value replaced, and missing sections above it made."""
    path: Path = tuple(override.key.split("."))
    parent = path_in(source.value, path[:-1])
    holder = value_at(source.value, parent)
    if holder is not None and not isinstance(holder, dict):
        what = f"{dotted(parent) or 'the file'} is {shown_value(holder)}, not a mapping"
        hint = f"give the whole of it: --set {dotted(parent)}=..." if parent else None
        raise ConfigError([Problem(override.option, override.key, what, hint)])
    place = Place(override.option, is_option=True)
    keys = {known: where for known, where in source.keys.items() if known[: len(path)] != path}
    values = {known: where for known, where in source.values.items() if known[: len(path)] != path}
    for length in range(len(parent) + 1, len(path) + 1):
        keys[path[:length]] = values[path[:length]] = place
    value = _with(source.value, path, override.value)
    return replace(source, value=value, keys=keys, values=values)


def _with(value: Plain, path: Path, new: Plain) -> Plain:
    """Return a copy of a mapping with the value at a path replaced."""
    if not path:
        return new
    held = value if isinstance(value, dict) else {}
    key = str(path[0])
    return {**held, key: _with(held.get(key), path[1:], new)}


def _shown_option(option: str, text: str) -> str:
    """Return an option with its value as messages show it."""
    shown = text if text.isprintable() else shown_value(text)
    return f"{option} {shown if len(shown) <= 120 else f'{shown[:117]}...'}"
