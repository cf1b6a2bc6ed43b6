"""What a validation error says to people: the value, what is allowed, what to do next."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bninit.config.overrides import Draft, Override, apply_overrides, value_at
from bninit.config.schema import Config
from bninit.config.yaml_source import read_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import (
    Path,
    Place,
    Plain,
    Source,
    all_keys,
    dotted,
    from_values,
    keys_of,
    nearest,
    path_in,
    sections_at,
    shown_value,
)

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
    field = keys_of(*sections_at(model_type, path[:-1])).get(str(path[-1])) if path else None
    return field.description if field else None


def _unknown_key_hint(path: Path, model_type: type[BaseModel]) -> str:
    key = str(path[-1])
    here = list(keys_of(*sections_at(model_type, path[:-1])))
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
    found = nearest(str(path[-1]), keys_of(*sections_at(model_type, path[:-1])))
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
    sections = sections_at(model_type, path)
    naming_key = getattr(sections[0], "naming_key", None) if sections else None
    if naming_key and isinstance(value, str):
        return f"write {{{naming_key}: {shown_value(value).strip(chr(39))}}}"
    return f"keys here: {', '.join(keys_of(*sections))}" if sections else None


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


ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_PROBLEMS = 40
"""Most problems that are told at once."""

_MAX_ROUNDS = 20
_MAX_ERRORS = 1000
"""With more errors than this the search ends: naming and sorting them would take seconds."""


def load_config(
    path: str | os.PathLike[str], *, overrides: Sequence[str | Override] = ()
) -> Config:
    """Load a config file.

    Args:
        path: A YAML file.
        overrides: ``key=value`` as after ``--set``, or parsed; later ones win.

    Raises:
        ConfigError: All faults of the file, or of the options.
    """
    return load_model(Config, apply_overrides(read_yaml(path), overrides))


def config_from_dict(
    values: Mapping[str, object], *, overrides: Sequence[str | Override] = (), name: str = "config"
) -> Config:
    """Make a config of a dict with the keys of a config file.

    Args:
        values: The keys; nested dicts, lists, tuples and ranges, numbers (numpy's too) and text.
        overrides: ``key=value`` as after ``--set``, or parsed; later ones win.
        name: What error messages call it.

    Raises:
        ConfigError: All faults of the values, or of the options.
    """
    return load_model(Config, apply_overrides(from_values(values, name=name), overrides))


def load_model(model_type: type[ModelT], source: Source) -> ModelT:
    """Check a source against a pydantic model.

    Args:
        model_type: The model. Its validators may raise `bninit.fields.fault` and
            `refuse`, to say what is allowed and which keys a fault depends on.
        source: What was read.

    Returns:
        The validated model.

    Raises:
        ConfigError: All faults, in the order of the file.
    """
    search = Search(model_type, source)
    if search.model is None or not search.is_whole or source.problems:
        found = [(each.place, each.problem) for each in search.found]
        raise ConfigError(in_order([*source.problems, *found], name=source.name))
    return search.model


def in_order(found: Iterable[tuple[Place, Problem]], *, name: str) -> list[Problem]:
    """Return problems in the order of the file, options last, and not too many of them.

    Args:
        found: Problems with their places.
        name: The file, to say how many more there are.
    """
    ordered = sorted(
        found, key=lambda each: (each[0].is_option, each[0].line or 0, each[0].column or 0)
    )
    problems = [problem for _, problem in ordered]
    if len(problems) > MAX_PROBLEMS:
        num_more = len(problems) - MAX_PROBLEMS
        more = Problem(name, "", f"{num_more} more problems like these")
        problems = [*problems[:MAX_PROBLEMS], more]
    return problems


@dataclass(frozen=True)
class Found:
    """A fault that a search has found.

    Attributes:
        path: The key at fault.
        involved: The key and those that the fault depends on.
        is_unknown_key: Whether the key itself is the fault.
        place: Where it is told.
        problem: What is told.
    """

    path: Path
    involved: tuple[Path, ...]
    is_unknown_key: bool
    place: Place
    problem: Problem


class Search(Generic[ModelT]):
    """Looks for all faults of a source, taking out what is at fault round by round.

    Args:
        model_type: The model to check against.
        source: What was read; its own ``problems`` are left to the caller.

    Attributes:
        model: The model of what is left when all that is at fault has been taken out; None when
            that leads nowhere.
        is_whole: Whether nothing had to be taken out.
    """

    def __init__(self, model_type: type[ModelT], source: Source) -> None:
        self._model_type = model_type
        self._source = source
        self._draft = Draft(source.value)
        # Paths whose values are at fault: what depends on them cannot be judged.
        self._faulty: set[Path] = set(source.unread)
        self._found: dict[tuple[Path, str], Found] = {}
        self.is_whole = True
        self.model = self._run()

    @property
    def found(self) -> list[Found]:
        """The faults, those that only follow from others left out."""
        return list(self._found.values())

    def original(self, location: Path) -> Path:
        """Return the path in the source of a location in the model of what is left."""
        return self._draft.original(location)

    def _run(self) -> ModelT | None:
        for _ in range(_MAX_ROUNDS):
            try:
                return self._model_type.model_validate(self._draft.value)
            except ValidationError as error:
                self.is_whole = False
                if not self._take_out(error.errors(include_url=False)):
                    break
        return None

    def _take_out(self, errors: Sequence[ErrorDetails]) -> bool:
        """Note new errors and take their values out; tell whether the draft has changed."""
        has_changed = False
        bad: set[Path] = set()
        for error in errors[:_MAX_ERRORS]:
            location: Path = error["loc"]
            if error["type"] == "default_factory_not_called":
                continue
            if error["type"] == "missing" and isinstance(location[-1], int):
                location = location[:-1]  # an entry of a list of fixed length
            path = self._draft.original(location)
            self._note(error, path)
            example = self._example(path) if error["type"] == "missing" else None
            if example is not None:
                self._draft.put(location, example)
                has_changed = True
            else:
                bad.add(path_in(self._draft.value, location))
        # From the back, so that the indices of what is still to be taken out stay true.
        for location in sorted(bad, key=lambda path: [_order(part) for part in path], reverse=True):
            has_changed |= self._draft.take_out(location)
        return has_changed and len(errors) <= _MAX_ERRORS

    def _note(self, error: ErrorDetails, path: Path) -> None:
        """Report an error unless it follows from others."""
        context: dict[str, Any] = error.get("ctx", {})
        section = path[: len(path) - context.get("depth", 0)]
        involved = [path, *((*section, *key) for key in context.get("involves", ()))]
        follows = any(
            key[:length] in self._faulty for key in involved for length in range(1, len(key) + 1)
        ) or any(bad[: len(key)] == key for key in involved if key != path for bad in self._faulty)
        if error["type"] in ("too_short", "missing"):
            # What was taken out is missing only for that.
            follows |= any(bad[: len(path)] == path for bad in self._faulty)
        if not follows:
            self._report(error, path, involved)
        self._faulty.add(path)
        if error["type"] == "extra_forbidden":
            meant = nearest_sibling(path, self._model_type)
            if meant and path_in(self._source.value, meant) != meant:
                self._faulty.add(meant)

    def _report(self, error: ErrorDetails, path: Path, involved: Sequence[Path]) -> None:
        source = self._source
        existing = path_in(source.value, path)
        value = value_at(source.value, existing)
        what, hint = message_of(error, path, value, self._model_type)
        of_key = error["type"] == "extra_forbidden" or isinstance(value, list | dict)
        place = source.place_of(existing, of_key=of_key)
        is_from_option = any(source.place_of(key).is_option for key in involved)
        can_be_unset = error.get("ctx", {}).get("can_be_unset", False)
        if can_be_unset and is_from_option and not place.is_option:
            hint = f"{hint}; or unset it with --set {dotted(path)}=null"
        problem = Problem(str(place), dotted(path), what, hint)
        is_unknown_key = error["type"] == "extra_forbidden"
        found = Found(path, tuple(involved), is_unknown_key, place, problem)
        self._found.setdefault((path, what), found)

    def _example(self, path: Path) -> Plain:
        """Return a value to go on with in place of a missing one."""
        field = keys_of(*sections_at(self._model_type, path[:-1])).get(str(path[-1]))
        examples = field.examples if field else None
        return examples[0] if examples else None


def _order(part: str | int) -> tuple[int, str]:
    return (part, "") if isinstance(part, int) else (-1, part)
