"""What a config is read from: plain values, and the place that each of them came from.

A `Source` is made from a YAML file (`bninit.config.yaml_source`), from Python values
(`from_values`) or from another source with options laid over it (`bninit.config.overrides`).
"""

from __future__ import annotations

import numbers
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bninit.errors import ConfigError, Problem

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""The values that a config is made of, whatever it was read from."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the root down to a value."""

MAX_DEPTH = 50
"""Deepest nesting of lists and mappings that is read."""

MAX_NODES = 100_000
"""Most values that are read from one source, those that aliases repeat included."""

MAX_KEY_LENGTH = 120
"""Longer dotted paths are cut in messages."""

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


def dotted(path: Path) -> str:
    """Return a path as it is written after ``--set``, list indices in brackets.

    Characters that a terminal would not print are escaped, and long keys are cut.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.isprintable() and 0 < len(part) <= 80 else shown_value(part)
            text += f".{shown}" if text else shown
    return text if len(text) <= MAX_KEY_LENGTH else f"{text[: MAX_KEY_LENGTH - 3]}..."


def shown_value(value: object) -> str:
    """Return a value as messages show it: on one line, escaped, and not too long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    short = reprlib.Repr()
    short.maxstring = 80
    short.maxlist = short.maxdict = 6
    short.maxother = 80
    return short.repr(value)


def path_in(value: Plain, path: Path) -> Path:
    """Return the longest beginning of a path that exists in a value."""
    for length, part in enumerate(path):
        is_key = isinstance(value, dict) and part in value
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if not (is_key or is_index):
            return path[:length]
        value = value[part]  # type: ignore[index]
    return path


def from_values(values: object, *, name: str = "config") -> Source:
    """Make a source of Python values, such as a dict written in a notebook.

    Args:
        values: Mappings, sequences, ranges, numbers (numpy's too), text, booleans and None.
        name: What error messages call it.

    Raises:
        ConfigError: Another type, a key that is not text, or values nested without end.
    """
    reader = _ValueReader(name)
    value = reader.read(values, ())
    if reader.problems:
        raise ConfigError(reader.problems)
    return Source(name, value)


class _ValueReader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._num_nodes = 0
        self.problems: list[Problem] = []

    def read(self, value: object, path: Path) -> Plain:
        self._num_nodes += 1
        if self._num_nodes > MAX_NODES or len(path) > MAX_DEPTH:
            what = f"more than {MAX_NODES} values, or nested deeper than {MAX_DEPTH}"
            raise ConfigError([Problem(self._name, dotted(path), what)])
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(str(value), path)
        if isinstance(value, numbers.Integral):
            if abs(value) < 10**MAX_DIGITS:
                return int(value)
            self._fault(path, f"a number of more than {MAX_DIGITS} digits")
            return None
        if isinstance(value, numbers.Real):
            return float(value)
        if isinstance(value, Mapping):
            return {
                self._key(key, path): self.read(item, (*path, str(key)))
                for key, item in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            return [self.read(item, (*path, index)) for index, item in enumerate(value)]
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return self.read(value.tolist(), path)
        self._fault(path, f"a value of type {type(value).__name__} cannot stand in a config")
        return None

    def _key(self, key: object, path: Path) -> str:
        if not isinstance(key, str):
            self._fault(path, f"the key {shown_value(key)} is not text")
            return ""
        self._text(key, path)
        return str(key)

    def _text(self, text: str, path: Path) -> str:
        if not is_encodable(text):
            self._fault(path, f"{shown_value(text)} is not valid Unicode text")
        return text

    def _fault(self, path: Path, what: str) -> None:
        self.problems.append(Problem(self._name, dotted(path), what))


def is_encodable(text: str) -> bool:
    """Tell whether text can be written as UTF-8 (half of a surrogate pair cannot)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
