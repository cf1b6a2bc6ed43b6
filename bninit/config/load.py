"""Load a config: a source checked against a pydantic model, and all of its faults at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bninit.config.overrides import Override, apply_overrides
from bninit.config.schema import Config
from bninit.config.source import Place, Source, from_values
from bninit.config.yaml_source import read_yaml
from bninit.errors import ConfigError, Problem
from bninit.fields import (
    Fault,
    Path,
    Plain,
    all_keys,
    dotted,
    field_at,
    keys_of,
    naming_key,
    nearest,
    overlap,
    path_in,
    sections_at,
    shown_value,
    value_at,
)

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_PROBLEMS = 40
"""Most problems that one error lists."""

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
        values: The keys; nested dicts, lists, tuples and ranges, numbers (NumPy's too) and text.
        overrides: ``key=value`` as after ``--set``, or parsed; later ones win.
        name: What error messages call it.

    Raises:
        ConfigError: All faults of the values, or of the options.
    """
    return load_model(Config, apply_overrides(from_values(values, name=name), overrides))


def load_model(model_type: type[ModelT], source: Source) -> ModelT:
    """Check a source against a pydantic model."""
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
        more = f"{len(problems) - MAX_PROBLEMS} more problems like these"
        problems = [*problems[:MAX_PROBLEMS], Problem(name, "", more)]
    return problems


@dataclass(frozen=True)
class Found:
    """A fault that a search has found.

    Attributes:
        path: The key at fault.
        involved: The key and those that the fault depends on.
        is_unknown_key: Whether the key itself is the fault.
        place: Where it is reported.
        problem: What is reported.
    """

    path: Path
    involved: tuple[Path, ...]
    is_unknown_key: bool
    place: Place
    problem: Problem


class Search(Generic[ModelT]):
    """Looks for all faults of a source, taking out what is at fault round by round.

    A fault that depends on a key which is at fault itself is left unsaid.

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
        self._found: dict[tuple[Path, str], Found] = {}
        # Paths whose values are at fault: what depends on them cannot be judged.
        self._faulty: set[Path] = set(source.unread)
        self._taken_out: set[Path] = set()
        self._made_up: dict[Path, Plain] = {}
        self._kept: dict[Path, list[int]] = {}
        self.model: ModelT | None = None
        self.is_whole = True
        for _ in range(_MAX_ROUNDS):
            try:
                self.model = model_type.model_validate(self._what_is_left(source.value, ()))
            except ValidationError as error:
                self.is_whole = False
                if not self._take_out(error.errors(include_url=False)):
                    return
            else:
                return

    @property
    def found(self) -> list[Found]:
        """The faults, those that only follow from others left out."""
        return list(self._found.values())

    def original(self, location: Path) -> Path:
        """Return the path in the source of a location in the model of what is left."""
        path: Path = ()
        for part in location:
            kept = self._kept.get(path, ())
            is_index = isinstance(part, int) and part < len(kept)
            path = (*path, kept[part] if is_index else part)  # type: ignore[index]
        return path

    def _what_is_left(self, value: Plain, path: Path) -> Plain:
        """Return a copy of a value without what is taken out, and with what is made up."""
        if isinstance(value, dict):
            left = {
                key: self._what_is_left(item, (*path, key))
                for key, item in value.items()
                if (*path, key) not in self._taken_out
            }
            made_up = {key[-1]: item for key, item in self._made_up.items() if key[:-1] == path}
            return {**left, **made_up}  # type: ignore[dict-item]
        if isinstance(value, list):
            kept = [i for i in range(len(value)) if (*path, i) not in self._taken_out]
            self._kept[path] = kept
            return [self._what_is_left(value[i], (*path, i)) for i in kept]
        return value

    def _take_out(self, errors: Sequence[ErrorDetails]) -> bool:
        """Note errors, and take out or make up their values; tell whether that leads on."""
        before = len(self._taken_out) + len(self._made_up)
        paths: set[Path] = set()
        for error in errors[:_MAX_ERRORS]:
            if error["type"] == "default_factory_not_called":
                continue
            location: Path = error["loc"]
            if error["type"] == "missing" and isinstance(location[-1], int):
                location = location[:-1]  # an entry of a list of fixed length
            path = self.original(location)
            self._note(error, path)
            field = field_at(self._model_type, path)
            if error["type"] == "missing" and field and field.examples:
                self._made_up[path] = field.examples[0]
            else:
                existing = path_in(self._source.value, path)
                while existing in self._taken_out:  # a needed key is missing for that
                    existing = existing[:-1]
                paths.add(existing)
        self._taken_out |= paths - {()}
        has_changed = len(self._taken_out) + len(self._made_up) > before
        return has_changed and len(errors) <= _MAX_ERRORS

    def _note(self, error: ErrorDetails, path: Path) -> None:
        """Report an error unless it follows from others."""
        fault: Fault | None = error.get("ctx", {}).get("fault")
        section = path[: len(path) - len(fault.key)] if fault else path
        others = [(*section, *key) for key in fault.involves] if fault else []
        # A list is too short, and a key is missing, for what was taken out of it as well.
        whole = [*others, path] if error["type"] in ("too_short", "missing") else others
        follows = any(path[:length] in self._faulty for length in range(1, len(path) + 1)) or any(
            overlap(key, bad) for key in whole for bad in self._faulty
        )
        if not follows:
            self._report(error, path, (path, *others))
        self._faulty.add(path)
        if error["type"] == "extra_forbidden":
            meant = self._meant(path)
            if meant and path_in(self._source.value, meant) != meant:
                self._faulty.add(meant)

    def _meant(self, path: Path) -> Path | None:
        """Return the path of the key that an unknown key most likely stands for."""
        found = nearest(str(path[-1]), keys_of(*sections_at(self._model_type, path[:-1])))
        return (*path[:-1], found) if found else None

    def _report(self, error: ErrorDetails, path: Path, involved: tuple[Path, ...]) -> None:
        source = self._source
        existing = path_in(source.value, path)
        value = value_at(source.value, existing)
        what, hint = message_of(error, path, value, self._model_type)
        is_unknown_key = error["type"] == "extra_forbidden"
        of_key = is_unknown_key or isinstance(value, list | dict)
        place = source.place_of(existing, of_key=of_key)
        fault: Fault | None = error.get("ctx", {}).get("fault")
        is_from_option = any(source.place_of(key).is_option for key in involved)
        if fault and fault.can_be_unset and is_from_option and not place.is_option:
            hint = f"{hint}; or unset it with --set {dotted(path)}=null"
        problem = Problem(str(place), dotted(path), what, hint)
        found = Found(path, involved, is_unknown_key, place, problem)
        self._found.setdefault((path, what), found)


# What an error says

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
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_SYNONYMS = {"learning_rate": "lr", "dataset": "data", "optimizer": "optim", "optimiser": "optim"}


def message_of(
    error: ErrorDetails, path: Path, value: object, model_type: type[BaseModel]
) -> Message:
    """Return what one of pydantic's errors says to people."""
    kind = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    shown = shown_value(value)
    if kind == "fault":
        return context["fault"].what, context["fault"].hint
    if kind == "extra_forbidden":
        return "unknown key", _unknown_key_hint(path, model_type)
    if kind == "missing":
        field = field_at(model_type, path)
        is_entry = isinstance(error["loc"][-1], int)
        what = f"{shown} has too few entries" if is_entry else "this key is missing"
        return what, field.description if field else None
    if kind in _WANTED:
        if value is None and not path:
            return "nothing is in it", "as in `name: first-try`"
        text = f"the text {shown}" if isinstance(value, str) else shown
        return f"{text} is not {_WANTED[kind]}", _type_hint(kind, value, path, model_type)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        bound = context[key]
        limit = f"{bound:g}" if isinstance(bound, float) else str(bound)
        return f"{shown} is out of range", f"{words} {limit}"
    if kind == "finite_number":
        return f"{shown} is not a finite number", None
    if kind in ("too_short", "too_long"):
        size = len(value) if isinstance(value, list | dict | str) else context.get("actual_length")
        low, high = context.get("min_length"), context.get("max_length")
        return f"{size} entries", f"at least {low}" if kind == "too_short" else f"at most {high}"
    return f"{shown}: {error['msg']}", None


def _unknown_key_hint(path: Path, model_type: type[BaseModel]) -> str:
    key = str(path[-1])
    here = list(keys_of(*sections_at(model_type, path[:-1])))
    allowed = f"keys here: {', '.join(here)}"
    if key == "<<":
        return "merge keys are not read: repeat the keys, or give the whole section as an alias"
    if re.match(r"\w+:\S", key):
        return f"a colon needs a space after it; {allowed}"
    known = list(all_keys(model_type))
    for other in known:
        if len(other) > 1 and dotted(other) == key:
            opening = ": {".join(str(part) for part in other)
            return f"write it nested, as in {opening}: ...{'}' * (len(other) - 1)}"
    key = _SYNONYMS.get(key, key)
    found = nearest(key, here)
    if not found:
        last = nearest(key, {str(other[-1]) for other in known})
        found = next((dotted(other) for other in known if other[-1] == last), None)
    return f"did you mean {found}? {allowed}" if found else allowed


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
    chooser = naming_key(sections[0]) if sections and path else None
    if chooser and isinstance(value, str):
        return f"write {{{chooser}: {shown_value(value).strip(chr(39))}}}"
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
