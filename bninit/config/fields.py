"""What the config's models are built of: sections, names out of a table, and faults.

A fault that a validator of ours finds carries what is wrong, what is allowed and which keys are
involved; `bninit.config.load` turns it into a message with its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from bninit.config.nearest import nearest
from bninit.config.source import shown_value

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

        def check(value: object) -> str:
            if isinstance(value, str) and value in names:
                return value
            known = (*names, *self.aliases)
            found = nearest(value, known) if isinstance(value, str) else None
            guess = f"did you mean {found}? " if found else ""
            what = f"{shown_value(value)} is not {self.kind}"
            raise fault(what, f"{guess}allowed: {', '.join(known)}")

        listing = core_schema.literal_schema([*names, *self.aliases])
        return core_schema.no_info_plain_validator_function(
            check, metadata={"pydantic_js_functions": [lambda _schema, to: to(listing)]}
        )


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


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
DEVICE_PATTERN = r"^(auto|cpu|cuda(:(0|[1-9][0-9]?))?)$"


def check_name(value: object) -> object:
    """Return a name that is fit for a folder, and anything but text as it is.

    Raises:
        pydantic_core.PydanticCustomError: Text that is not fit.
    """
    if not isinstance(value, str) or re.fullmatch(NAME_PATTERN, value):
        return value
    usable = re.sub(r"[^A-Za-z0-9._-]+", "-", value).lstrip("._-")[:64]
    guess = f"; {usable} would do" if re.search("[A-Za-z0-9]", usable) else ""
    raise fault(
        f"{shown_value(value)} cannot name a run",
        f"allowed: 1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit{guess}",
    )


def check_device(value: object) -> object:
    """Return ``auto`` or a device's name as torch takes it, and anything but text as it is.

    Raises:
        pydantic_core.PydanticCustomError: Text that names no device.
    """
    if not isinstance(value, str) or re.fullmatch(DEVICE_PATTERN, value):
        return value
    found = nearest(value, ("auto", "cpu", "cuda"))
    guess = f"did you mean {found}? " if found else ""
    what = f"{shown_value(value)} is not a device"
    raise fault(what, f"{guess}allowed: auto, cpu, cuda, cuda:N (N from 0 to 99)")
