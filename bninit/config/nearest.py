"""The nearest name to one that was mistyped, and the keys that a pydantic model has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bninit.config.source import Path

_MAX_LENGTH = 80
"""Longer words are no typos, and comparing them would be slow."""

_MIN_STEM_LENGTH = 4


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that a word most likely stands for, or None.

    Case, and ``-`` for ``_``, are overlooked; longer words that begin with a name stand for it.
    """
    if len(word) > _MAX_LENGTH:
        return None
    plain = {name.lower().replace("-", "_"): name for name in names}
    word = word.lower().replace("-", "_")
    stems = [name for name in plain if len(name) >= _MIN_STEM_LENGTH and word.startswith(name)]
    if stems:  # a name that was written out, as normalization for norm
        return plain[max(stems, key=len)]
    found = difflib.get_close_matches(word, plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def section_at(model_type: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model of the section at a path, or None when no section is there."""
    section: type[BaseModel] | None = model_type
    is_named = False
    for part in path:
        if isinstance(part, int):
            continue
        if is_named:
            is_named = False
            continue
        field = keys_of(section).get(part) if section else None
        section = next(_models_in(field.annotation), None) if field else None
        is_named = field is not None and get_origin(field.annotation) is dict
    return None if is_named else section


def keys_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the keys that a file has for them."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def all_keys(model_type: type[BaseModel], *, prefix: Path = ()) -> Iterator[Path]:
    """Yield the path of every key of a model, sections before what is in them."""
    for name, field in keys_of(model_type).items():
        path: Path = (*prefix, name)
        yield path
        if get_origin(field.annotation) is dict:
            path = (*path, "NAME")  # the user's own
        for section in _models_in(field.annotation):
            if len(path) < 8:  # a model may hold itself
                yield from all_keys(section, prefix=path)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of an annotation, through lists, unions and optional values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
