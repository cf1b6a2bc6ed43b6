"""Reading YAML safely: plain values with the line of every key and value, no objects ever.

The file is taken apart event by event, so that depth, size and what aliases unfold to stay
bounded. Plain scalars follow the core schema of YAML 1.2 (section 10.3.2 of its specification):
``1e-3`` is a number, and ``no``, ``on`` and ``1:30`` are text. Tags are refused.
"""

from __future__ import annotations

import os
from pathlib import Path as FilePath

import yaml

from bninit.config.nearest import nearest
from bninit.config.source import Place, Source, shown_value
from bninit.config.yaml_events import EventReader
from bninit.errors import ConfigError, Problem

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
