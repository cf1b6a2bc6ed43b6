"""Errors that are the user's to mend: one clear message, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class UserError(Exception):
    """Something the user gave is wrong; says what, where, and what to do.

    Args:
        what: The fault, with the offending value in it.
        where: The place: a file with its line, a folder, an option.
        hint: What is allowed, or the next step.

    Attributes:
        exit_code: Of a command that ends with it: 2, but for the subclasses that say otherwise.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


@dataclass(frozen=True)
class Problem:
    """One fault of a config.

    Attributes:
        where: File and line, or the option it came from.
        key: Dotted path of the key, empty for the file as a whole.
        what: The fault, with the offending value in it.
        hint: What is allowed, or the nearest key.
    """

    where: str
    key: str
    what: str
    hint: str | None = None

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.where, self.key, self.what) if part)
        return f"{head}\n  {self.hint}" if self.hint else head


class ConfigError(UserError):
    """A config that cannot be used, with all its faults at once.

    Args:
        problems: At least one fault, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class DataError(UserError):
    """A data set that is missing, damaged or too small."""


class DeviceError(UserError):
    """A device that was asked for and is not there."""


class StoreError(UserError):
    """A runs folder or a file in it that cannot be read or written."""


class WriteError(StoreError):
    """A full disk, or a folder that went away: the machine failed, and exit code 1 says so."""

    exit_code = 1


class TrainingError(RuntimeError):
    """A training that failed, with nothing wrong in what was asked: exit code 1, no traceback."""
