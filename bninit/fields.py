"""What a config is read from: plain values, and the place that each of them came from.

A `Source` is made from a YAML file (`bninit.config.yaml_source`), from Python values
(`from_values`) or from another source with options laid over it (`bninit.config.overrides`).
"""

from __future__ import annotations

import difflib
import numbers
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    core_schema,
)

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


def sections_at(model_type: type[BaseModel], path: Path) -> tuple[type[BaseModel], ...]:
    """Return the sections that may stand at a path: several where one key chooses among kinds."""
    sections: tuple[type[BaseModel], ...] = (model_type,)
    is_named = False
    for part in path:
        if isinstance(part, int):
            continue
        if is_named:
            is_named = False
            continue
        field = keys_of(*sections).get(part)
        sections = tuple(_models_in(field.annotation)) if field else ()
        is_named = field is not None and get_origin(field.annotation) is dict
    return () if is_named else sections


def keys_of(*sections: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of sections by the keys that a file has for them.

    Where several kinds may stand, a key is that of the first kind that has it, and keys that
    only a later kind has stand before the one that follows them there.
    """
    found: list[tuple[str, FieldInfo]] = []
    for section in sections:
        position = len(found)
        for name, info in reversed(section.model_fields.items()):
            key = info.alias or name
            known = [key for key, _ in found]
            if key in known:
                position = known.index(key)
            else:
                found.insert(position, (key, info))
    return dict(found)


def parameters_of_kinds(union: Any) -> dict[str, tuple[str, ...]]:
    """Return the parameters that each section of a union takes, by the name that chooses it."""
    sections: tuple[type[Section], ...] = get_args(union)
    naming_key = str(sections[0].naming_key)
    return {
        str(section.model_fields[naming_key].default): tuple(
            key for key in section.model_fields if key != naming_key
        )
        for section in sections
    }


def all_keys(*sections: type[BaseModel], prefix: Path = ()) -> Iterator[Path]:
    """Yield the path of every key of a model, sections before what is in them."""
    for key, info in keys_of(*sections).items():
        path: Path = (*prefix, key)
        yield path
        if get_origin(info.annotation) is dict:
            path = (*path, "NAME")  # the user's own
        below = tuple(_models_in(info.annotation))
        if below and len(path) < 8:  # a model may hold itself
            yield from all_keys(*below, prefix=path)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models of an annotation, through lists, unions and optional values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


Key = tuple[str | int, ...]


class Section(BaseModel):
    """A part of a config: frozen, unknown keys refused, null means the default.

    Attributes:
        naming_key: The key that says which kind it is, for the hint when the name alone is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    naming_key: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return without_nulls(data, cls.model_fields)

    def applicable_keys(self) -> list[str]:
        """Return the keys that mean something here: not those of another scheme or optimiser."""
        return [key for key in type(self).model_fields if getattr(self, key) is not None]


def without_nulls(data: Any, known: Collection[str]) -> Any:
    """Return a mapping without those known keys that are None; anything else as it is.

    An unknown key stays, whatever its value, so that it is refused: in ``{lr:0.1}``, where the
    space is missing, YAML sees the key ``lr:0.1`` with no value.
    """
    if isinstance(data, dict):
        return {key: item for key, item in data.items() if item is not None or key not in known}
    return data


@dataclass(frozen=True)
class Fault:
    """One fault between the keys of a section.

    Attributes:
        key: The key at fault, below the section.
        what: The fault, with the offending value in it.
        hint: What is allowed, or the next step.
        involves: Further keys that it depends on; a fault in one of them hides this one.
        can_be_unset: Whether setting the key to null would mend it.
    """

    key: Key
    what: str
    hint: str | None = None
    involves: tuple[Key, ...] = ()
    can_be_unset: bool = False


def fault(what: str, hint: str | None = None) -> PydanticCustomError:
    """Return the error for a single value that a field's validator raises."""
    return _error(Fault((), what, hint))


def refuse(faults: Iterable[Fault], *, section: str) -> None:
    """Raise all faults of a section at once; do nothing when there are none.

    Raises:
        pydantic.ValidationError: One error per fault.
    """
    details = [InitErrorDetails(type=_error(each), loc=each.key, input=None) for each in faults]
    if details:
        raise ValidationError.from_exception_data(section, details)


def _error(each: Fault) -> PydanticCustomError:
    context = {
        "what": each.what,
        "hint": each.hint,
        "involves": each.involves,
        "depth": len(each.key),
        "can_be_unset": each.can_be_unset,
    }
    return PydanticCustomError("fault", "{what}", context)


def parameter_faults(
    parameters: Mapping[str, object],
    *,
    naming_key: str,
    name: str,
    takes: Collection[str],
    needs: Collection[str] = (),
    neutral: Mapping[str, object] | None = None,
) -> list[Fault]:
    """Return a fault for each parameter that is given and not taken, or needed and not given.

    Args:
        parameters: The parameters by key; None means not given.
        naming_key: The key that chose the kind, such as ``scheme``.
        name: What it chose.
        takes: The keys that this kind takes.
        needs: Those of them without a default.
        neutral: Values that change nothing and so are accepted whether taken or not.
    """
    faults = []
    taken = [key for key in parameters if key in takes]
    allowed = f"{name} takes {', '.join(taken)}" if taken else f"{name} takes no parameters"
    for key, value in parameters.items():
        if value is None and key in needs:
            what = f"{name} needs this key, and it is missing"
            faults.append(Fault((key,), what, involves=((naming_key,),)))
        unused = value is None or (neutral is not None and value == neutral.get(key))
        if key not in takes and not unused:
            what = f"{name} does not take this key (given: {shown_value(value)})"
            faults.append(Fault((key,), what, allowed, ((naming_key,),), can_be_unset=True))
    return faults


@dataclass(frozen=True)
class OneOf:
    """Marks a text field whose value is one of some names.

    Attributes:
        kind: What the names are, for messages.
        names: The names; left empty they are those of the annotated ``Literal``.
        aliases: Other names that a validator has made canonical before, for the JSON Schema.
    """

    kind: str
    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that checks a value against the names."""
        names = self.names or get_args(source)

        known = (*names, *self.aliases)

        def check(value: object) -> str:
            if isinstance(value, str) and value in names:
                return value
            raise _error(name_fault(value, known, kind=self.kind))

        listing = core_schema.literal_schema([*known])
        return core_schema.no_info_plain_validator_function(
            check, metadata={"pydantic_js_functions": [lambda _schema, to: to(listing)]}
        )


def name_fault(value: object, names: Sequence[str], *, kind: str, key: Key = ()) -> Fault:
    """Return the fault of a value that is none of some names, with the likeliest one.

    Args:
        value: The value.
        names: What is allowed.
        kind: What the names are: ``an optimiser``.
        key: The key at fault, below the section.
    """
    found = nearest(value, names) if isinstance(value, str) else None
    guess = f"did you mean {found}? " if found else ""
    return Fault(key, f"{shown_value(value)} is not {kind}", f"{guess}allowed: {', '.join(names)}")


@dataclass(frozen=True)
class OneSectionOf:
    """Marks a union of sections: the naming key chooses one, the first where it is left out.

    Pydantic's own discriminated unions demand the key and put it into the paths of errors.

    Attributes:
        kind: What the sections are, for messages: ``an optimiser``.
        neutral: Values that change nothing, and so are accepted of a kind that does not take them.
    """

    kind: str
    neutral: Mapping[str, object] = field(default_factory=dict)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that checks a section against the kind that it names."""
        sections: tuple[type[Section], ...] = get_args(source)
        naming_key = str(sections[0].naming_key)
        kinds = {str(each.model_fields[naming_key].default): each for each in sections}
        keys = [key for key in keys_of(*sections) if key != naming_key]

        def check(data: object, _union: object) -> Section:
            if isinstance(data, sections):
                return data
            if not isinstance(data, dict):
                return sections[0].model_validate(data)  # which tells that it is no mapping
            name = data.get(naming_key)
            name = next(iter(kinds)) if name is None else name
            if not isinstance(name, str) or name not in kinds:
                unknown = name_fault(name, tuple(kinds), kind=self.kind, key=(naming_key,))
                refuse([unknown], section=self.kind)
            section = kinds[name]
            takes = section.model_fields
            others = [key for key in keys if key not in takes]
            checked = section.model_validate(
                {key: value for key, value in data.items() if key not in others}
            )
            faults = parameter_faults(
                {key: data.get(key) for key in keys},
                naming_key=naming_key,
                name=name,
                takes=takes,
                neutral=self.neutral,
            )
            refuse(faults, section=self.kind)
            return checked

        return core_schema.no_info_wrap_validator_function(check, handler(source))


@dataclass(frozen=True)
class AlsoAccepts:
    """Tells the JSON Schema of a short form that a validator has unfolded before.

    Attributes:
        schema: The JSON Schema of the short form.
    """

    schema: Mapping[str, Any]

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON Schema that takes the short form beside the long one."""
        return {"anyOf": [dict(self.schema), handler(schema)]}
