"""What a validation error says to people: the value, what is allowed, what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from bninit.config.nearest import all_keys, keys_of, nearest, section_at
from bninit.config.source import Path, dotted, shown_value

Message = tuple[str, str | None]
"""What is wrong, and a hint."""

_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
_SYNONYMS = {"learning_rate": "lr", "dataset": "data", "optimizer": "optim", "optimiser": "optim"}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def message_of(
    error: ErrorDetails, path: Path, value: object, model_type: type[BaseModel]
) -> Message:
    """Return what one of pydantic's errors says to people.

    Args:
        error: The error.
        path: The path of the key at fault.
        value: The value as it stands in the source.
        model_type: The model that the source was checked against.
    """
    kind = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "fault":
        return context["what"], context["hint"]
    if kind == "extra_forbidden":
        return "there is no such key", _unknown_key_hint(path, model_type)
    if kind == "missing" and isinstance(error["loc"][-1], int):
        return f"{shown_value(value)} has too few entries", _field_hint(path, model_type)
    if kind == "missing":
        return "this key is missing", _field_hint(path, model_type)
    if kind in _WANTED:
        if value is None and not path:
            return "nothing is in it", "as in `name: first-try`"
        shown = f"the text {shown_value(value)}" if isinstance(value, str) else shown_value(value)
        what = f"{shown} is not {_WANTED[kind]}"
        return what, _type_hint(kind, value, path, model_type)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"{shown_value(value)} is out of range", f"{words} {_bound(context[key])}"
    if kind == "finite_number":
        return f"{shown_value(value)} is not a finite number", None
    if kind in ("too_short", "too_long"):
        size = len(value) if isinstance(value, list | dict | str) else context.get("actual_length")
        limit = (
            f"at least {context['min_length']}"
            if kind == "too_short"
            else f"at most {context['max_length']}"
        )
        return f"{size} entries", limit
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{shown_value(value)} is not allowed here", _names_hint(value, names)
    if kind == "invalid_key":
        return "this key is not text", None
    return f"{shown_value(value)}: {error['msg']}", None


def _bound(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names_hint(value: object, names: list[str]) -> str:
    found = nearest(value, names) if isinstance(value, str) else None
    return (f"did you mean {found}? " if found else "") + f"allowed: {', '.join(names)}"


def _field_hint(path: Path, model_type: type[BaseModel]) -> str | None:
    section = section_at(model_type, path[:-1])
    field = keys_of(section).get(str(path[-1])) if section and path else None
    return field.description if field else None


def _unknown_key_hint(path: Path, model_type: type[BaseModel]) -> str:
    key = str(path[-1])
    section = section_at(model_type, path[:-1])
    here = list(keys_of(section)) if section else []
    allowed = f"keys here: {', '.join(here)}"
    if key == "<<":
        return "merge keys are not read: repeat the keys, or give the whole section as an alias"
    if re.match(r"\w+:\S", key):
        return f"a colon needs a space after it; {allowed}"
    for other in all_keys(model_type):
        if len(other) > 1 and dotted(other) == key:
            return f"write it nested, as in {_nested(other)}"
    key = _SYNONYMS.get(key, key)
    found = nearest(key, here)
    if found:
        return f"did you mean {found}? {allowed}"
    last = nearest(key, {str(other[-1]) for other in all_keys(model_type)})
    for other in all_keys(model_type):
        if other[-1] == last:
            return f"did you mean {dotted(other)}? {allowed}"
    return allowed


def _nested(path: Path) -> str:
    text = "..."
    for key in reversed(path[1:]):
        text = f"{{{key}: {text}}}"
    return f"{path[0]}: {text}"


def nearest_sibling(path: Path, model_type: type[BaseModel]) -> Path | None:
    """Return the path of the key that an unknown key most likely stands for, in its section."""
    section = section_at(model_type, path[:-1])
    found = nearest(str(path[-1]), keys_of(section)) if section else None
    return (*path[:-1], found) if found else None


def _type_hint(kind: str, value: object, path: Path, model_type: type[BaseModel]) -> str | None:
    if kind == "string_type":
        return "in quotes it is text" if isinstance(value, bool | int | float) else None
    if kind == "bool_type" and isinstance(value, str):
        if value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return "write true or false; in YAML 1.2 yes, no, on and off are text"
        return f"write {value}, without quotes" if value in ("true", "false") else None
    if kind in ("int_type", "float_type"):
        return _number_hint(kind, value)
    if _WANTED[kind] == "a list":
        is_single = isinstance(value, int | float)
        return f"a list is written in brackets: [{shown_value(value)}]" if is_single else None
    if isinstance(value, str) and re.match(r"\w+:\S", value):
        return "a colon needs a space after it"
    section = section_at(model_type, path)
    naming_key = getattr(section, "naming_key", None)
    if naming_key and isinstance(value, str):
        return f"write {{{naming_key}: {shown_value(value).strip(chr(39))}}}"
    return f"keys here: {', '.join(keys_of(section))}" if section else None


def _number_hint(kind: str, value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return "the number is too large"
    if isinstance(value, float):
        return f"write {int(value)}" if value.is_integer() and abs(value) < 1e15 else None
    if not isinstance(value, str) or len(value) > 40:
        return None
    plain = value.strip().replace("_", "").removesuffix("%").strip()
    is_number = re.fullmatch(r"[-+]?[0-9]+", plain) or (
        kind == "float_type" and re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?", plain)
    )
    if not is_number:
        return None
    return f"write {plain}, without quotes" if plain == value else f"write the bare number: {plain}"
