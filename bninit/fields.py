"""Building blocks of settings: sections, their fields, and the faults that validators raise."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""The values that a config is made of, whatever it was read from."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the root down to a value."""

MAX_KEY_LENGTH = 120
"""Longer dotted paths are cut in messages."""


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
    short.maxstring = short.maxother = 80
    short.maxlist = short.maxdict = 6
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


def value_at(value: Plain, path: Path) -> Plain:
    """Return the value at a path that exists."""
    for part in path:
        value = value[part]  # type: ignore[index]
    return value


def overlap(first: Path, second: Path) -> bool:
    """Whether two paths are the same, or one leads to the other."""
    length = min(len(first), len(second))
    return first[:length] == second[:length]


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


# Faults


@dataclass(frozen=True)
class Fault:
    """One fault of a section.

    Attributes:
        key: The key at fault, below the section; empty for the value that is validated.
        what: The fault, with the offending value in it.
        hint: What is allowed, or the next step.
        involves: Further keys that it depends on; a fault in one of them hides this one.
        can_be_unset: Whether setting the key to null would mend it.
    """

    key: Path
    what: str
    hint: str | None = None
    involves: tuple[Path, ...] = ()
    can_be_unset: bool = False

    @property
    def error(self) -> PydanticCustomError:
        """The error that carries the fault through pydantic, in its context."""
        return PydanticCustomError("fault", "{what}", {"what": self.what, "fault": self})


def fault(what: str, hint: str | None = None) -> PydanticCustomError:
    """Return the error for a single value that a field's validator raises."""
    return Fault((), what, hint).error


def refuse(faults: Iterable[Fault], *, section: str) -> None:
    """Raise all faults of a section at once; do nothing when there are none.

    Raises:
        pydantic.ValidationError: One error per fault.
    """
    details = [InitErrorDetails(type=each.error, loc=each.key, input=None) for each in faults]
    if details:
        raise ValidationError.from_exception_data(section, details)


def name_fault(value: object, names: Sequence[str], *, kind: str, key: Path = ()) -> Fault:
    """Return the fault of a value that is none of some names, with the likeliest of them.

    Args:
        value: The value.
        names: The allowed names.
        kind: What they are: ``an optimiser``.
        key: The key at fault, below the section.
    """
    found = nearest(value, names) if isinstance(value, str) else None
    guess = f"did you mean {found}? " if found else ""
    return Fault(key, f"{shown_value(value)} is not {kind}", f"{guess}allowed: {', '.join(names)}")


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
        name: The kind that it chose.
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


# Sections


class Section(BaseModel):
    """A part of a config: frozen, unknown keys refused, null means the default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, data: Any) -> Any:
        return without_nulls(data, cls.model_fields)

    def applicable_keys(self) -> list[str]:
        """Return the keys that play a part here: not those of another scheme."""
        return [key for key in type(self).model_fields if getattr(self, key) is not None]


def without_nulls(data: Any, known: Collection[str]) -> Any:
    """Return a mapping without those known keys that are None; anything else as it is.

    An unknown key stays, whatever its value, so that it is refused: in ``{lr:0.1}``, where the
    space is missing, YAML sees the key ``lr:0.1`` with no value.
    """
    if isinstance(data, dict):
        return {key: item for key, item in data.items() if item is not None or key not in known}
    return data


def naming_key(section: type[BaseModel]) -> str | None:
    """Return the first key of a section if it says which kind it is: scheme, placement, name."""
    first = next(iter(section.model_fields), None)
    return first if first in ("name", "scheme", "placement") else None


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
        info = keys_of(*sections).get(part)
        sections = tuple(_models_in(info.annotation)) if info else ()
        is_named = info is not None and get_origin(info.annotation) is dict
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


def field_at(model_type: type[BaseModel], path: Path) -> FieldInfo | None:
    """Return the field of the key at a path, or None when no section has it."""
    return keys_of(*sections_at(model_type, path[:-1])).get(str(path[-1])) if path else None


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


# Markers of fields


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
            raise name_fault(value, known, kind=self.kind).error

        listing = core_schema.literal_schema([*known])
        return core_schema.no_info_plain_validator_function(
            check, metadata={"pydantic_js_functions": [lambda _schema, to: to(listing)]}
        )


@dataclass(frozen=True)
class OneSectionOf:
    """Marks a union of sections: the naming key chooses one, the first where it is left out.

    Pydantic's own discriminated unions demand the key and put it into the paths of errors.

    Attributes:
        kind: What the sections are, for messages: ``an optimiser``.
        neutral: Values that change nothing, accepted of kinds that do not take their key.
    """

    kind: str
    neutral: Mapping[str, object] = field(default_factory=dict)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that checks a section against the kind that it names."""
        kinds = kinds_of(source)
        first = next(iter(kinds))
        chooser = str(naming_key(kinds[first]))
        keys = [key for key in keys_of(*kinds.values()) if key != chooser]

        def check(data: object, _union: object) -> Section:
            if isinstance(data, Section):
                return data
            if not isinstance(data, dict):
                return kinds[first].model_validate(data)  # which raises: not a mapping
            name = first if data.get(chooser) is None else data[chooser]
            if not isinstance(name, str) or name not in kinds:
                unknown = name_fault(name, tuple(kinds), kind=self.kind, key=(chooser,))
                refuse([unknown], section=self.kind)
            takes = kinds[name].model_fields
            own = {key: value for key, value in data.items() if key in takes or key not in keys}
            section = kinds[name].model_validate(own)
            faults = parameter_faults(
                {key: data.get(key) for key in keys},
                naming_key=chooser,
                name=name,
                takes=takes,
                neutral=self.neutral,
            )
            refuse(faults, section=self.kind)
            return section

        return core_schema.no_info_wrap_validator_function(check, handler(source))


def kinds_of(union: Any) -> dict[str, type[Section]]:
    """Return the sections of a union by the name that chooses each."""
    sections: tuple[type[Section], ...] = get_args(union)
    return {section.model_fields[str(naming_key(section))].default: section for section in sections}


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
