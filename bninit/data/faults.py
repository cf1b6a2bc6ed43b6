"""What can be wrong with data files, as errors that name the file."""

from __future__ import annotations

from bninit.errors import DataError


class MissingDataError(DataError):
    """The files of a data set are in none of the folders searched."""


class DamagedDataError(DataError):
    """A file of a data set is there, and is not what it should be."""
