"""Plain values with the place of each, and how Python values become plain."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, dotted, shown_value

MAX_DEPTH = 50
"""Deepest nesting of lists and mappings that is read."""

MAX_NODES = 100_000
"""Most values that are read from one source, those that aliases repeat included."""

MAX_DIGITS = 100
"""Most digits of a whole number that is read."""


@dataclass(frozen=True)
class Place:
    """Where a key or a value stands.

    Attributes:
        name: The file as the user named it, or the option.
        line: Line in the file, from 1; None where there are no lines.
        column: Column in the line, from 1.
        is_option: True for a command-line option, which wins over the file.
    """

    name: str
    line: int | None = None
    column: int | None = None
    is_option: bool = False

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}"


@dataclass(frozen=True)
class Source:
    """Plain values with their places.

    Attributes:
        name: The file as the user named it, or what else the values came from.
        value: The values; the root is usually a mapping.
        keys: The place of the key (or list item) at each path, where known.
        values: The place of the value at each path, where known.
        problems: Faults found while reading that did not stop it, with their places.
        unread: The paths whose values could not be read for that, and must not be judged.
    """

    name: str
    value: Plain
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)
    problems: tuple[tuple[Place, Problem], ...] = ()
    unread: frozenset[Path] = frozenset()

    def place_of(self, path: Path, *, of_key: bool = False) -> Place:
        """Return where the value (or the key) at a path stands, or else its nearest parent's key.

        Args:
            path: The path of the value.
            of_key: Take the place of the key rather than that of its value.
        """
        if path in self.values and not of_key:
            return self.values[path]
        for length in range(len(path), 0, -1):
            if path[:length] in self.keys:
                return self.keys[path[:length]]
        return Place(self.name)


def is_encodable(text: str) -> bool:
    """Whether text can be written as UTF-8 (half of a surrogate pair cannot)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def from_values(values: object, *, name: str = "config") -> Source:
    """Make a source of Python values, such as a dict written in a notebook.

    Args:
        values: Mappings, sequences, ranges, numbers (NumPy's too), text, booleans and None.
        name: What error messages call it.

    Raises:
        ConfigError: Another type, a key that is not text, or values nested without end.
    """
    problems: list[Problem] = []
    num_nodes = 0

    def fault(path: Path, what: str) -> None:
        problems.append(Problem(name, dotted(path), what))

    def read(value: object, path: Path) -> Plain:
        nonlocal num_nodes
        num_nodes += 1
        if num_nodes > MAX_NODES or len(path) > MAX_DEPTH:
            what = f"more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}"
            raise ConfigError([Problem(name, dotted(path), what)])
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if not is_encodable(value):
                fault(path, f"{shown_value(value)} is not valid Unicode text")
            return str(value)
        if isinstance(value, numbers.Integral):
            if abs(value) >= 10**MAX_DIGITS:
                fault(path, f"a number of more than {MAX_DIGITS} digits")
            return int(value)
        if isinstance(value, numbers.Real):
            return float(value)
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    fault(path, f"the key {shown_value(key)} is not text")
                elif not is_encodable(key):
                    fault(path, f"{shown_value(key)} is not valid Unicode text")
            return {str(key): read(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            return [read(item, (*path, index)) for index, item in enumerate(value)]
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return read(value.tolist(), path)
        fault(path, f"a value of type {type(value).__name__} cannot stand in a config")
        return None

    value = read(values, ())
    if problems:
        raise ConfigError(problems)
    return Source(name, value)
