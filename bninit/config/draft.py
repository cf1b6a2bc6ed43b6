"""A working copy of a config from which faulty parts are taken out."""

from __future__ import annotations

from bninit.config.source import Path, Plain, path_in


def value_at(value: Plain, path: Path) -> Plain:
    """Return the value at a path that exists."""
    for part in path:
        if isinstance(value, dict):
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
    return value


class Draft:
    """A copy of a value from which parts are taken out, and which knows where they stood.

    Args:
        value: The value to copy.

    Attributes:
        value: What is left of it.
    """

    def __init__(self, value: Plain) -> None:
        self._indices: dict[int, list[int]] = {}
        self.value = self._copy(value)

    def original(self, location: Path) -> Path:
        """Return the path in the original of a location in what is left."""
        value = self.value
        path: list[str | int] = []
        for part in location:
            if isinstance(value, list) and isinstance(part, int) and part < len(value):
                path.append(self._indices[id(value)][part])
                value = value[part]
            else:
                path.append(part)
                value = value.get(str(part)) if isinstance(value, dict) else None
        return tuple(path)

    def take_out(self, path: Path) -> bool:
        """Take out the value at a path; the root stays. Tell whether anything has changed."""
        if not path or path_in(self.value, path) != path:
            return False
        holder = value_at(self.value, path[:-1])
        last = path[-1]
        if isinstance(holder, list) and isinstance(last, int):
            del holder[last]
            del self._indices[id(holder)][last]
        elif isinstance(holder, dict):
            del holder[str(last)]
        return True

    def put(self, path: Path, value: Plain) -> None:
        """Put a value at a key of a mapping that is there."""
        holder = value_at(self.value, path[:-1])
        if isinstance(holder, dict):
            holder[str(path[-1])] = self._copy(value)

    def _copy(self, value: Plain) -> Plain:
        if isinstance(value, dict):
            return {key: self._copy(item) for key, item in value.items()}
        if isinstance(value, list):
            copied = [self._copy(item) for item in value]
            self._indices[id(copied)] = list(range(len(copied)))
            return copied
        return value
