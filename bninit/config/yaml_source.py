"""Building plain values from YAML events, with the place of each, within fixed bounds.

Plain scalars follow the core schema of YAML 1.2 (section 10.3.2 of its specification): ``1e-3``
is a number, and ``no``, ``on`` and ``1:30`` are text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

import yaml

from bninit.errors import ConfigError, Problem
from bninit.fields import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    Path,
    Place,
    Plain,
    Source,
    dotted,
    is_encodable,
    nearest,
    shown_value,
)

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INF_OR_NAN = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_scalar(text: str) -> Plain:
    """Return what an unquoted scalar means in the core schema of YAML 1.2.

    Raises:
        ValueError: A whole number of more than `MAX_DIGITS` digits.
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a number of {len(text)} digits")
        # int() would read a leading zero before 8 or 9 as a fault with base 0.
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF_OR_NAN.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


@dataclass
class _Frame:
    """A list or mapping that is being read."""

    value: list[Plain] | dict[str, Plain]
    path: Path
    anchor: str | None
    num_nodes_before: int
    kept: bool
    key: str | None = None
    key_kept: bool = True
    height: int = 0


@dataclass(frozen=True)
class _Anchored:
    value: Plain
    num_nodes: int
    height: int


class EventReader:
    """Builds values from YAML events, with a stack of its own in place of recursion.

    Args:
        place: What the text came from; its lines are counted unless it is an option.

    Attributes:
        root: The value of the document.
        keys: The place of the key (or list item) at each path.
        values: The place of the value at each path.
        problems: Faults that did not stop the reading, with their places.
        unread: The paths whose values could not be read for that.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._num_nodes = 0
        self._num_documents = 0
        self.root: Plain = None
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.problems: list[tuple[Place, Problem]] = []
        self.unread: set[Path] = set()

    def place(self, line: int, column: int) -> Place:
        """Return a place in the text; an option is one place as a whole."""
        if self._place.is_option:
            return self._place
        return Place(self._place.name, line, column)

    def read(self, events: Iterator[yaml.Event]) -> None:
        """Read the events of one document.

        Raises:
            ConfigError: Several documents, a bound exceeded, an alias without its anchor, or a
                key that is not a scalar.
        """
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._num_documents += 1
                if self._num_documents > 1:
                    self._stop(event, "a second document starts here", "keep one, without ---")
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._start(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._end()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._count(1, event)
        text: str = event.value
        if not is_encodable(text):
            self._fault(event, f"{shown_value(text)} is not valid Unicode text")
            text = text.encode(errors="replace").decode()
        if self._awaits_key():
            self._refuse_tag(event)
            self._set_key(text, event)
            return
        value: Plain = text
        if not self._refuse_tag(event) and event.implicit[0]:
            try:
                value = plain_scalar(text)
            except ValueError as error:
                self._fault(event, f"{error} is more than any key takes")
                value = None
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(value, 1, 0)
        self._add(value, event, height=0)

    def _alias(self, event: yaml.AliasEvent) -> None:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            name = shown_value(event.anchor)
            self._stop(
                event, f"nothing is anchored as {name} before", "quote text that starts with *"
            )
            return
        if self._awaits_key():
            self._stop(event, "an alias cannot be a key")
        self._count(anchored.num_nodes, event)
        if len(self._frames) + anchored.height > MAX_DEPTH:
            self._stop(event, f"values are nested deeper than {MAX_DEPTH}")
        self._add(_copy(anchored.value), event, height=anchored.height)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        if self._awaits_key():
            self._stop(event, "a list or mapping cannot be a key")
        if len(self._frames) >= MAX_DEPTH:
            self._stop(event, f"values are nested deeper than {MAX_DEPTH}")
        self._refuse_tag(event)
        before = self._num_nodes
        self._count(1, event)
        value: list[Plain] | dict[str, Plain] = (
            {} if isinstance(event, yaml.MappingStartEvent) else []
        )
        path, kept = self._here()
        self._add(value, event, height=0)
        self._frames.append(_Frame(value, path, event.anchor, before, kept))

    def _end(self) -> None:
        frame = self._frames.pop()
        height = frame.height + 1
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, height)
        if frame.anchor:
            num_nodes = self._num_nodes - frame.num_nodes_before
            self._anchors[frame.anchor] = _Anchored(frame.value, num_nodes, height)

    def _add(self, value: Plain, event: yaml.Event, *, height: int) -> None:
        path, kept = self._here()
        if kept:
            place = self._place_of(event)
            self.values[path] = place
            if path and isinstance(path[-1], int):
                self.keys[path] = place
        if not self._frames:
            self.root = value
            return
        frame = self._frames[-1]
        frame.height = max(frame.height, height)
        if isinstance(frame.value, list):
            frame.value.append(value)
            return
        if frame.key_kept and frame.key is not None:
            frame.value[frame.key] = value
        frame.key = None

    def _set_key(self, key: str, event: yaml.Event) -> None:
        frame = self._frames[-1]
        path = (*frame.path, key)
        frame.key, frame.key_kept = key, frame.kept
        if not isinstance(frame.value, dict) or not frame.kept:
            return
        if key in frame.value:
            first = self.keys[path]
            earlier = "" if first.line is None else f", first on line {first.line}"
            self._fault(
                event, f"the key is given twice{earlier}", path=path, hint="keep one of them"
            )
            frame.key_kept = False
        else:
            self.keys[path] = self._place_of(event)

    def _awaits_key(self) -> bool:
        return bool(self._frames) and (
            isinstance(self._frames[-1].value, dict) and self._frames[-1].key is None
        )

    def _here(self) -> tuple[Path, bool]:
        """Return the path of the value that comes next, and whether it is kept."""
        if not self._frames:
            return (), True
        frame = self._frames[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value)), frame.kept
        if frame.key is None:
            return frame.path, frame.kept
        return (*frame.path, frame.key), frame.kept and frame.key_kept

    def _count(self, num_nodes: int, event: yaml.Event) -> None:
        self._num_nodes += num_nodes
        if self._num_nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values, those that aliases repeat included")

    def _refuse_tag(self, event: yaml.NodeEvent) -> bool:
        tag: str | None = getattr(event, "tag", None)
        if tag is None:
            return False
        hint = "leave it out; quotes make text of anything, and no objects are made"
        self._fault(event, f"the tag {shown_value(tag)} is not read", hint=hint)
        return True

    def _place_of(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return self.place(mark.line + 1, mark.column + 1) if mark else self._place

    def _fault(
        self, event: yaml.Event, what: str, *, hint: str | None = None, path: Path | None = None
    ) -> None:
        if path is None:
            path = self._here()[0]
            self.unread.add(path)
        place = self._place_of(event)
        self.problems.append((place, Problem(str(place), dotted(path), what, hint)))

    def _stop(self, event: yaml.Event, what: str, hint: str | None = None) -> None:
        self._fault(event, what, hint=hint)
        raise ConfigError([problem for _, problem in self.problems])


def _copy(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


MAX_BYTES = 1_000_000
"""Largest file that is read."""

_SUFFIXES = frozenset({".yaml", ".yml"})
_SYNTAX_HINTS = (
    ("mapping values are not allowed", "check the indentation; text with ': ' in it needs quotes"),
    ("could not find expected ':'", "a key is followed by a colon and a space, as in `lr: 0.1`"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("expected <block end>", "keys of one section start in the same column"),
    ("found undefined alias", "text that starts with * needs quotes"),
    ("cannot start any token", "text that starts with such a character needs quotes"),
    ("while scanning a quoted scalar", "a quote is not closed"),
)


def read_yaml(path: str | os.PathLike[str]) -> Source:
    """Read a YAML file.

    Args:
        path: The file; error messages name it as given here.

    Raises:
        ConfigError: No such file, not readable, not text, too large, or not YAML.
    """
    name = os.fspath(path)
    data = _read_bytes(name)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _fatal(name, "the file is saved as UTF-16", "save it as UTF-8")
    if b"\0" in data:
        raise _fatal(name, "this is not a text file", "a config is a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fatal(f"{name}:{line}", "the file is not UTF-8 text", "save it as UTF-8") from None
    return parse_yaml(text, place=Place(name))


def parse_yaml(text: str, *, place: Place) -> Source:
    """Parse one YAML document.

    Args:
        text: The document; an empty one is None.
        place: What the text came from; its lines are counted unless it is an option.

    Returns:
        The values. Faults that do not stop the reading (a key given twice, a tag, a number with
        too many digits) are in its ``problems``.

    Raises:
        ConfigError: The text is not YAML, holds several documents, or unfolds to too much.
    """
    reader = EventReader(place)
    try:
        reader.read(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        where = reader.place(line, 1)
        what = f"the character {shown_value(text[error.position])} cannot stand in YAML"
        raise ConfigError([*_problems(reader), Problem(str(where), "", what)]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([*_problems(reader), _syntax_problem(error, text, reader)]) from None
    except (ValueError, OverflowError) as error:
        # A \U escape beyond Unicode, or a %YAML directive with endless digits.
        raise ConfigError([Problem(str(place), "", f"this is not YAML: {error}")]) from None
    return Source(
        place.name,
        reader.root,
        reader.keys,
        reader.values,
        tuple(reader.problems),
        frozenset(reader.unread),
    )


def _problems(reader: EventReader) -> list[Problem]:
    return [problem for _, problem in reader.problems]


def _read_bytes(name: str) -> bytes:
    try:
        with FilePath(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _fatal(name, "there is no such file", _sibling_hint(name)) from None
    except IsADirectoryError:
        raise _fatal(name, "this is a folder, not a file", "name a YAML file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _fatal(shown_value(name), f"the file cannot be read: {reason}", None) from None
    if len(data) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES} bytes"
        raise _fatal(name, what, "a config is a short YAML file")
    return data


def _sibling_hint(name: str) -> str | None:
    path = FilePath(name)
    try:
        siblings = {
            file.stem: file.name for file in path.parent.iterdir() if file.suffix in _SUFFIXES
        }
    except OSError:
        return f"there is no folder {shown_value(str(path.parent))} either"
    found = nearest(path.stem, siblings)
    return f"did you mean {path.parent / siblings[found]}?" if found else None


def _fatal(where: str, what: str, hint: str | None) -> ConfigError:
    return ConfigError([Problem(where, "", what, hint)])


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, reader: EventReader) -> Problem:
    mark = error.problem_mark or error.context_mark
    line_number = mark.line if mark else 0
    where = str(reader.place(line_number + 1, 1))
    lines = text.split("\n")
    line = lines[line_number] if line_number < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or "'\\t'" in (error.problem or ""):
        return Problem(where, "", "a tab stands where YAML wants spaces", "use spaces in its place")
    what = f"this is not YAML: {error.problem or error.context}"
    if error.context and error.problem and error.context_mark:
        what += f" ({error.context}, line {error.context_mark.line + 1})"
    said = f"{error.problem} {error.context}"
    hint = next((hint for sign, hint in _SYNTAX_HINTS if sign in said), None)
    return Problem(where, "", what, hint)
