"""What of a config is not as it would be by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bninit.config import Config

_NEVER = frozenset({("schema_version",), ("name",), ("train", "seeds")})
"""Not settings of a training: every file has them, and a run its own."""


def changed_settings(config: Config) -> dict[str, object]:
    """Settings that differ from the defaults, by dotted key, in the order of the file.

    A setting is a default one when the config without it, or without the section around it, is
    the same config. So a learning rate is held against the default of its optimiser.
    """
    from bninit.config import config_from_dict, leaf_values
    from bninit.errors import ConfigError

    values = leaf_values(config)
    changed: dict[str, object] = {}
    for key, value in _leaves(values):
        if key in _NEVER:
            continue
        for length in range(len(key), 0, -1):
            # A key that has to be given can only go with its section.
            with contextlib.suppress(ConfigError):
                if config_from_dict(_without(values, key[:length])) == config:
                    break
        else:
            changed[".".join(key)] = value
    return changed


def _leaves(
    values: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _without(values: Mapping[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = key
    if not rest:
        return {name: value for name, value in values.items() if name != first}
    return {**values, first: _without(values[first], tuple(rest))}
