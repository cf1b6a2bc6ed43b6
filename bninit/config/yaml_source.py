"""Read YAML into plain values with the place of each, within fixed bounds.

Plain scalars follow the core schema of YAML 1.2 (section 10.3.2 of its specification): ``1e-3``
is a number, and ``no``, ``on`` and ``1:30`` are text. Tags are refused, so no objects are made.
"""

from __future__ import annotations

import os
import re
from pathlib import Path as FilePath
from typing import Any, NoReturn, TypeAlias

import yaml

from bninit.config.source import MAX_DEPTH, MAX_DIGITS, MAX_NODES, Place, Source, is_encodable
from bninit.errors import ConfigError, Problem
from bninit.fields import Path, Plain, dotted, nearest, shown_value

MAX_BYTES = 1_000_000
"""Largest file that is read."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INF_OR_NAN = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def plain_scalar(text: str) -> Plain:
    """Return what an unquoted scalar means in the core schema of YAML 1.2."""
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


_TAG_HINT = "leave it out; quotes make text of anything, and no objects are made"


_Problems: TypeAlias = dict[tuple[yaml.Node, str], tuple[Place, Problem]]
"""Faults that do not stop the reading, by node and text, as aliases repeat nodes."""


class _Alias(yaml.Node):
    """Stands where an alias is written; its value is the anchored node."""

    id = "alias"


class _Reader(yaml.SafeLoader):
    """Composes nodes, then builds plain values of them with the place of each, within bounds.

    Args:
        text: The document.
        place: What the text came from.
        problems: Takes the faults that do not stop the reading.

    Attributes:
        keys: The place of the key (or list item) at each path.
        values: The place of the value at each path.
        unread: The paths whose values could not be read for that.
    """

    def __init__(self, text: str, place: Place, problems: _Problems) -> None:
        super().__init__(text)
        self._place = place
        self._path: list[str | int] = []
        self._num_nodes = 0
        self._anchored: dict[str, yaml.Node] = {}
        self._problems = problems
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.unread: set[Path] = set()

    def source(self) -> Source:
        """Return the values of the document."""
        root = self.get_single_node()
        self._num_nodes = 0  # and now those that aliases repeat as well
        value = None if root is None else self._build(root, ())
        problems, unread = tuple(self._problems.values()), frozenset(self.unread)
        return Source(self._place.name, value, self.keys, self.values, problems, unread)

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> str:
        """Return no tag, so that a node has one only where it is written."""
        return ""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        """Compose a key, or a value whose key or index is given, within the bounds."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if index is not None:
            self._path.append(index.value if isinstance(index, yaml.Node) else index)
        place, path = self._place_of(event), tuple(self._path)
        if is_key and not isinstance(event, yaml.ScalarEvent):
            kind = "an alias" if isinstance(event, yaml.AliasEvent) else "a list or mapping"
            self._stop(place, path, f"{kind} cannot be a key")
        self._count(place, path, is_holder=isinstance(event, yaml.CollectionStartEvent))
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                what = f"nothing is anchored as {shown_value(event.anchor)} before"
                self._stop(place, path, what, "quote text that starts with *")
            start: Any = self.get_event().start_mark  # type: ignore[no-untyped-call]
            node: Any = _Alias("", self._anchored[event.anchor], start, start)
        else:
            self.anchors.clear()  # for an anchor may be given again
            node = super().compose_node(parent, index)
            node.tag = event.tag or ""
            self._check(node, path)
            if event.anchor:
                self._anchored[event.anchor] = node
        if index is not None:
            self._path.pop()
        return node

    def _build(self, node: yaml.Node, path: Path, *, alias: Place | None = None) -> Plain:
        """Return the value of a node; what an alias repeats has the place of the alias."""
        place = self.values[path] = alias or self._place_of(node)
        if path and isinstance(path[-1], int):
            self.keys[path] = place
        if isinstance(node, _Alias):
            return self._build(node.value, path, alias=place)
        self._count(place, path, is_holder=isinstance(node, yaml.CollectionNode))
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, i), alias=alias) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            is_plain = not node.tag and node.style is None
            try:
                return plain_scalar(node.value) if is_plain else str(node.value)
            except ValueError as error:
                self._tell(node, path, f"{error} is more than any key takes")
                return None
        values: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            below = (*path, key_node.value)
            if key_node.value not in values:
                self.keys[below] = alias or self._place_of(key_node)
                values[key_node.value] = self._build(value_node, below, alias=alias)
                continue
            line = self.keys[below].line
            what = f"the key is given twice{'' if line is None else f', first on line {line}'}"
            self._tell(key_node, below, what, "keep one of them", unread=False)
        return values

    def _check(self, node: yaml.Node, path: Path) -> None:
        """Refuse a tag, and text that is not Unicode."""
        if node.tag:
            self._tell(node, path, f"the tag {shown_value(node.tag)} is not read", _TAG_HINT)
        if isinstance(node, yaml.ScalarNode) and not is_encodable(node.value):
            self._tell(node, path, f"{shown_value(node.value)} is not valid Unicode text")
            node.value = node.value.encode(errors="replace").decode()

    def _tell(
        self,
        node: yaml.Node,
        path: Path,
        what: str,
        hint: str | None = None,
        *,
        unread: bool = True,
    ) -> None:
        """Note a fault; a value that is unread for it must not be judged."""
        if unread:
            self.unread.add(path)
        place = self._place_of(node)
        problem = Problem(str(place), dotted(path), what, hint)
        self._problems.setdefault((node, what), (place, problem))

    def _count(self, place: Place, path: Path, *, is_holder: bool) -> None:
        self._num_nodes += 1
        if self._num_nodes > MAX_NODES:
            what = f"more than {MAX_NODES} values, those that aliases repeat included"
            self._stop(place, path, what)
        if is_holder and len(path) >= MAX_DEPTH:
            self._stop(place, path, f"values are nested deeper than {MAX_DEPTH}")

    def _stop(self, place: Place, path: Path, what: str, hint: str | None = None) -> NoReturn:
        raise _error(self._problems, Problem(str(place), dotted(path), what, hint))

    def _place_of(self, at: yaml.Event | yaml.Node) -> Place:
        mark: Any = at.start_mark
        return _place_in(self._place, line=mark.line, column=mark.column)


def _place_in(place: Place, *, line: int, column: int = 0) -> Place:
    """Return a place in a text, line and column from 0; an option is one place as a whole."""
    return place if place.is_option else Place(place.name, line + 1, column + 1)


def parse_yaml(text: str, *, place: Place) -> Source:
    """Parse one YAML document."""
    problems: _Problems = {}
    try:
        return _Reader(text, place, problems).source()
    except yaml.reader.ReaderError as error:
        where = _place_in(place, line=text.count("\n", 0, error.position))
        what = f"the character {shown_value(text[error.position])} cannot stand in YAML"
        raise _error(problems, Problem(str(where), "", what)) from None
    except yaml.MarkedYAMLError as error:
        raise _error(problems, _syntax_problem(error, text, place)) from None
    except (ValueError, OverflowError) as error:
        # A \U escape beyond Unicode, or a %YAML directive with endless digits.
        raise _error(problems, Problem(str(place), "", f"this is not YAML: {error}")) from None


def _error(problems: _Problems, last: Problem) -> ConfigError:
    return ConfigError([*(problem for _, problem in problems.values()), last])


_SYNTAX_HINTS = (
    ("mapping values are not allowed", "check the indentation; text with ': ' in it needs quotes"),
    ("could not find expected ':'", "a key is followed by a colon and a space, as in `lr: 0.1`"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("expected <block end>", "keys of one section start in the same column"),
    ("cannot start any token", "text that starts with such a character needs quotes"),
    ("while scanning a quoted scalar", "a quote is not closed"),
    ("found another document", "a second document starts here: keep one, without ---"),
)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, place: Place) -> Problem:
    mark = error.problem_mark or error.context_mark
    line_number = mark.line if mark else 0
    where = str(_place_in(place, line=line_number))
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


def read_yaml(path: str | os.PathLike[str]) -> Source:
    """Read a YAML file.

    Args:
        path: The file; error messages name it as given here.

    Raises:
        ConfigError: No such file, not readable, not text, too large, or not YAML.
    """
    name = os.fspath(path)

    def fatal(what: str, hint: str | None, *, where: str = name) -> ConfigError:
        return ConfigError([Problem(where, "", what, hint)])

    try:
        with FilePath(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise fatal("file not found", _sibling_hint(FilePath(name))) from None
    except IsADirectoryError:
        raise fatal("this is a folder, not a file", "name a YAML file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        what = f"the file cannot be read: {reason}"
        raise fatal(what, None, where=shown_value(name)) from None
    if len(data) > MAX_BYTES:
        what = f"the file is larger than {MAX_BYTES} bytes"
        raise fatal(what, "a config is a short YAML file")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fatal("the file is saved as UTF-16", "save it as UTF-8")
    if b"\0" in data:
        raise fatal("this is not a text file", "a config is a YAML file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "the file is not UTF-8 text"
        raise fatal(what, "save it as UTF-8", where=f"{name}:{line}") from None
    return parse_yaml(text, place=Place(name))


def _sibling_hint(path: FilePath) -> str | None:
    try:
        siblings = {
            file.stem: file.name
            for file in path.parent.iterdir()
            if file.suffix in (".yaml", ".yml")
        }
    except OSError:
        return f"there is no folder {shown_value(str(path.parent))} either"
    found = nearest(path.stem, siblings)
    return f"did you mean {path.parent / siblings[found]}?" if found else None
